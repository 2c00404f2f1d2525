"""What a Kubernetes object looks like to the rest of Amend; cluster.py shows it with each look and each result."""

from collections.abc import Callable, Mapping
from typing import Any

from receiver.targets.kubernetes import nodes, pods, rollout
from receiver.targets.kubernetes.names import key
from receiver.targets.kubernetes.revisions import NUMBER, RESTARTED_AT
from receiver.targets.kubernetes.rollout import Object, Rollout
from receiver.workload import Selector, Workload


def workload(cluster: str, selector: Selector, found: Object) -> Workload:
    judged = _JUDGES.get(selector.kind, rollout.judge)(found)
    return Workload(
        key=key(cluster, selector),
        selector=selector,
        uid=found["metadata"]["uid"],
        replicas=judged.wanted,
        ready=judged.ready,
        version=_VERSIONS.get(selector.kind, _images)(found),
        healthy=judged.done,
        why=judged.why,
        detail=_DETAILS.get(selector.kind, _rolled)(found),
    )


def summary(found: Object) -> Mapping[str, Any]:
    """What an audit row says of a Deployment, StatefulSet or DaemonSet."""
    judged = rollout.judge(found)
    annotations = (found["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    return {
        "replicas": judged.wanted,
        "ready": judged.ready,
        "images": _images(found),
        "revision": _revision(found),
        "generation": found["metadata"]["generation"],
        "restarted_at": annotations.get(RESTARTED_AT, ""),
    }


def pod_summary(pod: Object) -> Mapping[str, Any]:
    judged = pods.judge(pod)
    return {"ready": judged.ready == 1, "why": judged.why, "images": pods.images(pod), **_pod(pod)}


def _rolled(found: Object) -> Mapping[str, str]:
    return {"revision": _revision(found), "generation": str(found["metadata"]["generation"])}


def _pod(pod: Object) -> Mapping[str, str]:
    owner = pods.controller(pod)
    return {
        "node": str(pod["spec"].get("nodeName") or ""),
        "owner": f"{owner['kind']}/{owner['name']}" if owner else "",
    }


def _node(node: Object) -> Mapping[str, str]:
    return {"cordoned": "yes" if nodes.is_cordoned(node) else "no"}


def _images(found: Object) -> str:
    return pods.images(found["spec"]["template"])


def _revision(found: Object) -> str:
    """A Deployment's number, a StatefulSet's hash; a DaemonSet has neither."""
    annotations = found["metadata"].get("annotations") or {}
    status = found.get("status") or {}
    return str(annotations.get(NUMBER) or status.get("updateRevision") or "")


_JUDGES: Mapping[str, Callable[[Object], Rollout]] = {"Pod": pods.judge, "Node": nodes.judge}
_VERSIONS: Mapping[str, Callable[[Object], str]] = {"Pod": pods.images, "Node": nodes.version}
_DETAILS: Mapping[str, Callable[[Object], Mapping[str, str]]] = {"Pod": _pod, "Node": _node}
