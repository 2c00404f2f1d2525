"""What must allow a run before it acts: one small class per guard, in one ordered list.

The pipeline asks them in the order of GUARDS. A guard says no by raising a Refusal, or a Temporary or Permanent when it
cannot be evaluated, which is a no as well. Those of the ledger are asked again in the transaction that claims the run.
"""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa

from receiver.actions import ACTIONS
from receiver.case import LATER, Case, World
from receiver.condition import NoNumber
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.evidence import holds, watched
from receiver.playbook import Playbook, Step, Target
from receiver.render import Unrenderable
from receiver.run import Reason, Refusal, Status
from receiver.store import episodes, limits
from receiver.targets import Platform

COUNTED = tuple(verb for verb in ACTIONS if verb != "notify")
"""Verbs that limits.actions_per_minute counts: telling people is no intervention."""


class Guard(Protocol):
    """Says no by raising."""

    @property
    def name(self) -> str: ...

    async def check(self, case: Case, world: World) -> None: ...


class LedgerGuard:
    """A guard that asks the store alone: with others in one look, and once more in the transaction of the claim."""

    name: str

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:
        raise NotImplementedError


class Enabled:
    name = "enabled"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        if not case.playbook.enabled:
            raise case.refuse(Reason.DISABLED, f"{case.playbook.place} says enabled: false")


class EpisodeState(LedgerGuard):
    """The alert must still be as `on` wants it."""

    name = "episode"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        episode = episodes.get(connection, case.episode.id)
        firing = episode is not None and episode.open
        if case.playbook.on == "firing" and not firing:
            raise case.refuse(Reason.RESOLVED, "the alert was over before its turn came")
        if case.playbook.on == "resolved" and firing:
            raise case.refuse(Reason.STALE, "the alert fires again")


class Age:
    """How long after the moment it should have been decided; waits that a guard asked for do not count."""

    name = "age"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        late = case.now - (case.run.wake_at or case.run.created_at)
        if late > case.playbook.max_age:
            raise case.refuse(
                Reason.STALE, f"its turn came {late.total_seconds():.0f}s late; max_age allows {case.playbook.max_age}"
            )


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


class TargetResolves:
    """Labels present, names strict, looked up by listing, on the allow-list: exactly one workload."""

    name = "target"

    async def check(self, case: Case, world: World) -> None:
        target = case.playbook.target
        if not isinstance(target, Target):
            return
        try:
            selector = target.selector(case.context)
        except Unrenderable as missing:
            raise case.refuse(Reason.NO_TARGET, str(missing)) from missing
        if not selector.name.strip():
            raise case.refuse(Reason.NO_TARGET, "the target's name is empty")
        case.platform = _platform(case, world, selector.platform, selector.instance)
        case.workload = await case.platform.resolve(selector)


def _platform(case: Case, world: World, kind: str, instance: str | None) -> Platform:
    known = {name: platform for (each, name), platform in world.platforms.items() if each == kind}
    if not known:
        raise case.refuse(Reason.NO_TARGET, f"no {kind} platform is configured in amend.yml")
    if instance is None and len(known) > 1:
        raise case.refuse(
            Reason.AMBIGUOUS_TARGET, f"{len(known)} {kind} platforms are configured; the target must say which"
        )
    platform = known.get(instance) if instance is not None else next(iter(known.values()))
    if platform is None:
        raise case.refuse(Reason.NO_TARGET, f"no {kind} platform of that name is configured: {instance!r}")
    return platform


class Lock(LedgerGuard):
    """Nobody else is acting on the workload, or still verifying what it did there."""

    name = "lock"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        holder = limits.holder(connection, case.key, besides=case.run.id)
        if holder:
            raise case.refuse(Reason.LOCKED, f"run {holder.id} of {holder.playbook} has {case.key}", retry_in=LATER)


class Cooldown(LedgerGuard):
    """Per workload and playbook, from the end of the last run."""

    name = "cooldown"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        playbook = case.playbook
        ended = limits.last_end(connection, workload=case.key, playbook=playbook.name, mode=playbook.mode)
        if ended and case.now < ended + playbook.cooldown:
            ready = ended + playbook.cooldown
            raise Refusal(
                Reason.COOLDOWN,
                f"the last run on {case.key} ended at {ended:%H:%M:%S}; may act again at {ready:%H:%M:%S} UTC",
                retry_at=ready,
            )


class Attempts(LedgerGuard):
    """Per workload and playbook, however many alerts ask; per alert, for a playbook without a target."""

    name = "max_attempts"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        allowed = case.playbook.max_attempts
        since = case.now - allowed.within
        made = limits.attempts(
            connection,
            playbook=case.playbook.name,
            since=since,
            workload=case.workload.key if case.workload else None,
            episode_id=case.episode.id,
        )
        if made >= allowed.count:
            about = case.key if case.workload else "this alert"
            raise case.refuse(Reason.MAX_ATTEMPTS, f"acted {made} times on {about} since {since:%H:%M:%S} UTC")


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


class MinHealthy:
    """Enough healthy replicas that touching one more is no outage."""

    name = "min_healthy"

    async def check(self, case: Case, world: World) -> None:  # noqa: ARG002
        wanted = case.playbook.min_healthy
        workload = case.workload
        if wanted is None or workload is None:
            return
        share = 100 * workload.ready / workload.replicas if workload.replicas else 0.0
        if share < wanted:
            raise case.refuse(
                Reason.MIN_HEALTHY,
                f"{workload.ready} of {workload.replicas} replicas are healthy; min_healthy asks for {wanted:g}%",
                retry_in=LATER,
            )


class OnlyIf:
    """PromQL asked just before acting; no data is no."""

    name = "only_if"

    async def check(self, case: Case, world: World) -> None:
        expr = case.playbook.only_if
        if expr is None:
            return
        if world.prometheus is None:
            raise case.refuse(Reason.GUARD_ERROR, "only_if needs a Prometheus in amend.yml", retry_in=LATER)
        if holds(await world.prometheus.query(expr), expr):
            return
        for each in watched(expr):
            if not any(sample.usable for sample in await world.prometheus.query(each)):
                raise case.refuse(Reason.NO_DATA, f"only_if has no data: {each}", retry_in=LATER)
        raise case.refuse(Reason.CONDITION_FALSE, f"only_if is false: {expr.strip()}", retry_in=LATER)


def look_outside(playbook: Playbook) -> bool:
    """Whether a guard of this playbook asks a platform or Prometheus, which takes time and may be in vain."""
    return playbook.target != "none" or playbook.only_if is not None


GUARDS: Sequence[Guard | LedgerGuard] = (
    Enabled(),
    EpisodeState(),
    Age(),
    ConditionHolds(),
    TargetResolves(),
    Lock(),
    Cooldown(),
    Attempts(),
    MaxTargets(),
    RateLimit(),
    MinHealthy(),
    OnlyIf(),
)
"""In the order in which they are asked; the first no ends the decision."""


async def ask(name: str, answer: Awaitable[None], case: Case) -> None:
    """A guard's answer; one that cannot be evaluated says no."""
    try:
        await answer
    except (Temporary, Permanent, Uncertain) as error:
        raise case.refuse(Reason.GUARD_ERROR, f"{name}: {error}", retry_in=LATER) from error


async def look_again(case: Case, world: World) -> None:
    """The target as it is by now, for a further step; Refusal when the run's lock is not on what it names now."""
    await ask("target", TargetResolves().check(case, world), case)
    if case.run.workload and case.key != case.run.workload:
        raise case.refuse(Reason.AMBIGUOUS_TARGET, f"the target was {case.run.workload}, and is {case.key} now")
