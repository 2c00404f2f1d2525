"""Queries that remove what is older than the store is to keep: a batch at a time, so that no delivery waits for long.

Nothing goes that something still rests on: no open episode, no run that is not over, no alert that nobody looked at.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from receiver.run import OVER
from receiver.store.tables import alerts, approvals, audit, deliveries, deployments, episodes, runs, steps

BATCH = 500  #: rows of the leading table in one transaction
ENTRIES = 10_000  #: of the audit log
MARKERS = 20  #: of a service, that stay however old they are


@dataclass(frozen=True)
class Prefix:
    """The oldest rows of the audit log, to be removed."""

    entries: int
    through: int  #: the last of them
    hash: str  #: of that one: what the first that stays is chained to


def prune_deliveries(connection: sa.Connection, *, before: datetime) -> int:
    """Remove the oldest deliveries with their alerts; how many."""
    unread = sa.exists().where(alerts.c.delivery_id == deliveries.c.id, alerts.c.state == "new")
    oldest = sa.select(deliveries.c.id, deliveries.c.received_at, unread).order_by(deliveries.c.id).limit(BATCH)
    ids = [row.id for row in connection.execute(oldest) if row.received_at < before and not row[2]]
    _delete(connection, alerts.c.delivery_id, ids)
    _delete(connection, deliveries.c.id, ids)
    return len(ids)


def prune_episodes(connection: sa.Connection, *, before: datetime) -> int:
    """Remove episodes that have long been closed, with their runs; how many."""
    alive = sa.exists().where(runs.c.episode_id == episodes.c.id, runs.c.status.not_in(OVER))
    old = sa.select(episodes.c.id).where(episodes.c.closed_at < before, ~alive).order_by(episodes.c.id).limit(BATCH)
    ids = connection.execute(old).scalars().all()
    of_them = connection.execute(sa.select(runs.c.id).where(runs.c.episode_id.in_(ids))).scalars().all()
    _delete(connection, approvals.c.run_id, of_them)
    _delete(connection, steps.c.run_id, of_them)
    _delete(connection, runs.c.id, of_them)
    _delete(connection, episodes.c.id, ids)
    return len(ids)


def prune_deployments(connection: sa.Connection, *, before: datetime) -> int:
    """Remove old markers but for the latest of each service, among which a rollback looks; how many."""
    place = sa.func.row_number().over(partition_by=deployments.c.service, order_by=deployments.c.at.desc())
    numbered = sa.select(deployments.c.id, deployments.c.at, place.label("place")).subquery()
    old = sa.select(numbered.c.id).where(numbered.c.at < before, numbered.c.place > MARKERS).limit(BATCH)
    ids = connection.execute(old).scalars().all()
    _delete(connection, deployments.c.id, ids)
    return len(ids)


def old_entries(connection: sa.Connection, *, before: datetime) -> Prefix | None:
    """The audit log's first rows that are all older; None when the first of all is not."""
    first = connection.execute(sa.select(audit.c.seq, audit.c.at).order_by(audit.c.seq).limit(1)).first()
    if first is None or first.at >= before:  # so it mostly is, and nothing else need be read
        return None
    kept = connection.execute(sa.select(sa.func.min(audit.c.seq)).where(audit.c.at >= before)).scalar()
    old = audit.c.seq < first.seq + ENTRIES
    last = connection.execute(
        sa.select(audit.c.seq, audit.c.hash)
        .where(old if kept is None else old & (audit.c.seq < kept))
        .order_by(audit.c.seq.desc())
        .limit(1)
    ).one()
    return Prefix(last.seq - first.seq + 1, last.seq, last.hash)


def remove_entries(connection: sa.Connection, prefix: Prefix) -> None:
    connection.execute(audit.delete().where(audit.c.seq <= prefix.through))


def _delete(connection: sa.Connection, column: sa.Column[int], ids: Collection[int]) -> None:
    if ids:
        connection.execute(column.table.delete().where(column.in_(ids)))
