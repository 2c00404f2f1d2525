"""The breaker over all playbooks: too many runs that did not help, and everything holds still for a while.

The guard asks it, and standstill.py tells when it opens and closes. It is worked out from the ledger each time, so that
it survives restarts and is the same on every replica.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver.settings.limits import Breaker
from receiver.store import limits, pause


def open_until(connection: sa.Connection, rule: Breaker, *, now: datetime) -> datetime | None:
    """When it closes again; None while it is closed. Failures before somebody last resumed are forgiven."""
    # one window more than can matter: what opened it may have begun to count that long before
    since = now - 2 * rule.within - rule.storm_cooldown
    forgiven = pause.resumed_at(connection)
    failures = limits.unhelpful(connection, since=max(since, forgiven) if forgiven else since)
    closes = closes_at(failures, rule)  # with those of a clock that was ahead: a clock that is set back opens nothing
    return closes if closes and now < closes else None


def closes_at(failures: Sequence[datetime], rule: Breaker) -> datetime | None:
    """When a breaker closes that these failures opened, the oldest first; None if they never did.

    It opens at `failures` within `within`, and closes after the storm cooldown, yet not before half of them, rounded
    down, or fewer are left in the window: at the edge it does not flap.
    """
    closes: datetime | None = None
    few = rule.failures // 2
    for index, at in enumerate(failures):
        first = index - rule.failures + 1
        opens = first >= 0 and failures[first] > at - rule.within
        if not opens and not (closes and at <= closes):
            continue
        calm = failures[index - few] + rule.within if index >= few else at
        rested = at + rule.storm_cooldown if opens else at
        closes = max(closes or at, calm, rested)
    return closes


def told(rule: Breaker, closes: datetime) -> str:
    """Why nothing is done, in words."""
    span = timedelta(seconds=round(rule.within.total_seconds()))
    return f"{rule.failures} runs within {span} did not help; everything holds still until {closes:%H:%M:%S} UTC"
