"""A Docker host as a platform: containers by exact name, services of Compose by their labels and of Swarm by name.

A container is found by listing, acted on by its id, and only when its labels are on the allow-list; what was found is
looked up again before anything is sent, so that nobody restarts what has taken its place.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.docker.compose import PROJECT, SERVICE, number, service_of, siblings
from receiver.targets.docker.container import Container
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.leftovers import refuse_left_behind, refuse_twins
from receiver.targets.docker.rollback import roll_back, way_back
from receiver.targets.docker.running import grace, in_part, own_grace, running
from receiver.targets.docker.scaling import grow, shrink
from receiver.targets.docker.swarm import Swarm
from receiver.targets.foreseen import hold_to
from receiver.targets.threads import Threads
from receiver.workload import Selector, Workload

CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")  #: the engine's own pattern, with a bound
SERVICE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
PROJECT_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}")
SWARM_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")

SWARM_SERVICE = "com.docker.swarm.service.name"  #: the label by which a Swarm knows its containers
STOPPED = ("created", "exited", "dead")

PATIENCE = timedelta(seconds=10)  #: for looking something up


class DockerHost:
    """One engine, by its socket."""

    def __init__(self, docker: platforms.Docker, *, patience: timedelta = PATIENCE) -> None:
        self.name = docker.name
        self._patience = patience
        self._url = docker.url
        self._allow = docker.allow
        self._swarm = Swarm(docker)
        self._threads = Threads(f"docker {docker.name}")

    async def resolve(self, selector: Selector) -> Workload:
        _refuse_odd_names(selector)
        async with self._engine(self._patience) as engine:
            if selector.kind == "service":
                return await self._swarm.resolve(engine, selector)
            return self._workload(selector, await self._members(engine, selector))

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """One container after the other, each running (and healthy, if it can tell) before the next one."""
        done: list[Mapping[str, Any]] = []
        async with self._engine(within) as engine:
            if workload.selector.kind == "service":
                return await self._swarm.restart(engine, workload)
            members = await self._unchanged(engine, workload)
            for member in members:
                try:
                    await engine.restart(member.id, grace=grace(member, engine))
                    again = await running(engine, member.id, since=member.started_at)
                except (Temporary, Permanent, Uncertain) as error:
                    if not done:
                        raise
                    raise in_part(error, f"{len(done)} of {len(members)} containers restarted") from error
                done.append({"before": member.summary(), "after": again.summary()})
        return {"containers": done}

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        """Compose: add containers like the newest one, or remove those with the highest numbers."""
        if workload.selector.kind == "service":
            async with self._engine(within) as engine:
                return await self._swarm.scale(engine, workload, replicas)
        if workload.selector.kind != "compose":
            raise Permanent(f"{workload} is a single container; only a service can be scaled")
        if replicas < 1:
            raise Permanent(f"{workload} cannot be scaled to {replicas}: no container would be left to copy later")
        async with self._engine(within) as engine:
            members = await self._unchanged(engine, workload)
            names = [member.name for member in members]
            if replicas < len(members):
                await shrink(engine, members[replicas:])
                after = names[:replicas]
            else:
                after = [*names, *await grow(engine, siblings(members, replicas))]
        return {
            "before": {"replicas": len(names), "containers": names},
            "after": {"replicas": len(after), "containers": after},
        }

    async def way_back(self, workload: Workload, *, to: str | None) -> str:
        async with self._engine(self._patience) as engine:
            if workload.selector.kind == "service":
                return await self._swarm.way_back(engine, workload, to=to)
            image = _image(workload, to)
            return await way_back(engine, await self._unchanged(engine, workload), image)

    async def rollback(
        self, workload: Workload, *, to: str | None, within: timedelta, foreseen: str = ""
    ) -> Mapping[str, Any]:
        """Swarm: to the previous specification. Compose: to an image, one container after the other."""
        async with self._engine(within) as engine:
            if workload.selector.kind == "service":
                return await self._swarm.rollback(engine, workload, to=to, foreseen=foreseen)
            image = _image(workload, to)
            members = await self._unchanged(engine, workload)
            hold_to(foreseen, await way_back(engine, members, image) if foreseen else "", workload)
            return {"containers": await roll_back(engine, members, image)}

    async def stop(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """It stays stopped whatever its restart policy: the engine knows that somebody wanted it so."""
        async with self._engine(within) as engine:
            container = await self._single(engine, workload)
            if container.status in STOPPED:
                raise Permanent(f"{workload} is stopped already: {container.ailment}")
            if container.host.get("AutoRemove"):
                raise Permanent(f"{workload} is removed when it stops (--rm), and could not be started again")
            await engine.stop(container.id, grace=own_grace(container, engine))
            return {"before": container.summary(), "after": await _stopped(engine, container)}

    async def start(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        async with self._engine(within) as engine:
            container = await self._single(engine, workload)
            if container.status == "running":
                raise Permanent(f"{workload} runs already")
            await engine.start(container.id)
            again = await running(engine, container.id, since=container.started_at)
            return {"before": container.summary(), "after": again.summary()}

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
        found = await engine.containers(_filter(selector))
        refuse_left_behind(found, selector)
        listed = [each for each in found if _fits(each, selector)]
        seen = [await engine.inspect(found["Id"]) for found in listed]
        members = [member for member in seen if member]
        if not members:
            raise Refusal(Reason.NO_TARGET, f"{self._threads.name} has no {selector}")
        if selector.kind == "container" and len(members) > 1:
            raise Refusal(Reason.AMBIGUOUS_TARGET, f"{self._threads.name} has {len(members)} containers for {selector}")
        for member in members:
            _refuse_swarms(member)
            if not self._allows(member):
                why = f"{member.name} has none of the labels that allow acting on it (allow: of docker {self.name})"
                raise Refusal(Reason.TARGET_NOT_ALLOWED, why)
        members = sorted(members, key=lambda member: (number(member), member.name))
        if selector.kind == "compose":
            refuse_twins(members, selector)
        return members

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

    async def _single(self, engine: Engine, workload: Workload) -> Container:
        if workload.selector.kind != "container":
            raise Permanent(f"{workload} is a service; only a container can be stopped and started")
        return (await self._unchanged(engine, workload))[0]

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
    if selector.kind == "service" and SWARM_NAME.fullmatch(selector.name):
        if selector.scope is None:
            return
        raise Refusal(Reason.NO_TARGET, f"a Swarm service is in no project: {ascii(selector.scope)[:80]}")
    what = {
        "container": "the name of a container",
        "compose": "the name of a Compose service",
        "service": "the name of a Swarm service",
    }
    if selector.kind not in what:
        known = "write container, compose or service"
        raise Refusal(Reason.NO_TARGET, f"Docker knows no kind {ascii(selector.kind)[:80]}; {known}")
    raise Refusal(Reason.NO_TARGET, f"{ascii(selector.name)[:80]} is not {what[selector.kind]}")


def _refuse_swarms(member: Container) -> None:
    """The Swarm would put another one in its place, whatever is done to it."""
    service = member.labels.get(SWARM_SERVICE)
    if service:
        why = f"{member.name} belongs to the Swarm service {service}; act on that (docker: {{service: {service}}})"
        raise Refusal(Reason.TARGET_NOT_ALLOWED, why)


def _image(workload: Workload, to: str | None) -> str:
    if workload.selector.kind != "compose":
        raise Permanent(f"{workload} is a single container; only a service can be rolled back")
    if to is None:
        raise Permanent(f"{workload}: nothing tells which image was good; post deployment markers, or write to:")
    return to


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


async def _stopped(engine: Engine, container: Container) -> Mapping[str, Any]:
    try:
        now = await engine.inspect(container.id)
    except Temporary as error:
        raise Uncertain(f"{container.name} was told to stop, and then not seen stopped: {error}") from error
    if not now or now.status not in STOPPED:
        raise Permanent(f"{container.name} was stopped, and {'is gone' if not now else now.ailment or 'runs again'}")
    return now.summary()
