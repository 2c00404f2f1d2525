"""The store as the rest of the receiver sees it: reads in a few threads, writes in one, or two where that is faster.

Deliveries are stored apart from the books: on PostgreSQL whoever writes in the books waits for the other replicas, and
Alertmanager must not wait with them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa

from receiver.store.engine import backend, migrate, open_engine
from receiver.store.writer import Query, StoreError, T, Writer, plain


class Ledger:
    """An open store. `write` and `read` run a function of a connection; what it returns comes back."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        migrate(self.engine)
        self._file = Path(self.engine.url.database or "") if self.engine.dialect.name == "sqlite" else None
        self._inode = _inode(self._file)
        self._readers = ThreadPoolExecutor(3, thread_name_prefix="store-read")
        self._books = Writer(self.engine, name="store-write", begin=self._lock_books)
        # SQLite lets one write at a time whatever we do: there, sharing one commit is what helps.
        self._intake = self._books if self._file else Writer(self.engine, name="store-intake", begin=lambda _: None)

    async def write(self, query: Query[T]) -> T:
        """Run in a transaction that is alone in the books; durable when it returns. StoreError: nothing was kept."""
        return await asyncio.wrap_future(self._books.submit(query))

    async def take_in(self, query: Query[T]) -> T:
        """As `write`, for a delivery, which depends on nothing that the books say."""
        return await asyncio.wrap_future(self._intake.submit(query))

    async def read(self, query: Query[T]) -> T:
        """Run on a snapshot; StoreError when the store does not answer."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    async def close(self) -> None:
        """Finish the writes that wait, then let go."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for writer in {self._intake, self._books}:
            writer.stop(within=10)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()

    def _read(self, query: Query[T]) -> T:
        self._insist_on_file()
        try:
            with self.engine.connect().execution_options(**backend(self.engine).READING) as connection:
                return query(connection)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the store cannot be read: {plain(error)}") from error

    def _lock_books(self, connection: sa.Connection) -> None:
        self._insist_on_file()
        backend(connection).lock_books(connection)

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
