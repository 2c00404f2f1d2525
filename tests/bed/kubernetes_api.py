"""A small Kubernetes API server of our own, for workloads and their autoscalers, over real HTTP on a free port.

It keeps what remediation code gets wrong on a real one: resourceVersion conflicts and uid preconditions, generations,
three patch types, subresources, selectors, missing rights, and requests that are turned away. It records every request.
"""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.bed.kubernetes_controller import Controller
from tests.bed.kubernetes_patches import PATCHES, Unappliable
from tests.bed.loopback import Loopback

Object = dict[str, Any]
Waiting = TypeVar("Waiting")

TOKEN = "token-of-the-service-account"
USER = "system:serviceaccount:amend:amend"

KINDS = {  # kind -> group, version, plural
    "Deployment": ("apps", "v1", "deployments"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "DaemonSet": ("apps", "v1", "daemonsets"),
    "HorizontalPodAutoscaler": ("autoscaling", "v2", "horizontalpodautoscalers"),
}
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
SCALABLE = ("Deployment", "StatefulSet")


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    body: Any


@dataclass(frozen=True)
class Place:
    """What a path names."""

    group: str
    plural: str
    namespace: str
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Failure(Exception):
    """An answer of the kind Status."""

    def __init__(self, code: int, reason: str, message: str, place: Place, **details: Any) -> None:
        self.code = code
        self.details = details
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": {"name": place.name, "group": place.group, "kind": place.plural, **details},
            "code": code,
        }
        super().__init__(message)


class KubernetesApi(Loopback):
    """Everything is allowed until the first `grant`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.controller = Controller()
        self._objects: dict[tuple[str, str, str], Object] = {}  #: by kind, namespace and name
        self._version = 1000
        self._rights: dict[str, Sequence[Mapping[str, Sequence[str]]]] | None = None
        self._faults: list[tuple[str, Fault]] = []
        self._meanwhile: list[tuple[str, Callable[[], object]]] = []
        self._lock = threading.RLock()
        super().__init__()

    # ── for tests ──

    def add(self, wanted: Object) -> Object:
        """Create it as it is, with an identity of its own, and all well with it."""
        with self._lock:
            created = deepcopy(wanted)
            created["metadata"] |= {"uid": str(uuid.uuid4()), "generation": 1}
            if created["kind"] in WORKLOADS:
                self.controller.adopt(created)
            return self._store(created)

    def remove(self, found: Object) -> None:
        with self._lock:
            del self._objects[_identity(found)]

    def get(self, found: Object) -> Object:
        """It, as it is now."""
        with self._lock:
            return deepcopy(self._objects[_identity(found)])

    @contextmanager
    def changing(self, found: Object) -> Iterator[Object]:
        """Change it behind everybody's back."""
        with self._lock:
            mine = deepcopy(self._objects[_identity(found)])
            yield mine
            self._store(mine)

    def grant(self, namespace: str, rules: Sequence[Mapping[str, Sequence[str]]]) -> None:
        """The rules of a Role, bound in this namespace; from now on nothing else is allowed."""
        self._rights = {**(self._rights or {}), namespace: rules}

    def turn_away(self, method: str, *, status: int = 429, reason: str = "TooManyRequests", after: str = "") -> None:
        """The next such request is refused before anything is done."""
        self._faults.append((method, Fault(status=status, reason=reason, after=after)))

    def meanwhile(self, method: str, action: Callable[[], object]) -> None:
        """Do this just before the next such request is carried out: after its sender looked, and before it changes."""
        self._meanwhile.append((method, action))

    def drop_answer(self, method: str) -> None:
        """The next such request is carried out, and its connection closed without a word."""
        self._faults.append((method, Fault()))

    @property
    def changes(self) -> list[Request]:
        """The requests that asked for a change, whatever came of them."""
        return [request for request in self.requests if request.method not in ("GET", "HEAD")]

    def kubeconfig(self, path: Path, *, server: str = "") -> Path:
        """A kubeconfig with one context, `fake`; `server` stands in for our own address when there is a proxy."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": server or self.url}}],
            "users": [{"name": "amend", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "amend", "namespace": "shop"}}],
            "current-context": "fake",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    # ── over HTTP ──

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        url = urlsplit(request.path)
        asked = Request(
            method=request.command,
            path=url.path,
            query={name: values[-1] for name, values in parse_qs(url.query).items()},
            content_type=request.headers.get("Content-Type", "").partition(";")[0],
            body=json.loads(body) if body else None,
        )
        with self._lock:
            self.requests.append(asked)
            fault = _next(self._faults, asked.method)
            if action := _next(self._meanwhile, asked.method):
                action()
            try:
                if fault and fault.status:
                    raise Failure(fault.status, fault.reason, "the server is busy", Place("", "", ""))
                code, answer = self._answer(asked, request.headers.get("Authorization", ""))
            except Failure as failure:
                code, answer = failure.code, failure.status
        if fault and not fault.status:
            request.close_connection = True
            return
        text = json.dumps(answer).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        if fault and fault.after:
            request.send_header("Retry-After", fault.after)
        request.end_headers()
        request.wfile.write(text)

    def _answer(self, asked: Request, credentials: str) -> tuple[int, Object]:
        place = _place(asked.path)
        if credentials != f"Bearer {TOKEN}":
            raise Failure(401, "Unauthorized", "Unauthorized", place)
        self._authorize(_verb(asked.method, place), place)
        kind = next((kind for kind, known in KINDS.items() if known[2] == place.plural), "")
        if not kind or (place.subresource == "scale" and kind not in SCALABLE):
            raise Failure(404, "NotFound", "the server could not find the requested resource", place)
        if not place.name and asked.method != "GET":
            raise Failure(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", place
            )
        if not place.name:
            return 200, self._list(kind, place, asked.query)
        found = self._find(kind, place)
        if asked.method == "GET":
            answer = _scale_of(found) if place.subresource == "scale" else deepcopy(found)
            if kind in WORKLOADS and place.subresource != "scale":
                self._reconcile(found)
            return 200, answer
        if asked.method == "DELETE":
            return 200, self._delete(found, asked.body or {}, place)
        return 200, self._change(found, asked, place)

    def _authorize(self, verb: str, place: Place) -> None:
        if self._rights is None:
            return
        for rule in self._rights.get(place.namespace, ()):
            names = rule.get("resourceNames", ())
            if (
                place.group in rule["apiGroups"]
                and place.resource in rule["resources"]
                and verb in rule["verbs"]
                and (not names or place.name in names)
            ):
                return
        subject = f'{place.qualified} "{place.name}"' if place.name else place.qualified
        raise Failure(
            403,
            "Forbidden",
            f'{subject} is forbidden: User "{USER}" cannot {verb} resource "{place.resource}" '
            f'in API group "{place.group}" in the namespace "{place.namespace}"',
            place,
        )

    def _find(self, kind: str, place: Place) -> Object:
        found = self._objects.get((kind, place.namespace, place.name))
        if found is None:
            raise Failure(404, "NotFound", f'{place.qualified} "{place.name}" not found', place)
        return found

    def _list(self, kind: str, place: Place, query: Mapping[str, str]) -> Object:
        items = [
            deepcopy(found)
            for (of, namespace, _), found in self._objects.items()
            if of == kind and namespace == place.namespace and _selected(found, query)
        ]
        group, version, _ = KINDS[kind]
        return {
            "kind": f"{kind}List",
            "apiVersion": f"{group}/{version}",
            "metadata": {"resourceVersion": str(self._version)},
            "items": items,
        }

    def _delete(self, found: Object, options: Object, place: Place) -> Object:
        _check_uid((options.get("preconditions") or {}).get("uid"), found, place)
        self.remove(found)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _change(self, found: Object, asked: Request, place: Place) -> Object:
        shown = _scale_of(found) if place.subresource == "scale" else found
        wanted = _patched(shown, asked, place) if asked.method == "PATCH" else asked.body
        version = wanted["metadata"].get("resourceVersion")
        if asked.method == "PUT":
            _check_uid(wanted["metadata"].get("uid"), found, place)
            if not version and place.subresource != "scale":
                message = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
                raise Failure(422, "Invalid", message, place)
        if version and version != found["metadata"]["resourceVersion"]:
            message = "the object has been modified; please apply your changes to the latest version and try again"
            raise _conflict(message, place)
        if wanted["metadata"].get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            raise Failure(422, "Invalid", "metadata.uid: Invalid value: field is immutable", place)
        changed = self._store(_merged(found, wanted, place))
        return _scale_of(changed) if place.subresource == "scale" else changed

    def _store(self, wanted: Object) -> Object:
        """Write it; a new spec is a new generation, and a write that changes nothing is none."""
        before = self._objects.get(_identity(wanted))
        if before is not None and before == wanted:
            return deepcopy(before)
        stored = deepcopy(wanted)
        if before is not None and before["spec"] != wanted["spec"]:
            stored["metadata"]["generation"] = before["metadata"]["generation"] + 1
        self._version += 1
        stored["metadata"]["resourceVersion"] = str(self._version)
        self._objects[_identity(wanted)] = stored
        return deepcopy(stored)

    def _reconcile(self, workload: Object) -> None:
        now = deepcopy(workload)
        for (kind, namespace, _), scaler in self._objects.items():
            owned = (scaler["spec"].get("scaleTargetRef") or {}).get("name") == now["metadata"]["name"]
            if kind == "HorizontalPodAutoscaler" and namespace == now["metadata"]["namespace"] and owned:
                now["spec"]["replicas"] = max(now["spec"]["replicas"], scaler["spec"]["minReplicas"])
        if now["spec"] == workload["spec"]:
            self.controller.step(now)
        self._store(now)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request: refused with a status, or, without one, done and never answered."""

    status: int = 0
    reason: str = ""
    after: str = ""


def _next(waiting: list[tuple[str, Waiting]], method: str) -> Waiting | None:
    """Take out the first that waits for this method."""
    for index, (awaited, _) in enumerate(waiting):
        if awaited == method:
            return waiting.pop(index)[1]
    return None


def _place(path: str) -> Place:
    parts = [unquote(part) for part in path.split("/")[1:]]
    if parts[0] == "apis" and len(parts) in (6, 7, 8) and parts[3] == "namespaces":
        return Place(parts[1], parts[5], parts[4], *parts[6:])
    if parts[0] == "api" and len(parts) in (5, 6, 7) and parts[2] == "namespaces":
        return Place("", parts[4], parts[3], *parts[5:])
    raise Failure(404, "NotFound", "the server could not find the requested resource", Place("", "", ""))


def _verb(method: str, place: Place) -> str:
    if method == "GET":
        return "get" if place.name else "list"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]


def _identity(found: Object) -> tuple[str, str, str]:
    return found["kind"], found["metadata"]["namespace"], found["metadata"]["name"]


def _selected(found: Object, query: Mapping[str, str]) -> bool:
    labels = found["metadata"].get("labels") or {}
    fields = {"metadata.name": found["metadata"]["name"], "metadata.namespace": found["metadata"]["namespace"]}
    return _fits(labels, query.get("labelSelector", "")) and _fits(fields, query.get("fieldSelector", ""))


def _fits(values: Mapping[str, str], selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        key, _, wanted = term.replace("==", "=").partition("=")
        different = key.endswith("!")
        if (values.get(key.rstrip("!")) == wanted) == different:
            return False
    return True


def _patched(shown: Object, asked: Request, place: Place) -> Object:
    patch = PATCHES.get(asked.content_type)
    if patch is None:
        message = (
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(PATCHES)}"
        )
        raise Failure(415, "UnsupportedMediaType", message, place)
    try:
        result: Object = patch(shown, asked.body)
    except Unappliable as error:
        # A real server says just this, and the cause only in its log.
        raise Failure(
            422, "Invalid", "the server rejected our request due to an error in our request", place
        ) from error
    return result


def _check_uid(uid: str | None, found: Object, place: Place) -> None:
    own = found["metadata"]["uid"]
    if uid and uid != own:
        raise _conflict(f"Precondition failed: UID in precondition: {uid}, UID in object meta: {own}", place)


def _conflict(message: str, place: Place) -> Failure:
    return Failure(
        409, "Conflict", f'Operation cannot be fulfilled on {place.qualified} "{place.name}": {message}', place
    )


def _merged(found: Object, wanted: Object, place: Place) -> Object:
    """What a write may touch: the scale its one number, the status itself, the object all but its status."""
    if place.subresource == "scale":
        replicas = (wanted.get("spec") or {}).get("replicas") or 0
        if replicas < 0:
            message = f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0"
            raise Failure(422, "Invalid", message, place)
        return {**found, "spec": {**found["spec"], "replicas": replicas}}
    if place.subresource == "status":
        return {**found, "status": wanted["status"]}
    _check_bounds(wanted, place)
    kept = {name: found["metadata"][name] for name in ("uid", "generation", "resourceVersion", "creationTimestamp")}
    return {**wanted, "metadata": {**wanted["metadata"], **kept}, "status": found["status"]}


def _check_bounds(wanted: Object, place: Place) -> None:
    spec = wanted["spec"]
    if wanted["kind"] == "HorizontalPodAutoscaler" and spec["minReplicas"] > spec["maxReplicas"]:
        message = (
            f"spec.maxReplicas: Invalid value: {spec['maxReplicas']}: must be greater than or equal to `minReplicas`"
        )
        raise Failure(
            422, "Invalid", f'HorizontalPodAutoscaler.autoscaling "{place.name}" is invalid: {message}', place
        )


def _scale_of(found: Object) -> Object:
    """Zeros are left out, as a real server does."""
    metadata = found["metadata"]
    replicas, running = found["spec"]["replicas"], found["status"].get("replicas", 0)
    selector = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": running, "selector": selector},
    }
