"""PostgreSQL as the store: what several replicas coordinate by.

A replica that hangs in the middle of a transaction is thrown out by the server within seconds, so that none holds up
the others for longer; what it was writing is gone, and its runs are taken over when their leases end.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.errors import ConfigError
from receiver.store.statement import Statement

#: Execution options of a transaction that sees one snapshot.
READING: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}

BOOKS = 0x616D656E64  #: the key of the advisory lock, "amend" in ASCII

_LOCK = Statement(sa.select(sa.func.pg_advisory_xact_lock(BOOKS)))
_CLOCK = Statement(sa.select(sa.func.clock_timestamp()))

SESSION = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    "timezone": "UTC",
}

# A server that is gone without a word is noticed within some seconds, not after the hours that TCP waits by itself.
CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def open_engine(url: sa.URL, *, pool_size: int) -> sa.Engine:
    """An engine whose connections are tried before they are used; ConfigError where its driver is missing."""
    if "+" not in url.drivername:  # SQLAlchemy would take a driver that we do not bring
        url = url.set(drivername="postgresql+psycopg")
    shown = url.render_as_string(hide_password=True)
    try:
        engine = sa.create_engine(
            url, pool_size=pool_size, pool_timeout=5, pool_pre_ping=True, connect_args=dict(CONNECT)
        )
    except ModuleNotFoundError as error:
        raise ConfigError(shown, None, f"needs {error.name}; install amend[postgres]") from error
    except sa.exc.NoSuchModuleError as error:
        raise ConfigError(shown, None, "there is no such driver; write postgresql+psycopg://…") from error
    sa.event.listen(engine, "connect", _connect)
    return engine


def open_to_read(engine: sa.Engine) -> sa.Engine:
    """The same engine: looking changes nothing."""
    return engine


def lock_books(connection: sa.Connection) -> None:
    """Wait until no other replica writes in the books, and keep the others waiting until the commit.

    One writer at a time is what the audit log's chain needs anyway; and no limit can be passed by two at once.
    """
    _LOCK.all(connection, {})


def lease_clock(connection: sa.Connection, _: datetime) -> datetime:
    """The time by which leases end: the server's, since replicas' clocks may differ."""
    now: datetime = _CLOCK.scalar(connection, {})
    return now


def _connect(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in SESSION.items():
            cursor.execute(f"SET {name} = '{value}'")
    connection.commit()
