"""The controllers of the fake Kubernetes API server, as far as Amend can see them: they move status after spec.

They take one small step each time that somebody has looked at a workload, so that a client which waits sees every
stage; a test may hold them at a stage, or let them give up.
"""

import json
from typing import Any

from tests.bed.kubernetes_history import History

Object = dict[str, Any]


class Controller:
    """One for all workloads of a server."""

    def __init__(self, history: History) -> None:
        self.asleep = False  #: sees no change at all
        self.stuck = False  #: sees changes, starts one new pod, and that never gets ready
        self.gives_up = False  #: says so, when it is stuck
        self._history = history
        self._rolled: dict[str, str] = {}  #: uid -> the pod template that its pods have

    def adopt(self, workload: Object) -> None:
        """All is well with it as it is."""
        workload["status"]["observedGeneration"] = workload["metadata"]["generation"]
        self._history.record(workload)
        if workload["kind"] == "StatefulSet":
            workload["status"]["currentRevision"] = workload["status"]["updateRevision"]
        self._rolled[workload["metadata"]["uid"]] = _template(workload)

    def step(self, workload: Object) -> None:
        if self.asleep:
            return
        status = workload["status"]
        if status["observedGeneration"] < workload["metadata"]["generation"]:
            status["observedGeneration"] = workload["metadata"]["generation"]
            paused = workload["spec"].get("paused")
            if not paused and self._rolled[workload["metadata"]["uid"]] != _template(workload):
                self._rolled[workload["metadata"]["uid"]] = _template(workload)
                is_new = self._history.record(workload)
                _KINDS[workload["kind"]].begin(workload, is_new=is_new)
            return
        if self.stuck:
            if self.gives_up and workload["kind"] == "Deployment":
                _progressing(workload, "False", "ProgressDeadlineExceeded", "ReplicaSet has timed out progressing.")
            return
        _KINDS[workload["kind"]].advance(workload)


class _Deployment:
    @staticmethod
    def begin(workload: Object, *, is_new: bool) -> None:
        workload["status"] |= {"updatedReplicas": 1, "replicas": workload["spec"]["replicas"] + 1}
        if is_new:  # going back to an old ReplicaSet leaves it said that a deadline is over, until there is progress
            _progressing(workload, "True", "NewReplicaSetCreated", "Created new replica set.")

    @staticmethod
    def advance(workload: Object) -> None:
        wanted, status = workload["spec"]["replicas"], workload["status"]
        updated = _nearer(status["updatedReplicas"], wanted)
        ready = wanted if status["replicas"] > wanted else _nearer(status["readyReplicas"], wanted)
        total = wanted if updated == wanted else max(status["replicas"], updated)
        if updated != status["updatedReplicas"]:
            _progressing(workload, "True", "ReplicaSetUpdated", "ReplicaSet is progressing.")
        status |= {"updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready, "replicas": total}
        if updated == ready == wanted:
            _progressing(workload, "True", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed.")


class _StatefulSet:
    @staticmethod
    def begin(workload: Object, *, is_new: bool) -> None:
        workload["status"]["updatedReplicas"] = 0

    @staticmethod
    def advance(workload: Object) -> None:
        wanted, status = workload["spec"]["replicas"], workload["status"]
        updated, ready = _nearer(status["updatedReplicas"], wanted), _nearer(status["readyReplicas"], wanted)
        status |= {"updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready, "replicas": ready}
        if updated == wanted:
            status |= {"currentRevision": status["updateRevision"], "currentReplicas": wanted}


class _DaemonSet:
    @staticmethod
    def begin(workload: Object, *, is_new: bool) -> None:
        workload["status"]["updatedNumberScheduled"] = 0

    @staticmethod
    def advance(workload: Object) -> None:
        status = workload["status"]
        nodes = status["desiredNumberScheduled"]
        status["updatedNumberScheduled"] = _nearer(status["updatedNumberScheduled"], nodes)


_KINDS: dict[str, Any] = {"Deployment": _Deployment, "StatefulSet": _StatefulSet, "DaemonSet": _DaemonSet}


def _template(workload: Object) -> str:
    return json.dumps(workload["spec"]["template"], sort_keys=True)


def _nearer(now: int, wanted: int) -> int:
    return now + (wanted > now) - (wanted < now)


def _progressing(workload: Object, status: str, reason: str, message: str) -> None:
    for condition in workload["status"]["conditions"]:
        if condition["type"] == "Progressing":
            condition |= {"status": status, "reason": reason, "message": message}
