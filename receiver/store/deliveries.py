"""Queries on deliveries and the alerts in them: written by the webhook, worked off in order by the worker."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from receiver.alerts import Alert, Message, alert_key
from receiver.store.statement import Statement
from receiver.store.tables import alerts, deliveries

_DELIVERY = Statement(
    deliveries.insert().returning(deliveries.c.id),
    columns=["received_at", "source", "receiver", "group_key", "external_url", "alerts", "truncated"],
)
_ALERTS = Statement(alerts.insert().inline(), columns=[each.name for each in alerts.c if each is not alerts.c.id])
_WAITING = Statement(
    sa.select(alerts, deliveries.c.source, deliveries.c.received_at)
    .join(deliveries, deliveries.c.id == alerts.c.delivery_id)
    .where(alerts.c.state == "new", alerts.c.alert_key.not_in(sa.bindparam("besides", expanding=True)))
    .order_by(alerts.c.id)
    .limit(sa.bindparam("most"))
    .with_for_update(of=alerts)
)
_SETTLE = Statement(
    alerts.update().where(alerts.c.id.in_(sa.bindparam("ids", expanding=True))), columns=["state", "why"]
)


@dataclass(frozen=True)
class StoredAlert:
    """An alert as it waits for the worker."""

    id: int
    delivery_id: int
    source: str
    alert_key: str
    received_at: datetime
    alert: Alert


def store(
    connection: sa.Connection,
    message: Message,
    *,
    source: str,
    received_at: datetime,
    replica_labels: tuple[str, ...],
) -> int:
    """Keep a delivery with all its alerts, also those that could not be read; its id."""
    delivery_id: int = _DELIVERY.scalar(
        connection,
        {
            "received_at": received_at,
            "source": source,
            "receiver": message.receiver,
            "group_key": message.group_key,
            "external_url": message.external_url,
            "alerts": len(message.alerts),
            "truncated": message.truncated,
        },
    )
    rows = [
        {
            "delivery_id": delivery_id,
            "state": "new",
            "why": "",
            "alert_key": alert_key(source, alert.labels, replica_labels=replica_labels),
            "fingerprint": alert.fingerprint,
            "status": alert.status,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "starts_at": alert.starts_at,
            "ends_at": None if alert.firing else alert.end,
        }
        for alert in message.alerts
    ] + [
        {
            "delivery_id": delivery_id,
            "state": "quarantined",
            "why": bad.why,
            "alert_key": "",
            "fingerprint": "",
            "status": "",
            "labels": {},
            "annotations": {"raw": bad.raw},
            "starts_at": received_at,
            "ends_at": None,
        }
        for bad in message.quarantined
    ]
    _ALERTS.each(connection, rows)
    return delivery_id


def waiting(connection: sa.Connection, *, limit: int, besides: Collection[str] = ()) -> list[StoredAlert]:
    """The oldest alerts that nobody has looked at, in the order of their arrival; locked until the commit.

    `besides` are alert keys that something else is to be found out about first.
    """
    return [
        StoredAlert(
            id=row.id,
            delivery_id=row.delivery_id,
            source=row.source,
            alert_key=row.alert_key,
            received_at=row.received_at,
            alert=Alert.model_construct(
                status=row.status,
                labels=row.labels,
                annotations=row.annotations,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                fingerprint=row.fingerprint,
            ),
        )
        for row in _WAITING.all(connection, {"besides": list(besides), "most": limit})
    ]


def settle(connection: sa.Connection, ids: Sequence[int], *, state: str, why: str = "") -> None:
    """Mark alerts as looked at."""
    if ids:
        _SETTLE.count(connection, {"ids": ids, "state": state, "why": why})
