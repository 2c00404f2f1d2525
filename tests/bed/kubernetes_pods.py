"""How pods end on the fake Kubernetes API server: told to, by a deletion or an eviction, and then by their node.

Their owner puts another one in their place. A test may let a node hang, so that nothing on it ends by itself.
"""

import uuid
from copy import deepcopy
from typing import Any

from tests.bed.kubernetes_failures import Failure, check_uid
from tests.bed.kubernetes_paths import Place
from tests.bed.kubernetes_selectors import fits
from tests.bed.kubernetes_store import Store

Object = dict[str, Any]

OVER = "Cannot evict pod as it would violate the pod's disruption budget."
LOOKS = 2  #: how often somebody sees a pod end


class Pods:
    """Of all nodes in a store."""

    def __init__(self, store: Store) -> None:
        self.hang = False  #: the nodes end nothing
        self._store = store
        self._seen: dict[str, int] = {}  #: uid -> how often, since it was told to end
        self._budgets: dict[str, Object] = {}  #: uid -> the budget that its eviction was taken from

    def delete(self, pod: Object, options: Object, place: Place) -> Object:
        check_uid((options.get("preconditions") or {}).get("uid"), pod, place)
        grace = options.get("gracePeriodSeconds")
        if grace is None:
            grace = pod["spec"]["terminationGracePeriodSeconds"]
        metadata, on_a_node = pod["metadata"], bool(pod["spec"].get("nodeName"))
        grace = min(grace, metadata.get("deletionGracePeriodSeconds", grace))
        if grace == 0 or not on_a_node:
            if not metadata.get("finalizers"):
                self._end(pod)
                return pod
            grace = 0
        if metadata.get("deletionGracePeriodSeconds") != grace:
            metadata |= {"deletionTimestamp": self._store.time(later=grace), "deletionGracePeriodSeconds": grace}
        return self._store.write(pod)

    def evict(self, pod: Object, eviction: Object, place: Place) -> Object:
        if eviction.get("metadata", {}).get("name") != place.name:
            raise Failure(400, "BadRequest", "name in URL does not match name in Eviction object", place)
        options = eviction.get("deleteOptions") or {}
        if pod["status"]["phase"] == "Running" and not pod["metadata"].get("deletionTimestamp"):
            check_uid((options.get("preconditions") or {}).get("uid"), pod, place)
            self._take_from_budget(pod)
        self.delete(pod, options, place)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def step(self, pod: Object) -> None:
        """Somebody has looked at it."""
        uid, metadata = pod["metadata"]["uid"], pod["metadata"]
        if self.hang or not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return
        self._seen[uid] = self._seen.get(uid, 0) + 1
        if self._seen[uid] >= LOOKS:
            self._end(pod)

    def _take_from_budget(self, pod: Object) -> None:
        labels, namespace = pod["metadata"].get("labels") or {}, pod["metadata"]["namespace"]
        budgets = [
            each
            for each in self._store.all("PodDisruptionBudget", namespace)
            if fits(
                labels, ",".join(f"{key}={value}" for key, value in each["spec"]["selector"]["matchLabels"].items())
            )
        ]
        if len(budgets) > 1:
            several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise Failure(500, "", several)
        for budget in budgets:
            status = budget["status"]
            if status["observedGeneration"] < budget["metadata"]["generation"]:
                raise _not_seen(budget)
            if status["disruptionsAllowed"] == 0:
                raise _over_budget(budget)
            status["disruptionsAllowed"] -= 1
            self._budgets[pod["metadata"]["uid"]] = self._store.write(budget)

    def _end(self, pod: Object) -> None:
        self._store.remove(pod)
        owner = next(iter(pod["metadata"].get("ownerReferences") or ()), None)
        if owner and owner["kind"] != "Node":
            self._store.create(self._another(pod, owner))
        if budget := self._budgets.pop(pod["metadata"]["uid"], None):
            now = self._store.get(budget)
            now["status"]["disruptionsAllowed"] += 1
            self._store.write(now)

    def _another(self, pod: Object, owner: Object) -> Object:
        another = deepcopy(pod)
        metadata = another["metadata"]
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            metadata.pop(name, None)
        if owner["kind"] == "DaemonSet":
            return another
        if owner["kind"] != "StatefulSet":
            metadata["name"] = f"{metadata['name'].rpartition('-')[0]}-{uuid.uuid4().hex[:5]}"
        free = [node for node in self._store.all("Node") if not node["spec"].get("unschedulable")]
        another["spec"].pop("nodeName", None)
        if free:
            another["spec"]["nodeName"] = free[0]["metadata"]["name"]
        else:
            another["status"] |= {"phase": "Pending", "containerStatuses": [], "conditions": []}
        return another


def _not_seen(budget: Object) -> Failure:
    """Its controller has not counted yet; the server says when to come again."""
    name = budget["metadata"]["name"]
    causes = [{"reason": "DisruptionBudget", "message": f"The disruption budget {name} is still being processed."}]
    return Failure(429, "TooManyRequests", OVER, causes=causes, retryAfterSeconds=10)


def _over_budget(budget: Object) -> Failure:
    """Without retryAfterSeconds, and without the header of that name."""
    status, name = budget["status"], budget["metadata"]["name"]
    needs = f"needs {status['desiredHealthy']} healthy pods and has {status['currentHealthy']} currently"
    causes = [{"reason": "DisruptionBudget", "message": f"The disruption budget {name} {needs}"}]
    return Failure(429, "TooManyRequests", OVER, causes=causes)
