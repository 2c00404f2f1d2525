"""A container: its configuration, its child process while it runs, and what `docker inspect` and `docker ps` say.

The engine creates it and moves it between created, running and exited.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.child import Child
from engine.health import Health
from engine.network import Endpoint, Network
from engine.timestamp import NEVER, now


@dataclass
class State:
    status: str = "created"  #: created, running or exited
    exit_code: int = 0
    started_at: str = NEVER
    finished_at: str = NEVER


@dataclass
class Container:
    name: str
    image_id: str
    config: dict[str, Any]
    host_config: dict[str, Any]
    network: Network
    endpoint: Endpoint
    log: Path
    id: str = field(default_factory=lambda: secrets.token_hex(32))
    created: str = field(default_factory=now)
    created_unix: int = field(default_factory=lambda: int(time.time()))
    state: State = field(default_factory=State)
    health: Health | None = None
    child: Child | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  #: one request at a time changes it

    @property
    def running(self) -> bool:
        return self.state.status == "running"

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.config["Labels"]
        return labels

    @property
    def port(self) -> int | None:
        """The first exposed port: the one that is probed for health."""
        return next((int(port.split("/")[0]) for port in self.config["ExposedPorts"]), None)

    def answers_to(self, name: str) -> bool:
        return name.removeprefix("/") == self.name or (len(name) >= 4 and self.id.startswith(name))

    def environment(self, *, hosts: Path) -> dict[str, str]:
        own = dict(pair.split("=", 1) for pair in self.config["Env"])
        return {
            **own,
            "HOSTNAME": self.id[:12],
            "ENGINE_ADDRESS": self.endpoint.address,
            "ENGINE_HOSTS": str(hosts),
        }

    def inspect(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "Created": self.created,
            "Path": self.config["Cmd"][0],
            "Args": self.config["Cmd"][1:],
            "State": self._inspect_state(),
            "Image": self.image_id,
            "LogPath": str(self.log),
            "Name": f"/{self.name}",
            "RestartCount": 0,  # Docker counts only what its own restart policy did
            "Driver": "process",
            "Platform": "linux",
            "Mounts": [],
            "Config": self.config,
            "HostConfig": self.host_config,
            "NetworkSettings": {
                "IPAddress": "",
                "Ports": dict.fromkeys(self.config["ExposedPorts"]) if self.running else {},
                "Networks": {self.network.name: self.network.inspect_endpoint(self.endpoint)},
            },
        }

    def summary(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.config["Image"],
            "ImageID": self.image_id,
            "Command": " ".join(self.config["Cmd"]),
            "Created": self.created_unix,
            "Ports": [{"PrivatePort": self.port, "Type": "tcp"}] if self.running and self.port else [],
            "Labels": self.labels,
            "State": self.state.status,
            "Status": self._say_status(),
            "HostConfig": {"NetworkMode": self.host_config["NetworkMode"]},
            "NetworkSettings": {
                "Networks": {self.network.name: self.network.inspect_endpoint(self.endpoint)},
            },
            "Mounts": [],
        }

    def _inspect_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "Status": self.state.status,
            "Running": self.running,
            "Paused": False,
            "Restarting": False,
            "OOMKilled": False,
            "Dead": False,
            "Pid": self.child.pid if self.running and self.child else 0,
            "ExitCode": self.state.exit_code,
            "Error": "",
            "StartedAt": self.state.started_at,
            "FinishedAt": self.state.finished_at,
        }
        if self.health:
            state["Health"] = self.health.inspect()
        return state

    def _say_status(self) -> str:
        if self.state.status == "created":
            return "Created"
        if not self.running:
            return f"Exited ({self.state.exit_code})"
        return f"Up ({self.health.status})" if self.health else "Up"
