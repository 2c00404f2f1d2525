"""The services of a Swarm, through an engine that manages it; host.py asks when a selector names a `service`.

A service is found by its exact name, allowed by its own labels, changed as the version that was looked at and no other,
and waited for until the Swarm says that the change is complete and its tasks stay up.
"""

import asyncio
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.running import LOOK_EVERY, SETTLED, SILENT
from receiver.targets.docker.service import (
    GIVEN_UP,
    Object,
    Service,
    forced,
    image,
    replicas,
    same_but_for_numbers,
    with_force,
    with_replicas,
)
from receiver.targets.foreseen import hold_to
from receiver.workload import Selector, Workload

RESTARTED = ("completed",)
SCALED = ("", "completed")  #: a number alone is no update to the Swarm
ROLLED_BACK = ("rollback_completed",)
ROLLBACK = "rollback"  #: what the state of a rollback begins with


class Swarm:
    """One engine's Swarm, if it manages one."""

    def __init__(self, docker: platforms.Docker) -> None:
        self._name = docker.name
        self._allow = docker.allow

    async def resolve(self, engine: Engine, selector: Selector) -> Workload:
        service = await self._find(engine, selector)
        return Workload(
            key=f"docker/{self._name}/service/{service.name}",
            selector=selector,
            uid=service.id,
            replicas=service.wanted,
            # while an update starts a new task before it ends the old one, there are more
            ready=min(len(service.running), service.wanted),
            version=service.image,
            healthy=not service.ailment,
            why=service.ailment,
            detail={"mode": service.mode.lower()},
        )

    async def restart(self, engine: Engine, workload: Workload) -> Mapping[str, Any]:
        """By a forced update, at the pace that the service's update_config says."""
        before = await self._unchanged(engine, workload)
        _refuse_paused(before)
        if not before.wanted:
            raise Permanent(f"{workload} has no replicas; there is nothing to restart")
        spec = with_force(before.spec, forced(before.spec) + 1)
        await engine.update_service(before, spec)
        return _told(before, await _converged(engine, before, spec, ends=RESTARTED))

    async def scale(self, engine: Engine, workload: Workload, wanted: int) -> Mapping[str, Any]:
        before = await self._unchanged(engine, workload)
        if before.mode != "Replicated":
            raise Permanent(f"{workload} runs once on every node (mode global); only a replicated one can be scaled")
        if before.wanted == wanted:
            return _told(before, before)
        _refuse_paused(before)
        spec = with_replicas(before.spec, wanted)
        await engine.update_service(before, spec)
        return _told(before, await _converged(engine, before, spec, ends=SCALED))

    async def way_back(self, engine: Engine, workload: Workload, *, to: str | None) -> str:
        return _way(*await self._way_back(engine, workload, to=to))

    async def rollback(self, engine: Engine, workload: Workload, *, to: str | None, foreseen: str) -> Mapping[str, Any]:
        before, spec = await self._way_back(engine, workload, to=to)
        hold_to(foreseen, _way(before, spec), workload)
        # The Swarm takes the previous specification itself; it wants to be sent one all the same.
        await engine.update_service(before, before.spec, rollback="previous")
        return _told(before, await _converged(engine, before, spec, ends=ROLLED_BACK))

    async def _way_back(self, engine: Engine, workload: Workload, *, to: str | None) -> tuple[Service, Object]:
        """What is there now, and the specification that it goes back to."""
        if to is not None:
            raise Permanent(f"{workload}: a Swarm service goes back to its previous specification alone; leave out to:")
        before = await self._unchanged(engine, workload)
        return before, _previous(before)

    async def _find(self, engine: Engine, selector: Selector) -> Service:
        listed = await engine.services(selector.name)
        if listed is None:
            raise Refusal(
                Reason.NO_TARGET,
                f"docker {self._name} manages no Swarm, and so has no {selector}; name the host of a manager",
            )
        # The filter only saves work (by name it takes all that begin like it): what counts is that it is the same.
        ids = [found["ID"] for found in listed if found["Spec"]["Name"] == selector.name]
        service = await engine.service(ids[0]) if ids else None
        if not service:
            raise Refusal(Reason.NO_TARGET, f"docker {self._name} has no {selector}")
        if not platforms.selected(service.labels, self._allow):
            why = f"{selector} has none of the labels that allow acting on it (allow: of docker {self._name})"
            raise Refusal(
                Reason.TARGET_NOT_ALLOWED, f"{why}; a service needs them itself (deploy.labels), not its containers"
            )
        return service

    async def _unchanged(self, engine: Engine, workload: Workload) -> Service:
        """The service as it is now, if it still is the one that was resolved, and runs what it ran."""
        try:
            service = await self._find(engine, workload.selector)
        except Refusal as refusal:
            raise Permanent(f"{workload} has changed since it was looked up: {refusal.detail}") from refusal
        if service.id != workload.uid:
            then = f"it was {workload.uid[:12]}, now it is {service.id[:12]}"
            raise Permanent(f"{workload} has been replaced since it was looked up: {then}")
        if service.image != workload.version:
            then = f"it ran {workload.version}, now it runs {service.image}"
            raise Permanent(f"{workload} has been deployed anew since it was looked up: {then}")
        if service.mode not in ("Replicated", "Global"):
            raise Permanent(f"{workload} is a job, which runs once; only a service that stays up can be acted on")
        return service


def _refuse_paused(service: Service) -> None:
    """To the Swarm any change is a word to go on with what it has paused."""
    if service.update in GIVEN_UP:
        raise Permanent(
            f"service {service.name}: {service.ailment}; any other change would resume it: roll it back, or deploy anew"
        )


def _previous(service: Service) -> Object:
    """What it goes back to; Permanent when that would be forward, or nothing."""
    if service.previous is None:
        raise Permanent(f"service {service.name} has no previous specification; deploy the one that was good")
    if service.update.startswith(ROLLBACK):
        raise Permanent(
            f"service {service.name} has been rolled back already, and the Swarm knows no specification before that; "
            "deploy the one that was good"
        )
    if same_but_for_numbers(service.spec, service.previous):
        raise Permanent(
            f"service {service.name} was restarted or scaled since it was deployed, and the Swarm knows one previous "
            "specification alone, which runs the same; deploy the one that was good"
        )
    return service.previous


def _way(service: Service, spec: Object) -> str:
    """With a mark of the specifications, as two of them may differ in other things than the image."""
    return f"{image(spec)} ({_mark(spec)}) in place of {service.image} ({_mark(service.spec)})"


def _mark(spec: Object) -> str:
    return f"specification {hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]}"


def _told(before: Service, after: Service) -> Mapping[str, Any]:
    return {"before": before.summary(), "after": after.summary()}


async def _converged(engine: Engine, service: Service, spec: Object, *, ends: Collection[str]) -> Service:
    """The service once it has come to `spec` and its tasks stay up; Permanent when it fails or takes too long."""
    seen: dict[frozenset[str], float] = {}
    answered = engine.remaining
    silence: Temporary | None = None
    why = "has not begun to change"
    while engine.remaining:
        try:
            now, silence = await engine.service(service.id), None
            answered = engine.remaining
        except Temporary as error:  # what was sent is done; only this look at it has failed
            now, silence = None, error
        if not now and not silence:
            raise Permanent(f"service {service.name} has been removed while it was changing")
        if now:
            _refuse_another_turn(now, spec, ends)
            since = seen.setdefault(now.running, engine.remaining)
            why = now.ailment or "does not stay up"
            if not now.ailment and now.update in ends and since - engine.remaining >= SETTLED:
                return now
        await asyncio.sleep(min(LOOK_EVERY, engine.remaining))
    if silence and answered > SILENT:
        raise Uncertain(f"service {service.name} was told to change, and then not seen to: {silence}")
    raise Permanent(f"service {service.name}: {why}, and was given up on")


def _refuse_another_turn(now: Service, spec: Object, ends: Collection[str]) -> None:
    """Permanent when the Swarm has given up, goes back by itself, or was told something else meanwhile."""
    if now.update in GIVEN_UP:
        raise Permanent(f"service {now.name}: {now.ailment}")
    if now.update.startswith(ROLLBACK) and ends != ROLLED_BACK:
        raise Permanent(f"service {now.name} failed with the change, and the Swarm rolls it back: {now.said}")
    if _turn(now.spec) != _turn(spec):
        raise Permanent(f"service {now.name} was changed by somebody else while it was changing")


def _turn(spec: Object) -> tuple[str, int, int]:
    """What tells a specification from the next; whole ones differ by defaults that the Swarm fills in."""
    return image(spec), forced(spec), replicas(spec)
