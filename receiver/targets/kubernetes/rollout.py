"""How far a Deployment, StatefulSet or DaemonSet has come; cluster.py asks.

By the rules of `kubectl rollout status`, it judges an object that was already fetched; what the server leaves out
(it omits zeros) counts as zero.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]  #: as the API server's JSON has it


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Where a workload stands."""

    wanted: int
    ready: int
    why: str = ""  #: why it is not done, in words
    failed: bool = False  #: its controller has given up

    @property
    def done(self) -> bool:
        return not self.why


def judge(found: Object) -> Rollout:
    """Done when the controller has seen the newest generation and every wanted replica is new, available and ready."""
    wanted, ready, obstacles = _KINDS[found["kind"]](found)
    if found["metadata"].get("deletionTimestamp"):
        return Rollout(wanted=wanted, ready=ready, why="it is being deleted")
    if _count(found, "observedGeneration") < found["metadata"]["generation"]:
        return Rollout(wanted=wanted, ready=ready, why="its controller has not seen the newest change yet")
    gave_up = _deadline_exceeded(found)
    if gave_up:
        return Rollout(wanted=wanted, ready=ready, why=gave_up, failed=True)
    return Rollout(wanted=wanted, ready=ready, why=next(obstacles, ""))


def cannot_restart(found: Object) -> str:
    """Why a new pod template would be accepted and then roll nothing; "" when it would roll."""
    obstacle = cannot_roll(found, "a restart")
    if not obstacle and judge(found).wanted == 0:
        return "it has no replicas; there is nothing to restart"
    return obstacle


def cannot_roll(found: Object, change: str) -> str:
    """As `cannot_restart`, for any change of the pod template."""
    spec = found["spec"]
    if found["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    if spec.get("paused"):
        return f"its rollout is paused; {change} would be accepted and roll nothing until somebody resumes it"
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return f"its update strategy is OnDelete; {change} would be accepted and roll nothing"
    return ""


def _replicas(found: Object) -> int:
    """One, when nobody said; 0 is a number that was said."""
    replicas = found["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _count(found: Object, name: str) -> int:
    return int((found.get("status") or {}).get(name) or 0)


def _deadline_exceeded(found: Object) -> str:
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return f"its rollout has exceeded its progress deadline: {condition.get('message', '')}".rstrip(": ")
    return ""


def _deployment(found: Object) -> tuple[int, int, Iterator[str]]:
    wanted, ready = _replicas(found), _count(found, "readyReplicas")

    def obstacles() -> Iterator[str]:
        total, updated, available = (
            _count(found, name) for name in ("replicas", "updatedReplicas", "availableReplicas")
        )
        if updated < wanted:
            yield f"{updated} of {wanted} replicas are updated"
        if total > updated:
            yield f"{total - updated} old replicas are still there"
        if available < updated:
            yield f"{available} of {updated} updated replicas are available"
        if ready != wanted:
            yield f"{ready} replicas are ready, {wanted} are wanted"

    return wanted, ready, obstacles()


def _stateful_set(found: Object) -> tuple[int, int, Iterator[str]]:
    wanted, ready = _replicas(found), _count(found, "readyReplicas")
    strategy = found["spec"].get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0

    def obstacles() -> Iterator[str]:
        status = found.get("status") or {}
        if ready != wanted:
            yield f"{ready} replicas are ready, {wanted} are wanted"
        if strategy.get("type") == "OnDelete":
            return
        updated = _count(found, "updatedReplicas")
        if updated < wanted - partition:
            yield f"{updated} of {wanted - partition} replicas are updated"
        if not partition and wanted and status.get("updateRevision") != status.get("currentRevision"):
            yield f"it is still rolling to {status.get('updateRevision')}"

    return wanted, ready, obstacles()


def _daemon_set(found: Object) -> tuple[int, int, Iterator[str]]:
    wanted, ready = _count(found, "desiredNumberScheduled"), _count(found, "numberReady")

    def obstacles() -> Iterator[str]:
        updated, available = _count(found, "updatedNumberScheduled"), _count(found, "numberAvailable")
        if updated < wanted and (found["spec"].get("updateStrategy") or {}).get("type") != "OnDelete":
            yield f"{updated} of {wanted} nodes run the newest pod"
        if available < wanted:
            yield f"its pod is available on {available} of {wanted} nodes"
        if ready != wanted:
            yield f"its pod is ready on {ready} of {wanted} nodes"

    return wanted, ready, obstacles()


_KINDS: Mapping[str, Callable[[Object], tuple[int, int, Iterator[str]]]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
}
