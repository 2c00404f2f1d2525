"""A Docker host as a platform: containers by exact name and Compose services by their labels.

A container is found by listing, acted on by its id, and only when its labels are on the allow-list; what was found is
looked up again before anything is sent, so that nobody restarts what has taken its place.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.compose import PROJECT, SERVICE, Sibling, number, service_of, siblings
from receiver.targets.container import Container
from receiver.targets.engine import Engine
from receiver.targets.threads import Threads
from receiver.workload import Selector, Workload

CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")  #: the engine's own pattern, with a bound
SERVICE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
PROJECT_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}")

PATIENCE = timedelta(seconds=10)  #: for looking something up
LOOK_EVERY = 0.25  #: seconds between two looks at a container that is starting
SILENT = 1.0  #: seconds without an answer after which nobody knows how it ended
SETTLED = 1.0  #: seconds that a container without a health check must stay up to count as running


class DockerHost:
    """One engine, by its socket."""

    def __init__(self, docker: platforms.Docker, *, patience: timedelta = PATIENCE) -> None:
        self.name = docker.name
        self._patience = patience
        self._url = docker.url
        self._allow = docker.allow
        self._threads = Threads(f"docker {docker.name}")

    async def resolve(self, selector: Selector) -> Workload:
        _refuse_odd_names(selector)
        async with self._engine(self._patience) as engine:
            return self._workload(selector, await self._members(engine, selector))

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """One container after the other, each running (and healthy, if it can tell) before the next one."""
        done: list[Mapping[str, Any]] = []
        async with self._engine(within) as engine:
            members = await self._unchanged(engine, workload)
            for member in members:
                try:
                    await engine.restart(member.id, grace=_grace(member, engine))
                    again = await _running(engine, member.id, since=member.started_at)
                except (Temporary, Permanent, Uncertain) as error:
                    if not done:
                        raise
                    raise _in_part(error, f"{len(done)} of {len(members)} containers restarted") from error
                done.append({"before": member.summary(), "after": again.summary()})
        return {"containers": done}

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        """Add containers like the newest one, or remove those with the highest numbers."""
        if workload.selector.kind != "compose":
            raise Permanent(f"{workload} is a single container; only a Compose service can be scaled")
        if replicas < 1:
            raise Permanent(f"{workload} cannot be scaled to {replicas}: no container would be left to copy later")
        async with self._engine(within) as engine:
            members = await self._unchanged(engine, workload)
            names = [member.name for member in members]
            if replicas < len(members):
                await _shrink(engine, members[replicas:])
                after = names[:replicas]
            else:
                after = [*names, *await _grow(engine, siblings(members, replicas))]
        return {
            "before": {"replicas": len(names), "containers": names},
            "after": {"replicas": len(after), "containers": after},
        }

    async def rollback(self, workload: Workload, *, to: str | None, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        raise Permanent(f"{workload} cannot be rolled back yet")

    async def rolled_out_at(self, workload: Workload) -> datetime | None:  # noqa: ARG002
        """Docker does not tell a deployment from a container that was added."""
        return None

    async def close(self) -> None:
        """A conversation with the engine ends with its operation, and threads that hang are not waited for."""

    @asynccontextmanager
    async def _engine(self, within: timedelta) -> AsyncIterator[Engine]:
        engine = await Engine.connect(self._url, self._threads, within=within)
        try:
            yield engine
        finally:
            engine.close()

    async def _members(self, engine: Engine, selector: Selector) -> list[Container]:
        """What the selector names, in order, each of it allowed."""
        # The filter only saves work (by name it is an unanchored regex): what counts is that it fits exactly.
        listed = [found for found in await engine.containers(_filter(selector)) if _fits(found, selector)]
        seen = [await engine.inspect(found["Id"]) for found in listed]
        members = [member for member in seen if member]
        if not members:
            raise Refusal(Reason.NO_TARGET, f"{self._threads.name} has no {selector}")
        if selector.kind == "container" and len(members) > 1:
            raise Refusal(Reason.AMBIGUOUS_TARGET, f"{self._threads.name} has {len(members)} containers for {selector}")
        for member in members:
            if not self._allows(member):
                why = f"{member.name} has none of the labels that allow acting on it (allow: of docker {self.name})"
                raise Refusal(Reason.TARGET_NOT_ALLOWED, why)
        return sorted(members, key=lambda member: (number(member), member.name))

    def _allows(self, member: Container) -> bool:
        return platforms.selected(member.labels, self._allow)

    async def _unchanged(self, engine: Engine, workload: Workload) -> list[Container]:
        """The members as they are now, if they still are those that were resolved."""
        try:
            members = await self._members(engine, workload.selector)
        except Refusal as refusal:
            raise Permanent(f"{workload} has changed since it was looked up: {refusal.detail}") from refusal
        if tuple(member.id for member in members) != workload.members:
            then = ", ".join(member[:12] for member in workload.members)
            now = ", ".join(member.id[:12] for member in members)
            raise Permanent(f"{workload} has been replaced since it was looked up: it was {then}, now it is {now}")
        return members

    def _workload(self, selector: Selector, members: Sequence[Container]) -> Workload:
        ids = tuple(member.id for member in members)
        ailing = [member for member in members if member.ailment]
        # A service has no id of its own; this one changes with any of its containers.
        uid = ids[0] if selector.kind == "container" else hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
        return Workload(
            key=f"docker/{self.name}/{_key(members[0])}",
            selector=selector,
            uid=uid,
            members=ids,
            replicas=len(members),
            ready=len(members) - len(ailing),
            version=_version(members),
            healthy=not ailing,
            why="; ".join(f"{member.name} {member.ailment}" for member in ailing),
            detail={"containers": ", ".join(member.name for member in members)},
        )


def _refuse_odd_names(selector: Selector) -> None:
    if selector.kind == "container" and CONTAINER.fullmatch(selector.name):
        return
    if selector.kind == "compose" and SERVICE_NAME.fullmatch(selector.name):
        if PROJECT_NAME.fullmatch(selector.scope or ""):
            return
        raise Refusal(Reason.NO_TARGET, f"{ascii(selector.scope)[:80]} is not the name of a Compose project")
    what = {"container": "the name of a container", "compose": "the name of a Compose service"}
    if selector.kind not in what:
        raise Refusal(Reason.NO_TARGET, f"Docker knows no kind {ascii(selector.kind)[:80]}; write container or compose")
    raise Refusal(Reason.NO_TARGET, f"{ascii(selector.name)[:80]} is not {what[selector.kind]}")


def _filter(selector: Selector) -> Mapping[str, Sequence[str]]:
    if selector.kind == "container":
        return {"name": [selector.name]}
    return {"label": [f"{PROJECT}={selector.scope}", f"{SERVICE}={selector.name}"]}


def _fits(listed: Mapping[str, Any], selector: Selector) -> bool:
    if selector.kind == "container":
        return f"/{selector.name}" in listed["Names"]
    return service_of(listed["Labels"] or {}) == (selector.scope, selector.name)


def _key(member: Container) -> str:
    """By its service where it has one, so that two names of one thing meet at one lock."""
    service = service_of(member.labels)
    return f"compose/{service[0]}/{service[1]}" if service else f"container/{member.name}"


def _version(members: Sequence[Container]) -> str:
    tags = {member.image: member.tag for member in sorted(members, key=lambda member: member.tag)}
    return ", ".join(f"{tag}@{image[:19]}" if tag else image[:19] for image, tag in sorted(tags.items()))


def _grace(member: Container, engine: Engine) -> int:
    """Its own time to stop, but never more than half of what is left: it must start again, too."""
    return max(1, min(member.grace, int(engine.remaining / 2)))


async def _running(engine: Engine, container: str, *, since: str = "") -> Container:
    """The container in a life that began after `since`, once it is well; Permanent when that takes too long."""
    lives: dict[str, float] = {}
    answered = engine.remaining
    silence: Temporary | None = None
    why = "has not started"
    while engine.remaining:
        try:
            now, silence = await engine.inspect(container), None
            answered = engine.remaining
        except Temporary as error:  # what was sent is done; only this look at it has failed
            now, silence = None, error
        if not now and not silence:
            raise Permanent(f"container {container[:12]} has gone while it was starting")
        if now and now.started_at != since:
            seen = lives.setdefault(now.started_at, engine.remaining)
            why = now.ailment or "does not stay up"
            if not now.ailment and (now.health or seen - engine.remaining >= SETTLED):
                return now
            if now.ended:
                break
        await asyncio.sleep(min(LOOK_EVERY, engine.remaining))
    if silence and answered > SILENT:
        raise Uncertain(f"container {container[:12]} was told to start, and then not seen to run: {silence}")
    raise Permanent(f"container {container[:12]} {why}, and was given up on")


async def _grow(engine: Engine, additions: Sequence[Sibling]) -> list[str]:
    added: list[str] = []
    for sibling in additions:
        try:
            await _add(engine, sibling)
        except (Temporary, Permanent, Uncertain) as error:
            if not added:
                raise
            raise _in_part(error, f"{len(added)} of {len(additions)} containers added") from error
        added.append(sibling.name)
    return added


async def _add(engine: Engine, sibling: Sibling) -> None:
    container = await engine.create(sibling.config, sibling.name)
    try:
        await _start(engine, container, sibling)
    except Temporary as error:
        raise Permanent(f"{sibling.name} has been created, but not started: {error}") from error
    await _running(engine, container)


async def _start(engine: Engine, container: str, sibling: Sibling) -> None:
    try:
        for network, aliases in sibling.networks.items():
            await engine.join(container, network, aliases)
        await engine.start(container)
    except Permanent:
        await engine.remove(container)  # it has never run, and would count as a replica
        raise


async def _shrink(engine: Engine, surplus: Sequence[Container]) -> None:
    for gone, member in enumerate(reversed(surplus)):
        try:
            await engine.stop(member.id, grace=_grace(member, engine))
            await _remove(engine, member)
        except (Temporary, Permanent, Uncertain) as error:
            if not gone:
                raise
            raise _in_part(error, f"{gone} of {len(surplus)} containers removed") from error


async def _remove(engine: Engine, member: Container) -> None:
    try:
        await engine.remove(member.id)
    except Temporary as error:
        raise Permanent(f"{member.name} is stopped, but not removed: {error}") from error


def _in_part(error: Temporary | Permanent | Uncertain, done: str) -> Permanent | Uncertain:
    """An error after something was done is Temporary no more."""
    kind = Uncertain if isinstance(error, Uncertain) else Permanent
    return kind(f"{done}, then: {error}")
