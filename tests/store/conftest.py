"""A real store with the newest schema, once on SQLite and once on PostgreSQL, and rows in it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.alerts import Alert, Message, alert_key
from receiver.run import Episode, Run
from receiver.store import deliveries, episodes, runs
from receiver.store.deliveries import StoredAlert
from receiver.store.engine import migrate, open_engine
from tests.bed.postgresql import PostgreSql

ZERO = datetime(2026, 3, 2, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return ZERO + timedelta(minutes=minutes)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "amend.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty database; a test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('database')}"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.database()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction, which nothing else waits for."""
    with engine.begin() as connection:
        yield connection


def alert(status: str = "firing", *, start: float = 0, end: float | None = None, **labels: str) -> Alert:
    return Alert.model_validate(
        {
            "status": status,
            "labels": {"alertname": "LatencyAnomaly", **labels},
            "annotations": {"z_score": "4"},
            "startsAt": at(start),
            "endsAt": None if end is None else at(end),
            "fingerprint": "f00",
        }
    )


def message(*alerts: Alert) -> Message:
    return Message(receiver="amend", group_key="{}", external_url="http://am", truncated=0, alerts=alerts)


def stored(alert: Alert, *, received: float = 0) -> StoredAlert:
    """An alert as the worker gets it."""
    key = alert_key("default", alert.labels)
    return StoredAlert(id=1, delivery_id=1, source="default", alert_key=key, received_at=at(received), alert=alert)


def deliver(connection: sa.Connection, *alerts: Alert, received: float = 0) -> int:
    return deliveries.store(
        connection, message(*alerts), source="default", received_at=at(received), replica_labels=("replica",)
    )


@pytest.fixture
def episode(connection: sa.Connection) -> Episode:
    return episodes.open_(connection, stored(alert(service="orders")))


Begin = Callable[..., Run]


@pytest.fixture
def begin(connection: sa.Connection, episode: Episode) -> Begin:
    """Make a run of a playbook in the episode."""

    def begin(playbook: str = "restart", *, attempt: int = 1, wake: float = 0) -> Run:
        run = runs.create(
            connection,
            episode_id=episode.id,
            playbook=playbook,
            attempt=attempt,
            mode="enforce",
            at=at(0),
            wake_at=at(wake),
        )
        assert run
        return run

    return begin
