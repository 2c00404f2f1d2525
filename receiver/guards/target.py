"""Whether the target is one workload that exists, may be touched, and can bear it."""

from collections.abc import Iterable
from dataclasses import replace

import sqlalchemy as sa

from receiver.actions import ACTIONS
from receiver.case import LATER, Case, World
from receiver.errors import Permanent
from receiver.guards.guard import LedgerGuard, ask
from receiver.matchers import all_match
from receiver.playbook import Step
from receiver.render import Unrenderable
from receiver.run import Episode, Reason
from receiver.store import episodes
from receiver.target import Target
from receiver.targets import Platform

MOST = 1000  #: open alerts among which a second sign is looked for


class TargetResolves:
    """Labels present, names strict, looked up by listing, on the allow-list: exactly one workload."""

    name = "target"

    async def check(self, case: Case, world: World) -> None:
        await find(case, world)
        steps = case.playbook.steps
        if case.playbook.approval or case.playbook.autonomy:  # people are shown the others, too
            steps += case.playbook.on_failure
        await foresee(case, world, steps)


async def find(case: Case, world: World) -> None:
    """The workload as it is now."""
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


async def foresee(case: Case, world: World, steps: Iterable[Step]) -> None:
    """What the steps come to that leave it open: people agree to that, and nothing else is done."""
    if case.platform is None or case.workload is None:
        return
    case.foreseen = {}
    for step in steps:
        action = ACTIONS[step.verb]
        if not action.chooses:
            continue
        arguments = step.arguments(case.context)
        try:
            leads_to = await action.leads_to(
                arguments, platform=case.platform, workload=case.workload, deployments=world.deployments
            )
        except Permanent as error:  # no reason to leave out the other steps: this one will say so
            leads_to = f"nothing: {error}"
        case.foreseen[step.verb, arguments.model_dump_json()] = leads_to


class AlsoFiring(LedgerGuard):
    """A second sign: such an alert fires, too, and is about the same workload."""

    name = "also_firing"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        wanted = case.playbook.also_firing
        if not wanted:
            return
        exactly = {each.name: each.value for each in wanted if each.operator == "="}
        for episode in episodes.page(connection, limit=MOST, open_only=True, labels=exactly):
            if all_match(wanted, episode.labels) and self._is_about_the_same(case, episode):
                return
        sought = ", ".join(map(str, wanted))
        raise case.refuse(Reason.CONDITION_FALSE, f"no alert fires with {sought} for {case.key}", retry_in=LATER)

    def _is_about_the_same(self, case: Case, episode: Episode) -> bool:
        target = case.playbook.target
        if not isinstance(target, Target):
            return True
        try:
            other = target.selector(replace(case, episode=episode).context)
        except Unrenderable:
            return False
        return case.workload is not None and other == case.workload.selector


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


async def look_again(case: Case, world: World) -> None:
    """The target as it is by now, for a further step; Refusal when the run's lock is not on what it names now."""
    await ask("target", find(case, world), case)
    if case.run.workload and case.key != case.run.workload:
        raise case.refuse(Reason.AMBIGUOUS_TARGET, f"the target was {case.run.workload}, and is {case.key} now")
    agreed = case.run.state.get("agreed_uid")
    # a group of containers that the run itself has scaled is another group
    replaced = case.replaced or any(ACTIONS[step.verb].replaces for step in case.run.steps if step.verb in ACTIONS)
    if agreed and case.workload and case.workload.uid != agreed and not replaced:
        raise case.refuse(Reason.AMBIGUOUS_TARGET, f"{case.key} is another one than people agreed to")


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
