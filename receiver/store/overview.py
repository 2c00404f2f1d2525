"""Queries for the overview page: how many runs there are of which kind, and what Alertmanager delivered last."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from receiver.run import Outcome, Status
from receiver.store.tables import alerts, deliveries, runs


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Runs in numbers."""

    acting: int  #: now
    attempted: int  #: began to act since
    fixed: int  #: of those
    skipped: Mapping[str, int]  #: since, by reason, most first


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One POST of Alertmanager, as it was stored."""

    id: int
    received_at: datetime
    receiver: str
    alerts: int
    truncated: int
    quarantined: int


def tally(connection: sa.Connection, *, since: datetime) -> Tally:
    acting = sa.select(sa.func.count()).where(runs.c.status.in_([Status.ACTING, Status.VERIFYING]))
    attempted = sa.select(sa.func.count()).where(runs.c.acted_at > since)
    skipped = (
        sa.select(runs.c.reason, sa.func.count().label("many"))
        .where(runs.c.status == Status.SKIPPED, runs.c.updated_at > since)
        .group_by(runs.c.reason)
        .order_by(sa.desc("many"), runs.c.reason)
    )
    return Tally(
        acting=connection.execute(acting).scalar_one(),
        attempted=connection.execute(attempted).scalar_one(),
        fixed=connection.execute(attempted.where(runs.c.outcome == Outcome.FIXED)).scalar_one(),
        skipped={row.reason: row.many for row in connection.execute(skipped)},
    )


def last_deliveries(connection: sa.Connection, *, limit: int) -> list[Delivery]:
    """The newest first."""
    bad = (
        sa.select(sa.func.count())
        .where(alerts.c.delivery_id == deliveries.c.id, alerts.c.state == "quarantined")
        .scalar_subquery()
    )
    query = sa.select(deliveries, bad.label("quarantined")).order_by(deliveries.c.id.desc()).limit(limit)
    return [
        Delivery(
            id=row.id,
            received_at=row.received_at,
            receiver=row.receiver,
            alerts=row.alerts,
            truncated=row.truncated,
            quarantined=row.quarantined,
        )
        for row in connection.execute(query)
    ]
