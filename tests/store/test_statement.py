"""A statement that goes straight to the driver gives, and refuses, what SQLAlchemy's own way would."""

from typing import Any

import pytest
import sqlalchemy as sa

from receiver.store.engine import migrate, open_engine
from receiver.store.statement import Statement
from receiver.store.tables import replicas
from tests.bed.postgresql import PostgreSql
from tests.store.conftest import at

ADD = Statement(replicas.insert().inline(), columns=replicas.c.keys())
NAMED = Statement(
    sa.select(replicas)
    .where(
        replicas.c.name.in_(sa.bindparam("names", expanding=True)),
        replicas.c.config.not_in(sa.bindparam("besides", expanding=True)),
        replicas.c.seen_at > at(0),
    )
    .order_by(replicas.c.name)
)
MOVE = Statement(
    replicas.update().where(replicas.c.seen_at == sa.bindparam("seen")).returning(replicas.c.name, replicas.c.seen_at),
    columns=["seen_at"],
)


def replica(name: str, **changed: Any) -> dict[str, Any]:
    return {"name": name, "config": "c", "started_at": at(1), "seen_at": at(2), **changed}


@pytest.fixture
def connection(connection: sa.Connection) -> sa.Connection:
    ADD.each(connection, [replica(name) for name in "abcdefg"])
    return connection


def test_rows_have_names_and_types(connection: sa.Connection) -> None:
    row = NAMED.first(connection, {"names": ["b"], "besides": []})
    assert row is not None
    assert (row.name, row.config, row.seen_at) == ("b", "c", at(2))
    assert row == connection.execute(sa.select(replicas).where(replicas.c.name == "b")).one()


@pytest.mark.parametrize("length", range(8))
def test_a_list_may_be_of_any_length(connection: sa.Connection, length: int) -> None:
    names = list("abcdefg"[:length])
    assert [row.name for row in NAMED.all(connection, {"names": names, "besides": []})] == names
    assert NAMED.all(connection, {"names": names, "besides": ["x", "c"]}) == []
    assert NAMED.scalar(connection, {"names": names, "besides": ["x"]}) == (names[0] if names else None)


def test_a_change_tells_its_rows_and_their_number(connection: sa.Connection) -> None:
    ADD.count(connection, replica("z", seen_at=at(3)))
    assert MOVE.all(connection, {"seen": at(3), "seen_at": at(4)}) == [("z", at(4))]
    assert MOVE.count(connection, {"seen": at(2), "seen_at": at(4)}) == 7
    assert MOVE.count(connection, {"seen": at(2), "seen_at": at(4)}) == 0
    assert MOVE.first(connection, {"seen": at(2), "seen_at": at(4)}) is None


def test_the_first_one_begins_a_transaction(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        ADD.count(connection, replica("a"))
        assert connection.in_transaction()
        connection.rollback()
        assert NAMED.all(connection, {"names": ["a"], "besides": []}) == []


def test_for_no_rows_nothing_is_done(connection: sa.Connection) -> None:
    ADD.each(connection, [])


def test_a_refusal_is_the_one_that_sqlalchemy_would_raise(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.IntegrityError, match=r"replicas"), connection.begin_nested():
        ADD.count(connection, replica("a"))
    with pytest.raises(sa.exc.IntegrityError, match=r"replicas"), connection.begin_nested():
        ADD.each(connection, [replica("y"), replica("a")])
    assert NAMED.all(connection, {"names": ["y"], "besides": []}) == []


def test_a_connection_that_is_gone_is_not_used_again(postgresql: PostgreSql) -> None:
    engine = open_engine(postgresql.database())
    migrate(engine)
    with engine.connect() as connection:
        pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        with engine.begin() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(sa.exc.OperationalError) as failed:
            NAMED.all(connection, {"names": [], "besides": []})
        assert failed.value.connection_invalidated
        connection.rollback()
        assert NAMED.all(connection, {"names": ["a"], "besides": []}) == []
    engine.dispose()
