"""SQLite as the store: one file in WAL, a sync per commit, one process."""

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from receiver.errors import ConfigError
from receiver.store.statement import Statement

READING: dict[str, Any] = {"reading": True}  #: execution options of a transaction that writes nothing

_BEGIN_TO_READ, _BEGIN_TO_WRITE = Statement(sa.text("BEGIN")), Statement(sa.text("BEGIN IMMEDIATE"))


def open_engine(url: sa.URL, *, pool_size: int) -> sa.Engine:
    """An engine whose transactions may write from their first statement on; ConfigError for a URL without a file."""
    if url.database in (None, "", ":memory:"):
        raise ConfigError(url.render_as_string(), None, "store.url names no file; write for example sqlite:///amend.db")
    engine = sa.create_engine(url, pool_size=pool_size, poolclass=sa.QueuePool, pool_timeout=5)
    sa.event.listen(engine, "connect", _connect)
    sa.event.listen(engine, "begin", _begin)
    return engine


def open_to_read(engine: sa.Engine) -> sa.Engine:
    """Another engine on the same file that changes nothing, not even its journal mode."""
    address = f"{Path(engine.url.database or '').absolute().as_uri()}?mode=ro"
    return sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=sa.NullPool)


def lock_books(_: sa.Connection) -> None:
    """Nothing to do: whoever has begun to write is alone."""


def lease_clock(_: sa.Connection, at: datetime) -> datetime:
    """The time by which leases end: our own, as nobody on another machine uses the file."""
    return at


def _connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, below
    cursor = connection.cursor()
    # FULL: with NORMAL an acknowledged commit can be lost when the power fails
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # A deferred BEGIN that writes after somebody else's commit fails at once, ignoring busy_timeout.
    reading = connection.get_execution_options().get("reading")
    (_BEGIN_TO_READ if reading else _BEGIN_TO_WRITE).count(connection, {})
