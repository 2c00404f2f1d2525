"""Alerts as they really came: from the deliveries that a store keeps, or from Prometheus' ALERTS series.

backtest.py plays them again. ALERTS tells when which alert fired, and none of its numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.errors import ConfigError
from receiver.marker import Marker
from receiver.prometheus import Prometheus
from receiver.run import MADE_UP
from receiver.store.deployments import every
from receiver.store.engine import open_to_read
from receiver.store.tables import alerts, deliveries
from receiver.store.writer import plain

EXPRESSION = 'ALERTS{alertstate="firing"}'
STEP = timedelta(minutes=1)
POINTS = 1440  #: of a series in one answer: a day, so that many series fit into one
GAP = timedelta(minutes=5)  #: without a sample: Prometheus' own look-back
REPEATED = timedelta(hours=4)  #: Alertmanager's own repeat_interval


@dataclass(frozen=True, kw_only=True)
class Event:
    """An alert as it was delivered at a moment."""

    at: datetime
    firing: bool
    starts_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    source: str = "default"  #: which Alertmanager told it

    def as_alert(self) -> dict[str, Any]:
        return {"labels": self.labels, "annotations": self.annotations, "startsAt": self.starts_at.isoformat()}


def of_store(url: str, *, since: datetime) -> tuple[list[Event], list[Marker]]:
    """What was delivered since then, and all deployment markers, each in order.

    ConfigError when the store cannot be read.
    """
    told = (alerts.c.status, alerts.c.starts_at, alerts.c.labels, alerts.c.annotations)
    really = (alerts.c.state != "quarantined", deliveries.c.source != MADE_UP)
    asked = (
        sa.select(deliveries.c.received_at, deliveries.c.source, *told)
        .join_from(alerts, deliveries)
        .where(deliveries.c.received_at >= since, *really)
        .order_by(deliveries.c.received_at, alerts.c.id)
    )
    engine = open_to_read(url)
    try:
        with engine.connect() as connection:
            events = [
                Event(
                    at=row.received_at,
                    firing=row.status == "firing",
                    starts_at=row.starts_at,
                    labels=row.labels,
                    annotations=row.annotations,
                    source=row.source,
                )
                for row in connection.execute(asked)
            ]
            return events, every(connection)
    except sa.exc.SQLAlchemyError as error:
        shown = sa.make_url(url).render_as_string(hide_password=True)
        raise ConfigError(shown, None, f"holds no deliveries that can be read: {plain(error)}") from error
    finally:
        engine.dispose()


async def of_prometheus(prometheus: Prometheus, *, since: datetime, until: datetime) -> list[Event]:
    """When which alert fired, as Alertmanager would have told it; Temporary or Permanent as `query`."""
    moments: dict[frozenset[tuple[str, str]], list[datetime]] = {}
    begin = since
    while begin < until:
        end = min(until, begin + POINTS * STEP)
        for labels, samples in await prometheus.history(EXPRESSION, start=begin, end=end, step=STEP):
            named = frozenset((name, text) for name, text in labels.items() if name not in ("__name__", "alertstate"))
            moments.setdefault(named, []).extend(datetime.fromtimestamp(at, UTC) for at in samples)
        begin = end + STEP
    found = [event for named, at in moments.items() for event in _told(dict(named), at, until)]
    return sorted(found, key=lambda event: event.at)


def _told(labels: Mapping[str, str], moments: list[datetime], until: datetime) -> Iterator[Event]:
    """The deliveries about a series: when it begins, as often as it is repeated, and when it ends."""
    for first, last in _stretches(moments):
        at = first
        while at <= last:
            yield Event(at=at, firing=True, starts_at=first, labels=labels)
            at += REPEATED
        if last + GAP < until:  # otherwise it still fires
            yield Event(at=last + STEP, firing=False, starts_at=first, labels=labels)


def _stretches(moments: list[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """First and last moment of each stretch without a gap."""
    first = last = moments[0]
    for at in moments[1:]:
        if at - last > GAP:
            yield first, last
            first = at
        last = at
    yield first, last
