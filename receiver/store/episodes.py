"""Queries on episodes: at most one is open per alert key, which a unique index sees to."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.run import Closing, Episode
from receiver.store.deliveries import StoredAlert
from receiver.store.statement import Row, Statement
from receiver.store.tables import episodes

_GET = Statement(sa.select(episodes).where(episodes.c.id == sa.bindparam("id")))
_OPEN_NOW = Statement(
    sa.select(sa.func.count()).where(episodes.c.id == sa.bindparam("id"), episodes.c.closed_at.is_(None))
)
_BY_ID = Statement(sa.select(episodes).where(episodes.c.id.in_(sa.bindparam("ids", expanding=True))))
_OURS = episodes.c.alert_key.in_(sa.bindparam("keys", expanding=True))
_CURRENT = Statement(sa.select(episodes).where(_OURS, episodes.c.closed_at.is_(None)))
_ENDS = (
    sa.select(episodes.c.alert_key, sa.func.max(episodes.c.ends_at).label("ends_at"))
    .where(_OURS, episodes.c.closed_at.is_not(None))
    .group_by(episodes.c.alert_key)
    .subquery()
)
_LAST = Statement(
    sa.select(episodes)
    .join(_ENDS, (_ENDS.c.alert_key == episodes.c.alert_key) & (_ENDS.c.ends_at == episodes.c.ends_at))
    .order_by(episodes.c.id)
)
_FIRST = ("alert_key", "source", "starts_at", "last_starts_at", "opened_at")  #: what only an episode's begin tells
_NEWEST = ("fingerprint", "labels", "annotations", "last_seen_at")  #: what each delivery tells anew
_END = ("ends_at", "closed_at", "closing")
_OPEN = Statement(episodes.insert().returning(episodes.c.id), columns=[*_FIRST, *_NEWEST])
_REMEMBER = Statement(episodes.insert().returning(*episodes.c), columns=[*_FIRST, *_NEWEST, *_END])
_OURSELVES = episodes.update().where(episodes.c.id == sa.bindparam("episode")).returning(*episodes.c)
_REFRESH = Statement(_OURSELVES, columns=[*_NEWEST, "starts_at", "last_starts_at", "closed_at", "closing"])
_CLOSE = Statement(_OURSELVES, columns=_END)


def get(connection: sa.Connection, episode_id: int) -> Episode | None:
    row = _GET.first(connection, {"id": episode_id})
    return _episode(row) if row else None


def is_open(connection: sa.Connection, episode_id: int) -> bool:
    return bool(_OPEN_NOW.scalar(connection, {"id": episode_id}))


def by_id(connection: sa.Connection, ids: Collection[int]) -> dict[int, Episode]:
    if not ids:
        return {}
    return {row.id: _episode(row) for row in _BY_ID.all(connection, {"ids": list(ids)})}


def newest(connection: sa.Connection, keys: Collection[str]) -> tuple[dict[str, Episode], dict[str, Episode]]:
    """By alert key: the open episodes, and of the closed ones those that ended last."""
    ours = {"keys": list(keys)}
    current = {row.alert_key: _episode(row) for row in _CURRENT.all(connection, ours)}
    last = {row.alert_key: _episode(row) for row in _LAST.all(connection, ours)}
    return current, last


def open_(connection: sa.Connection, stored: StoredAlert) -> Episode:
    """Begin an episode with its first firing."""
    told = {**_first(stored), **_newest(stored)}
    return Episode(id=_OPEN.scalar(connection, told), **told)


def remember(connection: sa.Connection, stored: StoredAlert, last: Episode | None) -> Episode:
    """Keep the end of an alert that was over before we heard of it."""
    end = {"ends_at": stored.alert.end, "closed_at": stored.received_at, "closing": Closing.RESOLVED}
    if last:
        return _changed(connection, _CLOSE, {**end, "episode": last.id})
    return _changed(connection, _REMEMBER, {**_first(stored), **_newest(stored), **end})


def refresh(connection: sa.Connection, episode: Episode, stored: StoredAlert) -> Episode:
    """Take over what a newer firing says; an episode that was closed goes on, and its last end stays known."""
    values = {
        **_newest(stored),
        "episode": episode.id,
        "starts_at": min(episode.starts_at, stored.alert.starts_at),
        "last_starts_at": max(episode.last_starts_at, stored.alert.starts_at),
        "closed_at": None,
        "closing": None,
    }
    return _changed(connection, _REFRESH, values)


def close(
    connection: sa.Connection, episode: Episode, *, at: datetime, ends_at: datetime | None, closing: Closing
) -> Episode:
    last = max(filter(None, (ends_at, episode.ends_at)), default=None)
    return _changed(connection, _CLOSE, {"episode": episode.id, "closed_at": at, "ends_at": last, "closing": closing})


def claim_failure(connection: sa.Connection, episode_id: int, run_id: int) -> bool:
    """Whether this run is the one that carries out `on_failure` in this episode: the first to ask is."""
    free = episodes.c.failure_run_id.is_(None) | (episodes.c.failure_run_id == run_id)
    claimed = connection.execute(
        episodes.update().where(episodes.c.id == episode_id, free).values(failure_run_id=run_id)
    )
    return claimed.rowcount == 1


def page(
    connection: sa.Connection,
    *,
    limit: int,
    before: int | None = None,
    open_only: bool = False,
    labels: Mapping[str, str] | None = None,
) -> list[Episode]:
    """The newest first; `labels` must all be carried. `before` is the last page's lowest id."""
    query = sa.select(episodes).order_by(episodes.c.id.desc())
    if before is not None:
        query = query.where(episodes.c.id < before)
    if open_only:
        query = query.where(episodes.c.closed_at.is_(None))
    for name, value in (labels or {}).items():
        query = query.where(episodes.c.labels[name].as_string() == value)
    return [_episode(row) for row in connection.execute(query.limit(limit))]


def silent_since(connection: sa.Connection, moment: datetime, *, limit: int = 100) -> list[Episode]:
    """Open episodes that nobody has refreshed since."""
    query = sa.select(episodes).where(episodes.c.closed_at.is_(None), episodes.c.last_seen_at < moment)
    return [_episode(row) for row in connection.execute(query.order_by(episodes.c.last_seen_at).limit(limit))]


def last_seen(connection: sa.Connection, labels: Mapping[str, str]) -> datetime | None:
    """When an open episode with all of these labels was last spoken of."""
    query = sa.select(sa.func.max(episodes.c.last_seen_at)).where(episodes.c.closed_at.is_(None))
    for name, value in labels.items():
        query = query.where(episodes.c.labels[name].as_string() == value)
    moment: datetime | None = connection.execute(query).scalar_one()
    return moment


def touch(connection: sa.Connection, episode: Episode, *, at: datetime) -> None:
    """Alertmanager still lists it: as good as a delivery that says so."""
    connection.execute(episodes.update().where(episodes.c.id == episode.id).values(last_seen_at=at))


def _first(stored: StoredAlert) -> dict[str, Any]:
    return {
        "alert_key": stored.alert_key,
        "source": stored.source,
        "starts_at": stored.alert.starts_at,
        "last_starts_at": stored.alert.starts_at,
        "opened_at": stored.received_at,
    }


def _newest(stored: StoredAlert) -> dict[str, Any]:
    return {
        "fingerprint": stored.alert.fingerprint,
        "labels": stored.alert.labels,
        "annotations": stored.alert.annotations,
        "last_seen_at": stored.received_at,
    }


def _changed(connection: sa.Connection, statement: Statement, values: Mapping[str, Any]) -> Episode:
    (row,) = statement.all(connection, values)
    return _episode(row)


def _episode(row: Row) -> Episode:
    return Episode(
        id=row.id,
        alert_key=row.alert_key,
        source=row.source,
        fingerprint=row.fingerprint,
        labels=row.labels,
        annotations=row.annotations,
        starts_at=row.starts_at,
        last_starts_at=row.last_starts_at,
        opened_at=row.opened_at,
        last_seen_at=row.last_seen_at,
        ends_at=row.ends_at,
        closed_at=row.closed_at,
        closing=Closing(row.closing) if row.closing else None,
    )
