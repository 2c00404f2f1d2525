"""Which episode an alert of a delivery belongs to, and what it changes there.

Pure rules over what is known, called for each stored alert in order; deliveries that come twice, late, or in the wrong
order lead to the same answer.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from receiver.alerts import Alert
from receiver.run import Episode


class Change(StrEnum):
    """What one alert does to the episodes of its alert key."""

    OPEN = "open"  #: a new episode
    REFRESH = "refresh"  #: the open one is still firing
    REOPEN = "reopen"  #: the last one was closed too early: it goes on
    CLOSE = "close"  #: the open one is over
    REMEMBER = "remember"  #: it was over before we heard of it: keep its end, so that a late firing is known as late
    STALE = "stale"  #: about something that is over, or a repetition: changes nothing
    ASK = "ask"  #: a real re-fire, or a start that drifted? Prometheus knows


@dataclass(frozen=True)
class Windows:
    reopen: timedelta  #: longer than Prometheus' 4 x max(interval, resend-delay), after which a resolved may be false


def judge(alert: Alert, *, current: Episode | None, last: Episode | None, windows: Windows) -> Change:
    """The change, given the open episode of the alert's key and the last closed one."""
    # an open episode, too, may have ended before and gone on: what is told late about that time is over
    ends = [episode.ends_at for episode in (current, last) if episode and episode.ends_at]
    if ends and (alert.starts_at if alert.firing else alert.end) <= max(ends):
        return Change.STALE
    if alert.firing:
        return _firing(alert, current, last, windows)
    return _resolved(alert, current)


def _firing(alert: Alert, current: Episode | None, last: Episode | None, windows: Windows) -> Change:
    if current:
        # the `resolved` in between may have been lost or silenced
        drifted = alert.starts_at > current.last_seen_at + windows.reopen
        return Change.ASK if drifted else Change.REFRESH
    if last and last.ends_at and alert.starts_at <= last.ends_at + windows.reopen:
        return Change.REOPEN
    return Change.OPEN


def _resolved(alert: Alert, current: Episode | None) -> Change:
    if current is None:
        return Change.REMEMBER
    return Change.CLOSE if alert.end >= current.starts_at else Change.STALE
