"""The store as the rest of the receiver sees it: reads in a few threads, and one thread in which all writes commit.

Writes that wait at the same moment share one commit, which is what makes durable intake fast: each has a savepoint of
its own, so one that fails takes no other with it, and none is answered before the commit.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from receiver import metrics
from receiver.errors import Temporary
from receiver.store.engine import migrate, open_engine

T = TypeVar("T")
Query = Callable[[sa.Connection], T]

TOGETHER = 200  #: writes that share one commit at most
WAITING = 20_000  #: writes that may wait; more is an overload, and the sender is told to come back


class StoreError(Temporary):
    """The store did not take or give something; nothing was written."""


class Ledger:
    """An open store. `write` and `read` run a function of a connection; what it returns comes back."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        migrate(self.engine)
        self._file = Path(self.engine.url.database or "") if self.engine.dialect.name == "sqlite" else None
        self._inode = _inode(self._file)
        self._jobs: queue.Queue[tuple[Query[Any], Future[Any]] | None] = queue.Queue(WAITING)
        self._readers = ThreadPoolExecutor(3, thread_name_prefix="store-read")
        self._writer = threading.Thread(target=self._write_forever, name="store-write", daemon=True)
        self._writer.start()

    async def write(self, query: Query[T]) -> T:
        """Run in a transaction; returns when it is durable. StoreError: nothing of it was kept."""
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((query, future))
        except queue.Full:
            raise StoreError("too many writes are waiting") from None
        return await asyncio.wrap_future(future)

    async def read(self, query: Query[T]) -> T:
        """Run on a snapshot; StoreError when the store does not answer."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    async def close(self) -> None:
        """Finish the writes that wait, then let go."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._jobs.put(None)
        self._writer.join(timeout=10)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()

    def _read(self, query: Query[T]) -> T:
        self._insist_on_file()
        try:
            with self.engine.connect().execution_options(reading=True) as connection:
                return query(connection)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the store cannot be read: {_plain(error)}") from error

    def _write_forever(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(jobs) < TOGETHER:
                    jobs.append(self._jobs.get_nowait())
            self._commit([job for job in jobs if job])
            if None in jobs:
                return

    def _commit(self, jobs: list[tuple[Query[Any], Future[Any]]]) -> None:
        wanted = [job for job in jobs if job[1].set_running_or_notify_cancel()]
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._insist_on_file()
            with self.engine.begin() as connection:
                for query, future in wanted:
                    try:
                        with connection.begin_nested():
                            done.append((future, query(connection)))
                    except Exception as error:  # handed to whoever asked; the others' writes go on
                        if _is_stores_own(error):
                            raise  # SQLite may have rolled everything back: nobody may be told otherwise
                        future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - the commit failed: all who waited for it are told
            metrics.STORE_ERRORS.inc()
            for _, future in wanted:
                if not future.done():
                    future.set_exception(StoreError(f"the store does not take writes: {_plain(error)}"))
            return
        for future, result in done:
            future.set_result(result)

    def _insist_on_file(self) -> None:
        # SQLite goes on writing to a file that was deleted, and nobody would ever find what it acknowledges.
        if _inode(self._file) != self._inode:
            raise StoreError(f"{self._file} was deleted or replaced while in use; start amend again")


def _inode(file: Path | None) -> tuple[int, int] | None:
    """What tells a file from another one of its name; None where there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def _is_stores_own(error: Exception) -> bool:
    """A disk that is full, a database that is gone: not what a query did."""
    return isinstance(error, sa.exc.DBAPIError) and not isinstance(error, sa.exc.IntegrityError | sa.exc.DataError)


def _plain(error: Exception) -> str:
    """The first error: that a savepoint is gone only came of a disk that is full."""
    first: BaseException = error
    inner = error.__context__
    while inner:  # the driver's own errors stand between SQLAlchemy's
        first = inner if isinstance(inner, sa.exc.DBAPIError) else first
        inner = inner.__context__
    lines = str(getattr(first, "orig", None) or first).splitlines()
    return lines[0] if lines else type(first).__name__
