"""One Docker container as the engine described it; host.py and compose.py read it.

It only answers questions about a description that was already fetched: what it is, and whether it is well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GRACE = 10  #: seconds that Docker gives a container to stop, unless the container says otherwise


@dataclass(frozen=True)
class Container:
    """What `docker inspect` shows, as far as it is looked at."""

    description: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.description["Id"])

    @property
    def name(self) -> str:
        return str(self.description["Name"]).removeprefix("/")

    @property
    def labels(self) -> Mapping[str, str]:
        return self.description["Config"].get("Labels") or {}

    @property
    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.description["Config"]
        return config

    @property
    def host(self) -> Mapping[str, Any]:
        host: Mapping[str, Any] = self.description["HostConfig"]
        return host

    @property
    def network_mode(self) -> str:
        mode = str(self.host.get("NetworkMode", ""))
        return "bridge" if mode == "default" else mode

    @property
    def networks(self) -> Mapping[str, Mapping[str, Any]]:
        return self.description["NetworkSettings"].get("Networks") or {}

    @property
    def image(self) -> str:
        """The image's id: a tag may have moved on since the container was made."""
        return str(self.description["Image"])

    @property
    def tag(self) -> str:
        """What the image was called when the container was made; "" when that was the bare id."""
        tag = str(self.config.get("Image", ""))
        return "" if tag.startswith("sha256:") else tag

    @property
    def grace(self) -> int:
        """Seconds between asking it to stop and killing it; below 0, it is never killed."""
        wanted = self.config.get("StopTimeout")
        return GRACE if wanted is None else int(wanted)

    @property
    def started_at(self) -> str:
        """Tells one life of it from the next."""
        return str(self._state.get("StartedAt", ""))

    @property
    def status(self) -> str:
        return str(self._state.get("Status", ""))

    @property
    def health(self) -> str:
        """`starting`, `healthy`, `unhealthy`; "" when it has no health check."""
        health = (self._state.get("Health") or {}).get("Status", "")
        return "" if health == "none" else str(health)

    @property
    def ailment(self) -> str:
        """Why it is not well, in words; "" when it is."""
        if self.status == "exited":
            return f"has exited with code {self._state.get('ExitCode')}"
        if self.status != "running":
            return f"is {self.status}"
        if self.health not in ("", "healthy"):
            return f"is running, its health is {self.health}"
        return ""

    @property
    def ended(self) -> bool:
        """Stopped, and no restart policy will bring it back."""
        policy = (self.host.get("RestartPolicy") or {}).get("Name", "")
        return self.status in ("exited", "dead") and policy in ("", "no")

    def summary(self) -> Mapping[str, str]:
        """What an audit row says of it."""
        return {
            "id": self.id[:12],
            "name": self.name,
            "image": self.tag or self.image,
            "status": f"{self.status} ({self.health})" if self.health else self.status,
            "started_at": self.started_at,
        }

    @property
    def _state(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self.description["State"]
        return state
