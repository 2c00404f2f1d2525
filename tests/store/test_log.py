"""The audit log as rows: appended in a transaction, chained, and broken to the verifier wherever it was touched."""

import pytest
import sqlalchemy as sa

from receiver.audit import GENESIS, Broken, Kind, verify
from receiver.store import log
from receiver.store.log import Log
from tests.store.conftest import at

KEY = b"a key"


def append(connection: sa.Connection, count: int = 5, *, key: bytes | None = None) -> None:
    writer = Log(actor="amend/a", key=key)
    for number in range(count):
        data = {"reason": "cooldown", "at": at(0), "text": "ü\u202e'\"", "n": number}
        writer.append(connection, Kind.SKIPPED, at=at(number), data=data, run_id=number % 2, episode_id=7)


def broken(connection: sa.Connection, key: bytes | None = None) -> str:
    with pytest.raises(Broken) as raised:
        verify(log.entries(connection), key)
    return str(raised.value)


@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_appended_verifies(key: bytes | None, connection: sa.Connection) -> None:
    append(connection, 3, key=key)
    append(connection, 2, key=key)
    verdict = verify(log.entries(connection), key)
    assert (verdict.entries, verdict.keyed) == (5, 5 if key else 0)
    first = next(log.entries(connection))
    assert (first.seq, first.prev, first.actor, first.data["at"]) == (1, GENESIS, "amend/a", str(at(0)))


def test_a_long_log_is_read_whole(connection: sa.Connection) -> None:
    append(connection, 2001)
    assert verify(log.entries(connection), None).entries == 2001


def test_a_transaction_that_fails_leaves_no_row_and_no_gap(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        append(connection, 1)
    with engine.connect() as connection, connection.begin() as transaction:
        append(connection, 1)
        transaction.rollback()
    with engine.begin() as connection:
        append(connection, 1)
        assert verify(log.entries(connection), None).entries == 2


def test_the_chain_cannot_fork(connection: sa.Connection) -> None:
    append(connection, 2)
    row = {"seq": 9, "at": 0, "kind": "x", "actor": "", "data": "{}", "keyed": False, "hash": "x"}
    for prev in (GENESIS, next(log.entries(connection)).hash):
        statement = sa.text(
            "INSERT INTO audit (seq, at, kind, actor, data, keyed, prev, hash) VALUES "
            "(:seq, :at, :kind, :actor, :data, :keyed, :prev, :hash)"
        )
        with pytest.raises(sa.exc.IntegrityError, match=r"audit[._]prev"), connection.begin_nested():
            connection.execute(statement, {**row, "prev": prev})


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE audit SET data = '{}' WHERE seq = 3", "row 3 does not fit its hash"),
        ("UPDATE audit SET data = 'no json' WHERE seq = 3", "row 3 does not hold JSON"),
        ("UPDATE audit SET data = '3' WHERE seq = 3", "row 3 does not hold JSON"),
        ("UPDATE audit SET actor = 'me' WHERE seq = 1", "row 1 does not fit its hash"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 5", "row 5 does not fit its hash"),
        ("UPDATE audit SET at = 9223372036854775807 WHERE seq = 5", "a row has no time"),
        ("UPDATE audit SET run_id = NULL WHERE seq = 2", "row 2 does not fit its hash"),
        ("UPDATE audit SET kind = 'finished' WHERE seq = 2", "row 2 does not fit its hash"),
        ("UPDATE audit SET hash = 'x' WHERE seq = 2", "row 2 does not fit its hash"),
        ("UPDATE audit SET keyed = true WHERE seq = 2", "row 2 is sealed with a key"),
        ("DELETE FROM audit WHERE seq = 3", "row 4 follows row 2: rows are missing between them"),
        ("DELETE FROM audit WHERE seq <= 2", "the log starts with row 3"),
        ("UPDATE audit SET seq = 99 WHERE seq = 2", "row 3 follows row 1"),
    ],
)
def test_a_touched_row_is_named(statement: str, told: str, connection: sa.Connection) -> None:
    append(connection)
    connection.exec_driver_sql(statement)
    assert broken(connection).startswith(told)


def test_text_in_a_column_of_numbers_which_sqlite_allows_is_named(connection: sa.Connection) -> None:
    append(connection)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("UPDATE audit SET at = 'noon' WHERE seq = 5")
        assert broken(connection).startswith("a row has no time")
    else:
        with pytest.raises(sa.exc.DataError), connection.begin_nested():
            connection.exec_driver_sql("UPDATE audit SET at = 'noon' WHERE seq = 5")


def test_swapped_rows_are_named(connection: sa.Connection) -> None:
    append(connection)
    for one, other in ((2, 99), (3, 2), (99, 3)):
        connection.exec_driver_sql(f"UPDATE audit SET seq = {other} WHERE seq = {one}")
    assert broken(connection) == "row 2 is not chained to row 1: a row was changed or exchanged"


def test_pages_are_filtered_and_newest_first(connection: sa.Connection) -> None:
    append(connection)
    Log(actor="amend/a", key=None).append(connection, Kind.FINISHED, at=at(9), data={}, run_id=1, actor="anna")

    def seqs(**filters: object) -> list[int]:
        return [entry.seq for entry in log.page(connection, limit=9, **filters)]  # type: ignore[arg-type]

    assert seqs() == [6, 5, 4, 3, 2, 1]
    assert seqs(before=3) == [2, 1]
    assert seqs(kind="finished") == [6]
    assert seqs(run_id=1) == [6, 4, 2]
    assert seqs(episode_id=7, run_id=0) == [5, 3, 1]
    assert log.page(connection, limit=1)[0].actor == "anna"
