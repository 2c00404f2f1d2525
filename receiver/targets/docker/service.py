"""One service of a Swarm with its tasks, as the engine described them; engine.py fetches it, swarm.py judges by it.

It only answers questions about a description that was already fetched: what it is, and whether it is well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]  #: as the engine's JSON has it

UNDER_WAY = ("updating", "rollback_started")
GIVEN_UP = ("paused", "rollback_paused")  #: Swarm waits for a person
UPDATES = {
    "updating": "its update is under way",
    "rollback_started": "it is being rolled back",
    "paused": "its update is paused",
    "rollback_paused": "its rollback is paused",
}


@dataclass(frozen=True)
class Service:
    """What `docker service inspect` and `docker service ps` show, as far as it is looked at."""

    description: Object
    tasks: Sequence[Object]

    @property
    def id(self) -> str:
        return str(self.description["ID"])

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def version(self) -> int:
        """The precondition of a change: the Swarm counts it up with every one."""
        return int(self.description["Version"]["Index"])

    @property
    def labels(self) -> Mapping[str, str]:
        """The service's own; its containers' labels are others."""
        return self.spec.get("Labels") or {}

    @property
    def spec(self) -> Object:
        spec: Object = self.description["Spec"]
        return spec

    @property
    def previous(self) -> Object | None:
        """The specification before the last change of any kind."""
        return self.description.get("PreviousSpec")

    @property
    def mode(self) -> str:
        """`Replicated` or `Global`; `ReplicatedJob` or `GlobalJob`, which run once."""
        return str(next(iter(self.spec["Mode"])))

    @property
    def image(self) -> str:
        return image(self.spec)

    @property
    def wanted(self) -> int:
        """Of a global service as many as the Swarm has found nodes for."""
        return replicas(self.spec) if self.mode == "Replicated" else len(self._current)

    @property
    def running(self) -> frozenset[str]:
        """The ids of those tasks that run, and healthy if they can tell: before that a task is `starting`."""
        return frozenset(str(task["ID"]) for task in self._current if task["Status"]["State"] == "running")

    @property
    def update(self) -> str:
        """The state of the last update or rollback; "" when the last change was none, or has not begun."""
        return str((self.description.get("UpdateStatus") or {}).get("State", ""))

    @property
    def said(self) -> str:
        """The Swarm's own words on the last update or rollback."""
        return str((self.description.get("UpdateStatus") or {}).get("Message", ""))

    @property
    def ailment(self) -> str:
        """Why it is not well, in words; "" when it is."""
        if self.update in GIVEN_UP:
            return f"{UPDATES[self.update]}: {self.said}"
        if self.update in UNDER_WAY:
            return UPDATES[self.update]
        if len(self.running) != self.wanted:
            return ": ".join(filter(None, (f"{len(self.running)} of {self.wanted} tasks run", self._trouble)))
        return ""

    def summary(self) -> Mapping[str, Any]:
        """What an audit row says of it."""
        return {"image": self.image, "replicas": self.wanted, "running": len(self.running), "version": self.version}

    @property
    def _current(self) -> list[Object]:
        return [task for task in self.tasks if task["DesiredState"] == "running"]

    @property
    def _trouble(self) -> str:
        """What the newest task that says so has failed with."""
        failed = [task["Status"] for task in self.tasks if task["Status"].get("Err")]
        return str(max(failed, key=lambda status: str(status["Timestamp"]))["Err"]) if failed else ""


def image(spec: Object) -> str:
    return str((spec["TaskTemplate"].get("ContainerSpec") or {}).get("Image", ""))


def replicas(spec: Object) -> int:
    """0 for a service that is not counted."""
    return int((spec["Mode"].get("Replicated") or {}).get("Replicas") or 0)


def forced(spec: Object) -> int:
    """How often it was restarted without another reason."""
    return int(spec["TaskTemplate"].get("ForceUpdate") or 0)


def with_replicas(spec: Object, wanted: int) -> Object:
    return {**spec, "Mode": {"Replicated": {**spec["Mode"]["Replicated"], "Replicas": wanted}}}


def with_force(spec: Object, times: int) -> Object:
    return {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ForceUpdate": times}}


def same_but_for_numbers(one: Object, other: Object) -> bool:
    """Whether nothing but restarts and scaling lies between two specifications."""

    def bare(spec: Object) -> Object:
        counted = "Replicated" in spec["Mode"]
        return with_force(with_replicas(spec, 0) if counted else spec, 0)

    return bare(one) == bare(other)
