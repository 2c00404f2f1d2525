"""What the engine does: creates, starts, stops, restarts, renames and removes containers.

The API calls it; requests for the same container wait for each other, as in Docker.
"""

import asyncio
import random
import re
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import child
from engine.container import Container, State
from engine.health import Health
from engine.image import Image
from engine.network import Endpoint, Network
from engine.refusal import Refusal, no_such_container, no_such_image, no_such_network
from engine.timestamp import now

DEFAULT_NETWORK = "bridge"
DEFAULT_GRACE = 10.0  # seconds between SIGTERM and SIGKILL, Docker's own
NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Engine:
    def __init__(self, *, images: dict[str, Image], state: Path) -> None:
        self.images = images
        self.state = state
        self.hosts = state / "hosts"
        self.containers: dict[str, Container] = {}
        self.networks = {DEFAULT_NETWORK: Network(DEFAULT_NETWORK, _free_block())}
        self._reapers: dict[str, asyncio.Task[None]] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}

    def container(self, name: str) -> Container:
        for container in self.containers.values():
            if container.answers_to(name):
                return container
        raise no_such_container(name)

    def image(self, name: str) -> Image:
        tag = name if ":" in name else f"{name}:latest"
        for image in self.images.values():
            if image.tag == tag or image.id in (name, f"sha256:{name}"):
                return image
        raise no_such_image(tag)

    def network(self, name: str) -> Network:
        for network in self.networks.values():
            if name in (network.name, network.id):
                return network
        raise no_such_network(name)

    def create_network(self, name: str, *, labels: dict[str, str]) -> Network:
        if name in self.networks:
            raise Refusal(409, f"network with name {name} already exists")
        self.networks[name] = Network(name, _free_block(), labels)
        return self.networks[name]

    def remove_network(self, name: str) -> None:
        network = self.network(name)
        if any(container.network is network for container in self.containers.values()):
            raise Refusal(403, f"error while removing network: network {network.name} has active endpoints")
        del self.networks[network.name]

    def create(self, name: str | None, *, wanted: dict[str, Any]) -> Container:
        image = self.image(wanted.get("Image") or "")
        own = {key: value for key, value in wanted.items() if key not in ("HostConfig", "NetworkingConfig")}
        config = image.configure(own)
        if not config["Cmd"]:
            raise Refusal(400, "No command specified")
        host_config = {"NetworkMode": "default", **(wanted.get("HostConfig") or {})}
        endpoints = (wanted.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        mode = host_config["NetworkMode"]
        joined = next(iter(endpoints), DEFAULT_NETWORK if mode == "default" else mode)
        aliases = (endpoints.get(joined) or {}).get("Aliases") or []
        container = Container(
            name="",
            image_id=image.id,
            config=config,
            host_config=host_config,
            network=self.network(joined),
            endpoint=Endpoint(aliases),
            log=Path(),
        )
        container.name = self._free_name(name or f"child_{container.id[:8]}")
        container.log = self.state / f"{container.name}-{container.id[:12]}.log"
        container.log.touch()
        self.containers[container.id] = container
        return container

    def rename(self, container: Container, name: str) -> None:
        if not name:
            raise Refusal(400, "Neither old nor new names may be empty")
        if container.name == name.removeprefix("/"):
            raise Refusal(400, "Renaming a container with the same name as its current name")
        container.name = self._free_name(name)
        self._write_hosts()

    async def start(self, container: Container) -> bool:
        """False when it runs already."""
        async with container.lock:
            if container.running:
                return False
            await self._start(container)
            return True

    async def stop(self, container: Container, *, grace: float | None = None) -> bool:
        """False when it has stopped already."""
        async with container.lock:
            if not container.running:
                return False
            await self._stop(container, grace=grace)
            return True

    async def restart(self, container: Container, *, grace: float | None = None) -> None:
        async with container.lock:
            await self._stop(container, grace=grace)
            await self._start(container)

    def kill(self, container: Container, *, number: int) -> None:
        if not container.running or container.child is None:
            raise Refusal(409, f"Cannot kill container: {container.id}: Container {container.id} is not running")
        child.send(container.child, number)

    async def wait(self, container: Container) -> int:
        if container.id in self._reapers:
            # Shielded: a client that goes away must not keep the end from being recorded.
            await asyncio.shield(self._reapers[container.id])
        return container.state.exit_code

    async def remove(self, container: Container, *, force: bool) -> None:
        async with container.lock:
            if container.running and not force:
                raise Refusal(
                    409,
                    f"You cannot remove a running container {container.id}. "
                    "Stop the container before attempting removal or force remove",
                )
            await self._stop(container, grace=0)
            del self.containers[container.id]
            container.log.unlink()

    async def shut_down(self) -> None:
        await asyncio.gather(*(self.stop(container, grace=2) for container in self.containers.values()))

    async def _start(self, container: Container) -> None:
        if container.id not in self.containers:  # removed while we waited for the lock
            raise no_such_container(container.id)
        container.network.join(container.endpoint)
        try:
            container.child = child.start(
                container.config["Cmd"],
                log=container.log,
                env=container.environment(hosts=self.hosts),
                cwd=container.config.get("WorkingDir") or "/",
            )
        except OSError as error:
            container.network.leave(container.endpoint)
            raise Refusal(400, f"failed to create shim task: {error}: unknown") from error
        container.state = State("running", started_at=now(), finished_at=container.state.finished_at)
        self._reapers[container.id] = asyncio.create_task(self._reap(container, container.child))
        self._watch(container)
        self._write_hosts()

    def _watch(self, container: Container) -> None:
        check = container.config.get("Healthcheck")
        if not check or check.get("Test") == ["NONE"] or container.port is None:
            return
        container.health = Health.of(check)
        url = f"http://{container.endpoint.address}:{container.port}/health"
        self._watches[container.id] = asyncio.create_task(container.health.watch(url))

    async def _stop(self, container: Container, *, grace: float | None) -> None:
        if not container.running or container.child is None:
            return
        child.send(container.child, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(child.ended(container.child), DEFAULT_GRACE if grace is None else max(grace, 0))
        child.send(container.child, signal.SIGKILL)
        await self.wait(container)

    async def _reap(self, container: Container, its: child.Child) -> None:
        """Waits for the child's end, whoever caused it, and records it."""
        code = await child.ended(its)
        if container.id in self._watches:
            self._watches.pop(container.id).cancel()
        container.network.leave(container.endpoint)
        container.state = State("exited", code, container.state.started_at, now())
        if container.health:
            container.health.status = "unhealthy"
        self._write_hosts()

    def _free_name(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise Refusal(400, f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        plain = name.removeprefix("/")
        for other in self.containers.values():
            if other.name == plain:
                raise Refusal(
                    409,
                    f'Conflict. The container name "/{plain}" is already in use by container "{other.id}". '
                    "You have to remove (or rename) that container to be able to reuse that name.",
                )
        return plain

    def _write_hosts(self) -> None:
        lines = [
            f"{container.endpoint.address} {alias}\n"
            for container in self.containers.values()
            if container.running
            for alias in (container.name, *container.endpoint.aliases)
        ]
        draft = self.hosts.with_suffix(".new")
        draft.write_text("".join(lines))
        draft.replace(self.hosts)  # a service that reads meanwhile sees the old or the new file, never half of one


def _free_block() -> str:
    """Three numbers of a /24 on loopback; drawn, so that two demos at once do not meet."""
    block = f"127.{random.randint(16, 254)}.{random.randint(0, 254)}"
    with socket.socket() as probe:
        probe.bind((f"{block}.1", 0))  # fails here, and clearly, where loopback is a single address
    return block
