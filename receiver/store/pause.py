"""Queries on the pause switch: while it is on, no action starts on any replica.

It is turned in the books, as claims are: once that is committed, nothing more is claimed.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from receiver.store import signals

SIGNAL = "paused"
FORGIVEN = "forgiven"  #: when somebody last resumed; it stands while everything is paused again


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Who holds everything still, since when, and why."""

    by: str
    since: datetime
    why: str

    def __str__(self) -> str:
        said = f": {self.why}" if self.why else ""
        return f"paused by {self.by} since {self.since:%Y-%m-%d %H:%M:%S} UTC{said}"


def current(connection: sa.Connection) -> Pause | None:
    """The pause, while there is one."""
    signal = signals.get(connection, SIGNAL)
    return Pause(by=signal.actor, since=signal.at, why=signal.note) if signal.number and signal.at else None


def resumed_at(connection: sa.Connection) -> datetime | None:
    """When somebody last had everything go on; failures before that are forgiven."""
    return signals.get(connection, FORGIVEN).at


def turn(connection: sa.Connection, *, on: bool, by: str, at: datetime, why: str = "") -> bool:
    """Turn the switch; whether it stood otherwise before. Resuming forgives failures, whichever way it stood."""
    if not on:
        signals.put(connection, FORGIVEN, 1, actor=by, at=at)
    return signals.change(connection, SIGNAL, int(on), actor=by, at=at, note=why)
