"""Whether the alert, and the time, are as the playbook wants them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver.case import Case, World
from receiver.condition import NoNumber
from receiver.guards.guard import LedgerGuard
from receiver.run import Reason, Refusal, Status
from receiver.store import episodes
from receiver.time_intervals import NamedIntervals, next_change


class Enabled:
    name = "enabled"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        if not case.playbook.enabled:
            raise case.refuse(Reason.DISABLED, f"{case.playbook.place} says enabled: false")


class EpisodeState(LedgerGuard):
    """The alert must still be as `on` wants it."""

    name = "episode"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        firing = episodes.is_open(connection, case.episode.id)
        if case.playbook.on == "firing" and not firing:
            raise case.refuse(Reason.RESOLVED, "the alert was over before its turn came")
        if case.playbook.on == "resolved" and firing:
            raise case.refuse(Reason.STALE, "the alert fires again")


class Age:
    """How long after the moment it should have been decided; waits that a guard asked for do not count."""

    name = "age"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        if case.run.status is not Status.MATCHED:
            return  # it was looked at in time, and waits for what a guard asked for, or for people
        late = case.now - (case.run.wake_at or case.run.created_at)
        if late > case.playbook.max_age:
            raise case.refuse(
                Reason.STALE, f"its turn came {late.total_seconds():.0f}s late; max_age allows {case.playbook.max_age}"
            )


class InTime:
    """The playbook's calendar."""

    name = "time_intervals"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        playbook = case.playbook
        active = playbook.intervals(playbook.active_time_intervals)
        mute = playbook.intervals(playbook.mute_time_intervals)
        outside = f"it is not {_either(active)}" if active and not _holding(active, case.now) else ""
        if muted := _holding(mute, case.now):
            outside = f"it is {muted[0].name}, when the playbook is mute"
        if outside:
            changes = [next_change(active, case.now), next_change(mute, case.now)]
            retry_at = min(filter(None, changes), default=case.now + timedelta(days=1))
            raise Refusal(Reason.OUTSIDE_TIME_INTERVAL, outside, retry_at=retry_at)


def _holding(intervals: Sequence[NamedIntervals], now: datetime) -> list[NamedIntervals]:
    return [named for named in intervals if named.holds(now)]


def _either(intervals: Sequence[NamedIntervals]) -> str:
    return " or ".join(named.name for named in intervals)


class ConditionHolds:
    name = "condition"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        condition = case.playbook.condition
        if condition is None:
            return
        try:
            if condition.holds(case.episode.annotations):
                return
        except NoNumber as missing:
            raise case.refuse(Reason.NO_DATA, str(missing)) from missing
        raise case.refuse(Reason.CONDITION_FALSE, f"not true of the alert's numbers: {condition.text}")
