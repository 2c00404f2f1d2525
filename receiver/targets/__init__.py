"""The platforms that actions act on: one file each, found here by name, connected when the receiver starts.

A platform resolves a selector by listing and checks its allow-list; it never takes a name on trust, never acts on
more than one workload, and never waits longer than it was told.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from receiver.workload import Selector, Workload


class Platform(Protocol):
    """One Docker host or one Kubernetes cluster."""

    name: str

    async def resolve(self, selector: Selector) -> Workload:
        """The workload as it is now.

        Refusal(no_target | target_not_allowed | ambiguous_target); Temporary when the platform does not answer;
        Permanent when it answers no (a missing right, named).
        """

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """Restart it and wait until it runs again; returns what was before and after.

        Temporary: nothing was sent. Uncertain: sent, and no answer. Permanent: refused, or not running in time.
        """

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        """Set the number of replicas and wait until they run; errors as `restart`."""

    async def way_back(self, workload: Workload, *, to: str | None) -> str:
        """Where a rollback leads, and from where, in words that tell it from any other.

        Permanent when it leads nowhere; errors as `resolve` besides.
        """

    async def rollback(
        self, workload: Workload, *, to: str | None, within: timedelta, foreseen: str = ""
    ) -> Mapping[str, Any]:
        """Go back to a revision or an image, or to the one before, and wait until it runs; errors as `restart`.

        Permanent, with nothing done, when it leads somewhere else by now than was `foreseen`.
        """

    async def rolled_out_at(self, workload: Workload) -> datetime | None:
        """When what it runs now was first deployed; None where the platform does not tell. Errors as `resolve`."""

    async def close(self) -> None:
        """Let go of connections and threads; never waits for a call that hangs."""


@runtime_checkable
class Containers(Platform, Protocol):
    """A platform with single containers; errors as `restart`."""

    async def stop(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """Stop it, with its own grace time."""

    async def start(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """Start it, and wait until it runs."""


@runtime_checkable
class Nodes(Platform, Protocol):
    """A platform that puts pods on nodes; errors as `restart`."""

    async def delete_pod(
        self, workload: Workload, *, grace: int | None, force: bool, within: timedelta
    ) -> Mapping[str, Any]:
        """Evict it and wait until it is gone; `grace` in seconds, `force` for one that does not end."""

    async def cordon(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """Let no new pod come to a node."""

    async def uncordon(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """Let new pods come again."""

    async def drain(self, workload: Workload, *, delete_emptydir_data: bool, within: timedelta) -> Mapping[str, Any]:
        """Cordon a node, evict what runs there, and wait until it is gone."""


def _docker(settings: Any) -> Platform:
    from receiver.targets.docker.host import DockerHost

    return DockerHost(settings)


def _kubernetes(settings: Any) -> Platform:
    from receiver.targets.kubernetes.cluster import Cluster

    return Cluster(settings)


PLATFORMS: Mapping[str, Callable[[Any], Platform]] = {"docker": _docker, "kubernetes": _kubernetes}
"""Imported when one is configured: the clients behind them are heavy."""
