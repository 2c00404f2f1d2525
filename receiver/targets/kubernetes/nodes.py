"""What a node says of itself; cluster.py asks.

It judges an object that was already fetched. A cordoned node is as well as any other: people do that on purpose.
"""

from receiver.targets.kubernetes import precondition
from receiver.targets.kubernetes.rollout import Object, Rollout


def judge(node: Object) -> Rollout:
    """Well when its kubelet says so, and has said so lately."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    is_ready = ready is not None and ready["status"] == "True"
    return Rollout(wanted=1, ready=int(is_ready), why=_why(node, ready))


def is_cordoned(node: Object) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def cordoning(node: Object, *, wanted: bool) -> Object:
    """The change that lets no new pod come, or lets them come again."""
    return {"metadata": precondition.of(node), "spec": {"unschedulable": wanted}}


def version(node: Object) -> str:
    """Its kubelet's."""
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")


def summary(node: Object) -> Object:
    """What an audit row says of it."""
    return {"cordoned": is_cordoned(node), "ready": judge(node).ready == 1}


def _why(node: Object, ready: Object | None) -> str:
    if node["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    if ready is None:
        return "its kubelet has not said yet whether it is ready"
    if ready["status"] == "True":
        return ""
    said = ready.get("message") or ready.get("reason") or ready["status"]
    return f"it is not ready: {said}"
