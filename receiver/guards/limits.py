"""How much may be done at all: by one playbook, by all of them, and while too little of it helps."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver import breaker
from receiver.actions import ACTIONS
from receiver.case import Case, World
from receiver.guards.guard import LedgerGuard
from receiver.playbook import Step
from receiver.run import Reason, Refusal, Status
from receiver.store import limits

COUNTED = tuple(verb for verb, action in ACTIONS.items() if action.counts)
"""Verbs that limits.actions_per_minute counts."""


class MaxTargets(LedgerGuard):
    """Different workloads that this playbook touched lately."""

    name = "max_targets"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        allowed = case.playbook.max_targets
        if allowed is None:
            return
        touched = limits.touched(connection, since=case.now - allowed.within, playbook=case.playbook.name)
        _few_enough(case, Reason.MAX_TARGETS, touched, allowed.count, allowed.within)


class RateLimit(LedgerGuard):
    """Over all playbooks: actions in a minute, and different workloads in ten."""

    name = "rate_limit"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:
        minute = timedelta(minutes=1)
        allowed = world.limits.actions_per_minute
        # a run that was let through goes on to its end: its further steps are spoken for, others' as our own
        coming = limits.coming(connection, verbs=COUNTED, besides=case.run.id) + _further_actions(case)
        if coming >= allowed:
            told = f"{coming + 1} actions would be begun; limits.actions_per_minute allows {allowed}"
            raise Refusal(Reason.RATE_LIMITED, told, retry_at=case.now + minute)
        earliest = limits.acted(connection, since=case.now - minute, verbs=COUNTED, allowed=allowed - coming)
        if earliest:
            told = f"as many actions in the last minute as limits.actions_per_minute allows: {allowed}"
            raise Refusal(Reason.RATE_LIMITED, told, retry_at=earliest + minute)
        if case.workload is None:
            return
        span = timedelta(minutes=10)
        everything = limits.touched(connection, since=case.now - span)
        touched = {key: at for key, at in everything.items() if not key.startswith("playbook/")}
        _few_enough(case, Reason.RATE_LIMITED, touched, world.limits.targets_per_10m, span)


class BreakerClosed(LedgerGuard):
    """Over all playbooks: not while too many runs of late did not help."""

    name = "breaker"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:
        rule = world.limits.breaker
        if closes := breaker.open_until(connection, rule, now=case.now):
            raise Refusal(Reason.BREAKER_OPEN, breaker.told(rule, closes), retry_at=closes)


def actions(steps: Sequence[Step]) -> int:
    """How many of them limits.actions_per_minute counts."""
    return sum(step.verb in COUNTED for step in steps)


def _further_actions(case: Case) -> int:
    """What follows once the first is allowed; a step of `on_failure` is asked for by itself."""
    return 0 if case.run.status is Status.ACTING else max(0, actions(case.playbook.steps) - 1)


def _few_enough(case: Case, reason: Reason, touched: Mapping[str, datetime], allowed: int, within: timedelta) -> None:
    if case.key not in touched and len(touched) >= allowed:
        oldest = sorted(touched.values())[-allowed]
        raise Refusal(
            reason,
            f"{len(touched)} workloads were touched in {within}; {allowed} are allowed",
            retry_at=oldest + within,
        )
