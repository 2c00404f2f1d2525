"""What a write to the fake Kubernetes API server may touch, and what a scale looks like."""

from collections.abc import Mapping
from typing import Any

from tests.bed.kubernetes_failures import Failure
from tests.bed.kubernetes_patches import PATCHES, Unappliable
from tests.bed.kubernetes_paths import Place

Object = dict[str, Any]

KEPT = ("uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp")


def patched(shown: Object, content_type: str, change: Any, place: Place) -> Object:
    patch = PATCHES.get(content_type)
    if patch is None:
        message = (
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(PATCHES)}"
        )
        raise Failure(415, "UnsupportedMediaType", message, place)
    try:
        result: Object = patch(shown, change)
    except Unappliable as error:
        # A real server says just this, and the cause only in its log.
        raise Failure(
            422, "Invalid", "the server rejected our request due to an error in our request", place
        ) from error
    return result


def merged(found: Object, wanted: Object, place: Place) -> Object:
    """The scale its one number, the status itself, the object all but its status."""
    if place.subresource == "scale":
        replicas = (wanted.get("spec") or {}).get("replicas") or 0
        if replicas < 0:
            message = f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0"
            raise Failure(422, "Invalid", message, place)
        return {**found, "spec": {**found["spec"], "replicas": replicas}}
    if place.subresource == "status":
        return {**found, "status": wanted["status"]}
    _check_bounds(wanted, place)
    kept = {name: found["metadata"][name] for name in KEPT if name in found["metadata"]}
    result = {**wanted, "metadata": {**wanted["metadata"], **kept}}
    if wanted["kind"] == "Node" and not wanted["spec"].get("unschedulable"):  # left out when it is false
        result["spec"] = {key: value for key, value in wanted["spec"].items() if key != "unschedulable"}
    return result | ({"status": found["status"]} if "status" in found else {})


def scale_of(found: Object) -> Object:
    """Zeros are left out, as a real server does."""
    metadata = found["metadata"]
    replicas, running = found["spec"]["replicas"], found["status"].get("replicas", 0)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": running, "selector": _selector(found["spec"]["selector"]["matchLabels"])},
    }


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _check_bounds(wanted: Object, place: Place) -> None:
    spec = wanted.get("spec") or {}
    if wanted["kind"] == "HorizontalPodAutoscaler" and spec["minReplicas"] > spec["maxReplicas"]:
        message = (
            f"spec.maxReplicas: Invalid value: {spec['maxReplicas']}: must be greater than or equal to `minReplicas`"
        )
        raise Failure(
            422, "Invalid", f'HorizontalPodAutoscaler.autoscaling "{place.name}" is invalid: {message}', place
        )
