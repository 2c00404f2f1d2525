"""Queries on signals: what one process tells all others on the same store, by a name and a number that changes."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from receiver.store.statement import Statement
from receiver.store.tables import signals

_GET = Statement(sa.select(signals).where(signals.c.name == sa.bindparam("name")))


@dataclass(frozen=True, kw_only=True)
class Signal:
    """How it stands, and who last changed it."""

    number: int
    actor: str = ""
    at: datetime | None = None  #: None before the first change
    note: str = ""  #: what was said about it


def get(connection: sa.Connection, name: str) -> Signal:
    """How it stands; 0, changed by nobody, before the first change."""
    row = _GET.first(connection, {"name": name})
    return Signal(number=row.number, actor=row.actor, at=row.at, note=row.note) if row else Signal(number=0)


def change(connection: sa.Connection, name: str, number: int, *, actor: str, at: datetime, note: str = "") -> bool:
    """Change a signal; whether it was another before, which it was for one of several that ask at once."""
    if get(connection, name).number == number:
        return False
    put(connection, name, number, actor=actor, at=at, note=note)
    return True


def put(connection: sa.Connection, name: str, number: int, *, actor: str, at: datetime, note: str = "") -> None:
    """Write a signal anew, whatever it was."""
    values = {"number": number, "actor": actor, "at": at, "note": note}
    if not connection.execute(signals.update().where(signals.c.name == name).values(values)).rowcount:
        connection.execute(signals.insert(), {"name": name, **values})
