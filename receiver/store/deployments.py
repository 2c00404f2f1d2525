"""Queries on deployment markers: written as they come, read by the service that they are about."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from receiver.marker import Marker, MarkerStatus
from receiver.store.tables import deployments

FAR_ENOUGH = 200  #: markers of a service that are looked through


def add(connection: sa.Connection, marker: Marker) -> int:
    """Write a marker down; its id."""
    values = {name: value for name, value in asdict(marker).items() if name != "id"}
    stored: int = connection.execute(deployments.insert().returning(deployments.c.id), values).scalar_one()
    return stored


def newest(connection: sa.Connection, services: Collection[str]) -> list[Marker]:
    """Those about any of these names, the newest first."""
    found = (
        sa.select(deployments)
        .where(deployments.c.service.in_(sorted(services)))
        .order_by(deployments.c.at.desc(), deployments.c.id.desc())
        .limit(FAR_ENOUGH)
    )
    return [_marker(row) for row in connection.execute(found)]


def every(connection: sa.Connection) -> list[Marker]:
    """All of them, the oldest first."""
    return [_marker(row) for row in connection.execute(sa.select(deployments).order_by(deployments.c.at))]


def page(
    connection: sa.Connection, *, limit: int, before: int | None = None, service: str | None = None
) -> Sequence[Marker]:
    """In the order in which they came, the newest first."""
    found = sa.select(deployments).order_by(deployments.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(deployments.c.id < before)
    if service is not None:
        found = found.where(deployments.c.service == service)
    return [_marker(row) for row in connection.execute(found)]


def _marker(row: sa.Row[tuple[object, ...]]) -> Marker:
    return Marker(
        id=row.id,
        service=row.service,
        version=row.version,
        status=MarkerStatus(row.status),
        at=row.at,
        by=row.by,
        metadata=row.metadata,
    )
