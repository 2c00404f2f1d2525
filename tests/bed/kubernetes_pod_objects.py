"""Complete pods, nodes and budgets, as a Kubernetes API server shows them when all is well; tests put them into ours.

As in kubernetes_objects.py, nothing is left out that a real server always fills in.
"""

from typing import Any

from tests.bed.kubernetes_objects import CREATED, condition, pod_template
from tests.bed.kubernetes_store import owned_by

Object = dict[str, Any]


def pod(
    name: str = "cart-7d9f-x2x4z",
    *,
    owner: Object | None = None,
    node: str = "worker-1",
    namespace: str = "shop",
    app: str = "cart",
    **spec: Any,
) -> Object:
    """Of a workload, or, without one, of a ReplicaSet that is not there; `bare` makes one of nobody."""
    owners = owned_by(owner) if owner else [_reference("ReplicaSet", name.rpartition("-")[0])]
    template = pod_template(app)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": template["metadata"]["labels"],
            "creationTimestamp": CREATED,
            "ownerReferences": owners,
        },
        "spec": {**template["spec"], "nodeName": node, "volumes": [], **spec},
        "status": {
            "phase": "Running",
            "conditions": [condition("PodScheduled", ""), condition("Ready", "")],
            "containerStatuses": [container_status(app)],
            "startTime": CREATED,
        },
    }


def bare(found: Object) -> Object:
    """Nobody's, so that nobody makes another one."""
    return {**found, "metadata": {**found["metadata"], "ownerReferences": []}}


def mirror(name: str = "proxy-worker-1", *, node: str = "worker-1") -> Object:
    """Of a pod that the node runs from a file."""
    found = pod(name, node=node, namespace="kube-system", app="proxy")
    own = {"annotations": {"kubernetes.io/config.mirror": "f00"}, "ownerReferences": [_reference("Node", node)]}
    return {**found, "metadata": {**found["metadata"], **own}}


def of_kind(kind: str, found: Object) -> Object:
    """The same, with an owner of another kind."""
    return {**found, "metadata": {**found["metadata"], "ownerReferences": [_reference(kind, "owner")]}}


def container_status(name: str, *, ready: bool = True, **state: Any) -> Object:
    return {
        "name": name,
        "image": f"shop/{name}:1.0",
        "imageID": "",
        "ready": ready,
        "restartCount": 0,
        "state": state or {"running": {"startedAt": CREATED}},
        "lastState": {},
    }


def node(name: str = "worker-1", *, labels: Object | None = None, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "amend.enable": "true"} if labels is None else labels,
            "creationTimestamp": CREATED,
        },
        "spec": {"podCIDR": "10.0.0.0/24", **spec},
        "status": {
            "conditions": [condition("Ready", "KubeletReady", message="kubelet is posting ready status")],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "containerd://2.1.0",
                "kernelVersion": "6.12.0",
                "kubeProxyVersion": "",
                "kubeletVersion": "v1.36.0",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "",
                "systemUUID": "",
            },
        },
    }


def budget(name: str = "cart", *, allowed: int = 0, namespace: str = "shop", app: str = "cart") -> Object:
    """A PodDisruptionBudget that has been seen by its controller."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": CREATED},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": app}}},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": 2 + allowed,
            "desiredHealthy": 2,
            "expectedPods": 2 + allowed,
        },
    }


def _reference(kind: str, name: str) -> Object:
    group = "v1" if kind == "Node" else "apps/v1"
    return {"apiVersion": group, "kind": kind, "name": name, "uid": f"uid-of-{name}", "controller": True}
