"""Queries on the audit log: append within the transaction of what is told, page, and stream for the verifier."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.audit import GENESIS, Broken, Entry, Kind, seal
from receiver.store.statement import Statement
from receiver.store.tables import audit

_HEAD = Statement(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1))
_ADD = Statement(audit.insert().inline(), columns=audit.c.keys())


class Log:
    """The chain's end: who writes, and with which key."""

    def __init__(self, *, actor: str, key: bytes | None) -> None:
        self.actor = actor
        self.key = key
        self._together: list[dict[str, Any]] | None = None

    def append(
        self,
        connection: sa.Connection,
        kind: Kind,
        *,
        at: datetime,
        data: Mapping[str, Any],
        episode_id: int | None = None,
        run_id: int | None = None,
        actor: str | None = None,
    ) -> None:
        """Add a row after the last one, in a transaction that is alone in the books."""
        seq, prev = self._head(connection)
        text = json.dumps(data, default=str, sort_keys=True)
        values = {
            "seq": seq + 1,
            "at": at,
            "kind": kind,
            "actor": actor or self.actor,
            "data": json.loads(text),
            "episode_id": episode_id,
            "run_id": run_id,
            "keyed": self.key is not None,
            "prev": prev,
        }
        entry = Entry(**values)
        row = {
            **values,
            "kind": str(kind),
            "data": text,
            "hash": seal(entry, self.key),
        }
        if self._together is None:
            _ADD.count(connection, row)
        else:
            self._together.append(row)

    @contextmanager
    def together(self, connection: sa.Connection) -> Iterator[None]:
        """Within the block rows are only gathered; at its end they are added at once, which is many times faster."""
        rows: list[dict[str, Any]] = []
        self._together = rows
        try:
            yield
        finally:
            self._together = None
        _ADD.each(connection, rows)

    def _head(self, connection: sa.Connection) -> tuple[int, str]:
        """Number and hash of the last row."""
        if self._together:
            return self._together[-1]["seq"], self._together[-1]["hash"]
        last = _HEAD.first(connection, {})
        return (last.seq, last.hash) if last else (0, GENESIS)


def entries(connection: sa.Connection, *, after: int = 0) -> Iterator[Entry]:
    """Every row in order, a batch at a time; Broken at one that cannot be read."""
    while True:
        found = _read(connection, sa.select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(1000))
        yield from found
        if not found:
            return
        after = found[-1].seq


def page(
    connection: sa.Connection,
    *,
    limit: int,
    before: int | None = None,
    kind: str | None = None,
    run_id: int | None = None,
    episode_id: int | None = None,
) -> list[Entry]:
    """The newest rows first, of one kind, run or episode when asked for; `before` is the last page's lowest seq.

    Broken where one cannot be read.
    """
    query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)
    for column, value in ((audit.c.kind, kind), (audit.c.run_id, run_id), (audit.c.episode_id, episode_id)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return _read(connection, query)


def _read(connection: sa.Connection, query: sa.Select[Any]) -> list[Entry]:
    try:
        rows = connection.execute(query).all()
    except (TypeError, OverflowError) as error:
        # SQLite keeps text in a column of numbers, if somebody puts it there
        raise Broken("a row has no time: its content was changed") from error
    return [_entry(row) for row in rows]


def _entry(row: sa.Row[Any]) -> Entry:
    try:
        data = dict(json.loads(row.data))
    except (ValueError, TypeError, RecursionError) as error:
        raise Broken(f"row {row.seq} does not hold JSON: its content was changed") from error
    return Entry(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        actor=row.actor,
        data=data,
        episode_id=row.episode_id,
        run_id=row.run_id,
        keyed=row.keyed,
        prev=row.prev,
        hash=row.hash,
    )
