"""Group commit: many writes in one sync, each with its own fate, and none answered before it is on disk."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from receiver.audit import Kind, verify
from receiver.store import Ledger, StoreError, writer
from receiver.store.log import Log, entries
from receiver.store.tables import deliveries
from tests.bed.postgresql import PostgreSql
from tests.store.conftest import at, deliver

T = TypeVar("T")


def using(database: Path, work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Do something with an open ledger, and close it."""

    async def run() -> T:
        opened = Ledger(f"sqlite:///{database}")
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())


def numbers(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(deliveries.c.group_key).order_by(deliveries.c.id)).scalars())


def write(name: str) -> Callable[[sa.Connection], str]:
    """A write that leaves a delivery of this name."""

    def query(connection: sa.Connection) -> str:
        row = {"source": "", "receiver": "", "external_url": "", "alerts": 0, "truncated": 0}
        connection.execute(deliveries.insert(), {**row, "received_at": at(0), "group_key": name})
        return name

    return query


def fail(error: Exception) -> Callable[[sa.Connection], str]:
    """A write that leaves something, and then fails."""

    def query(connection: sa.Connection) -> str:
        write("never")(connection)
        raise error

    return query


def test_what_was_written_is_there_for_others_when_the_answer_comes(database: Path) -> None:
    async def work(ledger: Ledger) -> None:
        for number in range(3):
            assert await ledger.write(write(str(number))) == str(number)
            with sqlite3.connect(database) as other:
                assert other.execute("SELECT count(*) FROM deliveries").fetchone() == (number + 1,)
            other.close()

    using(database, work)


def test_writes_that_wait_together_share_one_commit(database: Path) -> None:
    commits = []

    async def work(ledger: Ledger) -> list[str]:
        sa.event.listen(ledger.engine, "commit", lambda _: commits.append(1))
        held = asyncio.create_task(ledger.write(blocked))
        await asyncio.to_thread(entered.wait)
        together = [asyncio.create_task(ledger.write(write(str(number)))) for number in range(100)]
        await asyncio.sleep(0)  # each has put its job into the queue
        release.set()
        await held
        told = await asyncio.gather(*together)
        assert len(commits) == 2
        return told

    entered, release = threading.Event(), threading.Event()

    def blocked(_: sa.Connection) -> None:
        entered.set()
        assert release.wait(60)

    assert using(database, work) == [str(number) for number in range(100)]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyError("mine"), StoreError("mine")])
def test_a_write_that_fails_takes_no_other_with_it(error: Exception, database: Path) -> None:
    async def work(ledger: Ledger) -> list[str]:
        jobs = [ledger.write(write("a")), ledger.write(fail(error)), ledger.write(write("b"))]
        first, failed, last = await asyncio.gather(*jobs, return_exceptions=True)
        assert (first, last) == ("a", "b")
        assert failed is error
        return await ledger.read(numbers)

    assert using(database, work) == ["a", "b"]


def test_a_row_that_breaks_a_rule_of_the_database_takes_no_other_with_it(database: Path) -> None:
    def orphan(connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            "INSERT INTO alerts VALUES (1, 999, 'new', '', '', '', '', '{}', '{}', 0, 0)"  # of no delivery
        )

    async def work(ledger: Ledger) -> list[str]:
        jobs = [ledger.write(write("a")), ledger.write(orphan), ledger.write(write("b"))]
        _, failed, _ = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(failed, sa.exc.IntegrityError)
        return await ledger.read(numbers)

    assert using(database, work) == ["a", "b"]


def test_a_full_disk_refuses_everything_and_recovers_by_itself(database: Path) -> None:
    def fill(connection: sa.Connection) -> None:
        deliver(connection)
        for _ in range(1000):
            write("x" * 4000)(connection)

    async def work(ledger: Ledger) -> list[str]:
        await ledger.write(write("before"))

        def most_pages(number: int) -> None:
            @sa.event.listens_for(ledger.engine, "begin", named=True)
            def _(**given: sa.Connection) -> None:
                given["conn"].exec_driver_sql(f"PRAGMA max_page_count = {number}")

        most_pages(60)
        together = await asyncio.gather(ledger.write(write("beside")), ledger.write(fill), return_exceptions=True)
        assert isinstance(together[1], StoreError)
        assert "full" in str(together[1])
        kept = await ledger.read(numbers)
        assert ("beside" in kept) == (together[0] == "beside"), "an answer must tell what is on disk"
        most_pages(1_000_000)
        await ledger.write(write("after"))
        return await ledger.read(numbers)

    kept = using(database, work)
    assert kept[0] == "before"
    assert kept[-1] == "after"


def test_a_database_that_somebody_else_holds_is_a_store_error_and_nothing_is_kept(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(ledger: Ledger) -> list[str]:
        await ledger.write(write("before"))
        sa.event.listen(
            ledger.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout = 50")
        )
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await ledger.write(write("refused"))
        other.execute("ROLLBACK")
        other.close()
        await ledger.write(write("after"))
        return await ledger.read(numbers)

    assert using(database, work) == ["before", "after"]


def test_more_writes_than_may_wait_are_refused_at_once(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAITING", 2)
    entered, release = threading.Event(), threading.Event()

    def blocked(_: sa.Connection) -> None:
        entered.set()
        assert release.wait(60)

    async def work(opened: Ledger) -> None:
        held = asyncio.create_task(opened.write(blocked))
        await asyncio.to_thread(entered.wait)
        waiting = [asyncio.create_task(opened.write(write(str(number)))) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="too many writes are waiting"):
            await opened.write(write("refused"))
        release.set()
        await asyncio.gather(held, *waiting)

    using(database, work)


def test_closing_finishes_what_waits(database: Path) -> None:
    async def work(ledger: Ledger) -> list[asyncio.Task[str]]:
        tasks = [asyncio.create_task(ledger.write(write(str(number)))) for number in range(50)]
        await asyncio.sleep(0)
        return tasks

    async def run() -> None:
        opened = Ledger(f"sqlite:///{database}")
        tasks = await work(opened)
        await opened.close()
        assert [await task for task in tasks] == [str(number) for number in range(50)]

    asyncio.run(run())
    with sqlite3.connect(database) as other:
        assert other.execute("SELECT count(*) FROM deliveries").fetchone() == (50,)


def test_a_read_sees_one_moment(database: Path) -> None:
    async def work(ledger: Ledger) -> tuple[int, int]:
        await ledger.write(write("a"))
        begun, go_on = threading.Event(), threading.Event()

        def twice(connection: sa.Connection) -> tuple[int, int]:
            before = len(numbers(connection))
            begun.set()
            assert go_on.wait(60)
            return before, len(numbers(connection))

        reading = asyncio.create_task(ledger.read(twice))
        await asyncio.to_thread(begun.wait)
        await ledger.write(write("b"))
        go_on.set()
        return await reading

    assert using(database, work) == (1, 1)


def test_a_store_that_is_gone_is_a_store_error_to_readers(database: Path) -> None:
    async def work(ledger: Ledger) -> None:
        with pytest.raises(StoreError, match="the store cannot be read: no such table: nowhere"):
            await ledger.read(lambda connection: connection.exec_driver_sql("SELECT * FROM nowhere"))

    using(database, work)


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(database: Path, *, replaced: bool) -> None:
    def remove() -> None:
        for file in database.parent.glob("amend.db*"):
            file.unlink()
        if replaced:
            database.touch()

    async def work(ledger: Ledger) -> None:
        await ledger.write(write("before"))
        remove()
        with pytest.raises(StoreError, match="was deleted or replaced"):
            await ledger.write(write("after"))
        with pytest.raises(StoreError, match="was deleted or replaced"):
            await ledger.read(numbers)

    using(database, work)


# ── several replicas on PostgreSQL ──


def test_replicas_that_write_at_once_leave_one_chain(postgresql: PostgreSql) -> None:
    url = postgresql.database()

    async def run() -> int:
        replicas = [Ledger(url) for _ in range(3)]
        books = [Log(actor=f"replica {number}", key=None) for number in range(3)]
        rows = [
            ledger.write(partial(book.append, kind=Kind.SKIPPED, at=at(number), data={"n": number}))
            for number in range(50)
            for ledger, book in zip(replicas, books, strict=True)
        ]
        await asyncio.gather(*rows)
        verdict = await replicas[0].read(lambda connection: verify(entries(connection), None))
        for ledger in replicas:
            await ledger.close()
        return verdict.entries

    assert asyncio.run(run()) == 150


def test_deliveries_do_not_wait_for_a_replica_that_hangs_and_the_books_not_for_long(postgresql: PostgreSql) -> None:
    url = postgresql.database()

    async def run() -> None:
        ours, theirs = Ledger(url), Ledger(url)
        entered, release = threading.Event(), threading.Event()

        def hang(connection: sa.Connection) -> None:
            write("never")(connection)
            entered.set()
            assert release.wait(60)

        hanging = asyncio.create_task(theirs.write(hang))
        await asyncio.to_thread(entered.wait)
        assert await asyncio.wait_for(ours.take_in(write("a")), timeout=2) == "a"
        assert await asyncio.wait_for(ours.write(write("b")), timeout=20) == "b"
        release.set()
        with pytest.raises(StoreError, match="idle-in-transaction"):
            await hanging
        assert await ours.read(numbers) == ["a", "b"]
        assert await theirs.write(write("c")) == "c"
        await ours.close()
        await theirs.close()

    asyncio.run(run())


def test_a_server_that_went_away_is_a_store_error_until_it_is_back(tmp_path: Path) -> None:
    with PostgreSql() as server:
        url = server.database()

        async def run() -> list[str]:
            ledger = Ledger(url)
            await ledger.write(write("before"))
            server.kill9()
            with pytest.raises(StoreError):
                await ledger.take_in(write("refused"))
            with pytest.raises(StoreError):
                await ledger.read(numbers)
            server.start()
            await ledger.take_in(write("after"))
            found = await ledger.read(numbers)
            await ledger.close()
            return found

        assert asyncio.run(run()) == ["before", "after"]
