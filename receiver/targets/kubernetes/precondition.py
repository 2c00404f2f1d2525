"""That what is changed still is what was looked up; cluster.py and scaling.py ask before and with each change."""

from receiver.errors import Permanent
from receiver.targets.kubernetes.rollout import Object
from receiver.workload import Workload


def of(found: Object) -> Object:
    """As metadata of a change: the server answers 409 when either has changed."""
    return {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]}


def check(found: Object | None, workload: Workload) -> Object:
    """What was found, if it still is the one that was resolved."""
    if found is None:
        raise Permanent(f"{workload} has gone since it was looked up")
    uid = found["metadata"]["uid"]
    if uid != workload.uid:
        raise Permanent(f"{workload} has been replaced since it was looked up: it was {workload.uid}, now it is {uid}")
    return found
