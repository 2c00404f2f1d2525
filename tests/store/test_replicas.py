"""Who works on the store."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from receiver.store import postgresql, replicas, sqlite
from tests.store.conftest import at


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the tests' clock on PostgreSQL, too."""
    monkeypatch.setattr(postgresql, "lease_clock", sqlite.lease_clock)


def seen(connection: sa.Connection, minute: float) -> dict[str, str]:
    found = replicas.seen_within(connection, within=timedelta(minutes=1), at=at(minute))
    return {each.name: each.config for each in found}


def test_who_gave_a_sign_of_life_is_seen_for_a_while(connection: sa.Connection) -> None:
    for name, config, minute in (("a", "one", 0), ("b", "one", 0), ("a", "two", 1)):
        replicas.report(connection, name=name, config=config, started_at=at(0), at=at(minute))
    assert seen(connection, 1) == {"a": "two", "b": "one"}
    assert seen(connection, 1.5) == {"a": "two"}
    replicas.leave(connection, name="a")
    assert seen(connection, 1) == {"b": "one"}


def test_who_has_long_been_gone_is_forgotten(connection: sa.Connection) -> None:
    replicas.report(connection, name="a", config="", started_at=at(0), at=at(0))
    replicas.report(connection, name="b", config="", started_at=at(0), at=at(61))
    assert [each.name for each in replicas.seen_within(connection, within=timedelta(days=9), at=at(61))] == ["b"]
