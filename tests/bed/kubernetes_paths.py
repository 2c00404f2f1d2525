"""What a path of the Kubernetes API names; the fake server serves these kinds and no others."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

KINDS: Mapping[str, tuple[str, str, str]] = {  # kind -> group, version, plural
    "Deployment": ("apps", "v1", "deployments"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "DaemonSet": ("apps", "v1", "daemonsets"),
    "ReplicaSet": ("apps", "v1", "replicasets"),
    "ControllerRevision": ("apps", "v1", "controllerrevisions"),
    "HorizontalPodAutoscaler": ("autoscaling", "v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("policy", "v1", "poddisruptionbudgets"),
    "Pod": ("", "v1", "pods"),
    "Node": ("", "v1", "nodes"),
}
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
SUBRESOURCES: Mapping[str, tuple[str, ...]] = {  # all others have their status alone
    "Deployment": ("scale", "status"),
    "StatefulSet": ("scale", "status"),
    "Pod": ("eviction", "status"),
}


@dataclass(frozen=True)
class Place:
    """A resource of all namespaces or of one, or one object, or a subresource of it."""

    group: str
    version: str
    plural: str
    namespace: str = ""  #: "" for the whole cluster
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def where(self) -> str:
        return f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"

    @property
    def kind(self) -> str:
        """ "" for one that is not served."""
        served = (kind for kind, known in KINDS.items() if known == (self.group, self.version, self.plural))
        kind = next(served, "")
        known = not self.subresource or self.subresource in SUBRESOURCES.get(kind, ("status",))
        return kind if known else ""


NOWHERE = Place("", "", "")


def read(path: str) -> Place:
    """NOWHERE when it is no path of the API."""
    parts = [unquote(part) for part in path.split("/")[1:]]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return NOWHERE
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    return Place(group, version, rest[0], namespace, *rest[1:]) if len(rest) < 4 else NOWHERE


def verb(method: str, place: Place) -> str:
    if method == "GET":
        return "get" if place.name else "list"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
