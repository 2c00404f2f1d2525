"""A small Kubernetes API server of our own, for workloads, pods and nodes, over real HTTP on a free port.

It keeps what remediation code gets wrong on a real one: resourceVersion conflicts and uid preconditions, generations,
three patch types, subresources, selectors, missing rights, and requests that are turned away. It records every request.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.bed import kubernetes_paths as paths
from tests.bed.kubernetes_controller import Controller
from tests.bed.kubernetes_failures import Failure, Fault, check_uid, conflict, forbidden, not_served
from tests.bed.kubernetes_history import History
from tests.bed.kubernetes_paths import KINDS, WORKLOADS, Place
from tests.bed.kubernetes_pods import Pods
from tests.bed.kubernetes_selectors import is_selected
from tests.bed.kubernetes_store import Store
from tests.bed.kubernetes_writes import merged, patched, scale_of
from tests.bed.loopback import Loopback

Object = dict[str, Any]
Rules = Sequence[Mapping[str, Sequence[str]]]
Waiting = TypeVar("Waiting")

TOKEN = "token-of-the-service-account"
USER = "system:serviceaccount:amend:amend"


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    body: Any


class KubernetesApi(Loopback):
    """Everything is allowed until the first `grant`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.store = Store()
        self.controller = Controller(History(self.store))
        self.pods = Pods(self.store)
        self._rights: dict[str, Rules] | None = None  #: by namespace; "" for the whole cluster
        self._faults: list[tuple[str, Fault]] = []
        self._meanwhile: list[tuple[str, Callable[[], object]]] = []
        self._lock = threading.RLock()
        super().__init__()

    # ── for tests ──

    def add(self, wanted: Object) -> Object:
        """Create it as it is, with an identity of its own, and all well with it."""
        with self._lock:
            created = self.store.create(wanted)
            if created["kind"] in WORKLOADS:
                self.controller.adopt(created)
            return self.store.write(created)

    def remove(self, found: Object) -> None:
        with self._lock:
            self.store.remove(found)

    def get(self, found: Object) -> Object:
        """It, as it is now."""
        with self._lock:
            return self.store.get(found)

    def all(self, kind: str) -> list[Object]:
        with self._lock:
            return list(self.store.all(kind))

    @contextmanager
    def changing(self, found: Object) -> Iterator[Object]:
        """Change it behind everybody's back."""
        with self._lock:
            mine = self.store.get(found)
            yield mine
            self.store.write(mine)

    def deploy(self, found: Object, image: str) -> None:
        """Another image, and its rollout to the end."""
        with self.changing(found) as mine:
            mine["spec"]["template"]["spec"]["containers"][0]["image"] = image
        self.settle(found)

    def settle(self, found: Object) -> None:
        """Let its controller do all that it has to."""
        with self._lock:
            before = None
            while before != (before := self.store.get(found)):
                self._reconcile(before)

    def grant(self, namespace: str, rules: Rules) -> None:
        """The rules of a Role, bound in this namespace; from now on nothing else is allowed. "": a ClusterRole's."""
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
                    raise Failure(fault.status, fault.reason, "the server is busy")
                code, answer = self._answer(asked, request.headers.get("Authorization", ""))
                after = fault.after if fault else ""
            except Failure as failure:
                code, answer = failure.code, failure.status
                after = fault.after if fault else str(failure.details.get("retryAfterSeconds", ""))
        if fault and not fault.status:
            request.close_connection = True
            return
        text = json.dumps(answer).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        if after:
            request.send_header("Retry-After", after)
        request.end_headers()
        request.wfile.write(text)

    def _answer(self, asked: Request, credentials: str) -> tuple[int, Object]:
        place = paths.read(asked.path)
        if credentials != f"Bearer {TOKEN}":
            raise Failure(401, "Unauthorized", "Unauthorized", place)
        self._authorize(paths.verb(asked.method, place), place)
        if not place.kind:
            raise not_served(place)
        if not place.name and asked.method != "GET":
            raise Failure(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", place
            )
        if not place.name:
            return 200, self._list(place, asked.query)
        found = self._find(place)
        if place.subresource == "eviction":
            return 201, self.pods.evict(found, asked.body, place)
        if asked.method == "GET":
            return 200, self._show(found, place)
        if asked.method == "DELETE":
            return 200, self._delete(found, asked, place)
        return 200, self._change(found, asked, place)

    def _authorize(self, verb: str, place: Place) -> None:
        if self._rights is None:
            return
        for rule in [*self._rights.get("", ()), *(self._rights.get(place.namespace, ()) if place.namespace else ())]:
            names = rule.get("resourceNames", ())
            if (
                place.group in rule["apiGroups"]
                and place.resource in rule["resources"]
                and verb in rule["verbs"]
                and (not names or place.name in names)
            ):
                return
        raise forbidden(verb, place, USER)

    def _find(self, place: Place) -> Object:
        found = self.store.find(place.kind, place.namespace, place.name)
        if found is None:
            raise Failure(404, "NotFound", f'{place.qualified} "{place.name}" not found', place)
        return found

    def _show(self, found: Object, place: Place) -> Object:
        """Whoever looks sees it as it was; then it goes on."""
        if place.subresource == "scale":
            return scale_of(found)
        if found["kind"] in WORKLOADS:
            self._reconcile(self.store.get(found))
        if found["kind"] == "Pod":
            self.pods.step(self.store.get(found))
        return found

    def _list(self, place: Place, query: Mapping[str, str]) -> Object:
        found = [each for each in self.store.all(place.kind, place.namespace) if is_selected(each, query)]
        if place.kind == "Pod":
            for each in found:
                self.pods.step(self.store.get(each))
        group, version, _ = KINDS[place.kind]
        return {
            "kind": f"{place.kind}List",
            "apiVersion": f"{group}/{version}" if group else version,
            "metadata": {"resourceVersion": str(self.store.version)},
            # What is in a list does not say again what it is.
            "items": [{key: each[key] for key in each if key not in ("kind", "apiVersion")} for each in found],
        }

    def _delete(self, found: Object, asked: Request, place: Place) -> Object:
        options = asked.body or {}
        if not options and "gracePeriodSeconds" in asked.query:  # it counts only where there is no body
            options = {"gracePeriodSeconds": int(asked.query["gracePeriodSeconds"])}
        if found["kind"] == "Pod":
            return self.pods.delete(found, options, place)
        check_uid((options.get("preconditions") or {}).get("uid"), found, place)
        self.store.remove(found)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _change(self, found: Object, asked: Request, place: Place) -> Object:
        shown = scale_of(found) if place.subresource == "scale" else found
        wanted = patched(shown, asked.content_type, asked.body, place) if asked.method == "PATCH" else asked.body
        version = wanted["metadata"].get("resourceVersion")
        if asked.method == "PUT":
            check_uid(wanted["metadata"].get("uid"), found, place)
            if not version and place.subresource != "scale":
                message = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
                raise Failure(422, "Invalid", message, place)
        if version and version != found["metadata"]["resourceVersion"]:
            message = "the object has been modified; please apply your changes to the latest version and try again"
            raise conflict(message, place)
        if wanted["metadata"].get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            raise Failure(422, "Invalid", "metadata.uid: Invalid value: field is immutable", place)
        changed = self.store.write(merged(found, wanted, place))
        return scale_of(changed) if place.subresource == "scale" else changed

    def _reconcile(self, workload: Object) -> None:
        now = self.store.get(workload)
        for scaler in self.store.all("HorizontalPodAutoscaler", now["metadata"]["namespace"]):
            if scaler["spec"]["scaleTargetRef"]["name"] == now["metadata"]["name"]:
                now["spec"]["replicas"] = max(now["spec"]["replicas"], scaler["spec"]["minReplicas"])
        if now["spec"] == workload["spec"]:
            self.controller.step(now)
        self.store.write(now)


def _next(waiting: list[tuple[str, Waiting]], method: str) -> Waiting | None:
    """Take out the first that waits for this method."""
    for index, (awaited, _) in enumerate(waiting):
        if awaited == method:
            return waiting.pop(index)[1]
    return None
