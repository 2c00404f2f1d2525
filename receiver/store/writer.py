"""One thread in which writes commit, as many together as wait at the moment, which is what makes durable intake fast.

Each write has a savepoint of its own, so one that fails takes no other with it, and none is answered before the commit.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

import sqlalchemy as sa

from receiver import metrics
from receiver.errors import Temporary
from receiver.store.savepoint import savepoint

T = TypeVar("T")
Query = Callable[[sa.Connection], T]

TOGETHER = 200  #: writes that share one commit at most
WAITING = 20_000  #: writes that may wait; more is an overload, and the sender is told to come back


class StoreError(Temporary):
    """The store did not take or give something; nothing was written."""


class Writer:
    """`submit` from any thread; `begin` is called with each transaction before its first write, and may refuse it."""

    def __init__(self, engine: sa.Engine, *, name: str, begin: Callable[[sa.Connection], None]) -> None:
        self._engine = engine
        self._begin = begin
        self._jobs: queue.Queue[tuple[Query[Any], Future[Any]] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, query: Query[T]) -> Future[T]:
        """What the query gives, once it is durable. StoreError: nothing of it was kept."""
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((query, future))
        except queue.Full:
            raise StoreError("too many writes are waiting") from None
        return future

    def stop(self, within: float) -> None:
        """Finish the writes that wait."""
        self._jobs.put(None)
        self._thread.join(timeout=within)

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
        alone = len(wanted) == 1  # its transaction is savepoint enough
        done: list[tuple[Future[Any], Any]] = []
        try:
            with self._engine.begin() as connection:
                self._begin(connection)
                for query, future in wanted:
                    try:
                        with nullcontext() if alone else savepoint(connection):
                            done.append((future, query(connection)))
                    except Exception as error:  # handed to whoever asked; the others' writes go on
                        if is_stores_own(error):
                            raise  # SQLite may have rolled everything back: nobody may be told otherwise
                        future.set_exception(error)
                        if alone:
                            raise
        except Exception as error:  # noqa: BLE001 - the commit failed: all who waited for it are told
            waiting = [future for _, future in wanted if not future.done()]
            for future in waiting:
                future.set_exception(StoreError(f"the store does not take writes: {plain(error)}"))
            if waiting:
                metrics.STORE_ERRORS.inc()
            return
        for future, result in done:
            future.set_result(result)


def plain(error: Exception) -> str:
    """The first error, in one line: that a savepoint is gone only came of a disk that is full."""
    first: BaseException = error
    inner = error.__context__
    while inner:  # the driver's own errors stand between SQLAlchemy's
        first = inner if isinstance(inner, sa.exc.DBAPIError) else first
        inner = inner.__context__
    lines = str(getattr(first, "orig", None) or first).splitlines()
    return lines[0] if lines else type(first).__name__


def is_stores_own(error: Exception) -> bool:
    """A disk that is full, a database that is gone: not what a query did."""
    return isinstance(error, sa.exc.DBAPIError) and not isinstance(error, sa.exc.IntegrityError | sa.exc.DataError)
