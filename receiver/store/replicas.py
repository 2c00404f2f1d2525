"""Queries on the processes that share a store."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver.store.engine import backend
from receiver.store.tables import replicas

FORGOTTEN = timedelta(hours=1)  #: after which a replica that is gone is not listed any more


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A process as it last told of itself."""

    name: str
    config: str  #: the fingerprint of what it runs on
    started_at: datetime
    seen_at: datetime


def report(connection: sa.Connection, *, name: str, config: str, started_at: datetime, at: datetime) -> None:
    """Tell that this one is there, and forget those that have long been gone."""
    now = backend(connection).lease_clock(connection, at)
    known = connection.execute(replicas.update().where(replicas.c.name == name).values(config=config, seen_at=now))
    if not known.rowcount:
        row = {"name": name, "config": config, "started_at": started_at, "seen_at": now}
        connection.execute(replicas.insert(), row)
    connection.execute(replicas.delete().where(replicas.c.seen_at < now - FORGOTTEN))


def leave(connection: sa.Connection, *, name: str) -> None:
    connection.execute(replicas.delete().where(replicas.c.name == name))


def seen_within(connection: sa.Connection, *, within: timedelta, at: datetime) -> list[Replica]:
    """Those that told of themselves lately, by name."""
    since = backend(connection).lease_clock(connection, at) - within
    query = sa.select(replicas).where(replicas.c.seen_at >= since).order_by(replicas.c.name)
    return [Replica(**row) for row in connection.execute(query).mappings()]
