"""A ledger that is thrown away after a rehearsal: made from an empty one, and left to the disk."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from receiver.store import Ledger
from receiver.store.engine import migrate, open_engine


def throwaway(directory: Path) -> Ledger:
    """A ledger in this directory, which need not outlive a power cut."""
    file = directory / "rehearsal.db"
    file.write_bytes(_empty())
    ledger = Ledger(f"sqlite:///{file}")
    sa.event.listen(ledger.engine, "connect", _leave_to_the_disk)
    ledger.engine.dispose()  # the connection that has been opened waits for the disk
    return ledger


@cache
def _empty() -> bytes:
    """A new ledger's file: to make one takes longer than most tests."""
    with TemporaryDirectory(prefix="amend-rehearsal-") as directory:
        file = Path(directory) / "empty.db"
        engine = open_engine(f"sqlite:///{file}")
        migrate(engine)
        engine.dispose()
        return file.read_bytes()


def _leave_to_the_disk(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")
