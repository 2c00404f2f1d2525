"""What a pod says of itself; cluster.py asks for one, drain.py for all that are on a node.

It judges an object that was already fetched, by the rules of `kubectl drain` where there are any.
"""

from collections.abc import Iterator
from datetime import datetime

from receiver.targets.kubernetes.rollout import Object, Rollout

# A pod that the kubelet runs from a file; what the API server shows is its mirror, and deleting that ends nothing.
MIRROR = "kubernetes.io/config.mirror"


def judge(pod: Object) -> Rollout:
    """Well when it is ready and was not told to end."""
    ready = _ready(pod)
    why = next(_obstacles(pod), "")
    return Rollout(wanted=1, ready=int(ready), why=why)


def controller(pod: Object) -> Object | None:
    """Who makes another one when it is gone."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def is_daemon(pod: Object) -> bool:
    """One that a DaemonSet would put back at once: it ignores that a node is cordoned."""
    owner = controller(pod)
    return owner is not None and owner["kind"] == "DaemonSet"


def is_mirror(pod: Object) -> bool:
    return MIRROR in (pod["metadata"].get("annotations") or {})


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def keeps_data(pod: Object) -> bool:
    """In an emptyDir, which goes with it."""
    return any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ())


def told_to_end(pod: Object) -> str:
    """Until when it may take its time; "" when it was not told."""
    return str(pod["metadata"].get("deletionTimestamp") or "")


def is_overdue(pod: Object, now: datetime) -> bool:
    """It was told to end, has had its time, and is still there."""
    until = told_to_end(pod)
    return bool(until) and datetime.fromisoformat(until) < now


def lingers(pod: Object) -> str:
    """Why it is still there, in words."""
    until = told_to_end(pod)
    if not until:
        return "it has not been told to end"
    finalizers = ", ".join(pod["metadata"].get("finalizers") or ())
    if finalizers:
        return f"it was to end until {until}; these finalizers hold it: {finalizers}"
    return f"it was to end until {until}, and is still there"


def images(pod: Object) -> str:
    return ", ".join(container["image"] for container in pod["spec"]["containers"])


def label(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _obstacles(pod: Object) -> Iterator[str]:
    status = pod.get("status") or {}
    if told_to_end(pod):
        yield f"it is being deleted, and was to end until {told_to_end(pod)}"
    if is_finished(pod):
        yield f"its phase is {status['phase']}: it has ended for good"
    for container in _containers(pod):
        if reason := _waits(container):
            yield f"container {container['name']} is waiting: {reason}"
        if ended := _ended(container):
            yield f"container {container['name']} has ended: {ended}"
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield f"it is on no node: {condition.get('message') or condition.get('reason') or 'nobody says why'}"
    if status.get("phase") != "Running":
        yield f"its phase is {status.get('phase') or 'not known yet'}"
    if not _ready(pod):
        yield "it runs, but is not ready"


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _containers(pod: Object) -> Iterator[Object]:
    """Those that are not ready, in the order in which they start."""
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if not container.get("ready"):
            yield container


def _waits(container: Object) -> str:
    """Waiting for the one before it is no reason: that one has its own."""
    reason = str(((container.get("state") or {}).get("waiting") or {}).get("reason") or "")
    return "" if reason in ("PodInitializing", "ContainerCreating") else reason


def _ended(container: Object) -> str:
    """With an error: an init container that has done its work has ended, too."""
    ended = (container.get("state") or {}).get("terminated") or {}
    return f"{ended.get('reason') or 'Error'} (exit code {ended['exitCode']})" if ended.get("exitCode") else ""
