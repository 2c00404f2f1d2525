"""One conversation with a Kubernetes API server: cluster.py opens one per operation and speaks through it.

Every call ends before the conversation's deadline, and a failure says what is known: Temporary when nothing was done,
Uncertain when a request went out and no answer came back, Permanent with the missing right or the server's own words.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.connection import first_cause, never_sent
from receiver.targets.kubernetes import answers
from receiver.targets.kubernetes.answers import Asked
from receiver.targets.kubernetes.client import Call, Connection, Resource, delete_options, eviction, scale
from receiver.targets.kubernetes.rollout import Object
from receiver.targets.threads import Threads

ANSWER = 10.0  #: seconds in which an API server answers anything


class ApiServer:
    """Reads and changes what is in one namespace, nodes and the pods on them, until a deadline."""

    def __init__(self, connection: Connection, threads: Threads, *, namespace: str, within: timedelta) -> None:
        self._connection = connection
        self._threads = threads
        self._namespace = namespace
        self._ends_at = asyncio.get_running_loop().time() + within.total_seconds()

    @property
    def remaining(self) -> float:
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    async def found(self, kind: str, name: str) -> Object | None:
        """None when there is none."""
        resource = self._connection.kinds[kind]
        return await self._read(self._asked("get", resource), resource.read, *self._named(resource, name))

    async def patch(self, kind: str, name: str, change: Object | Sequence[Object]) -> Object:
        """An object is merged strategically, a list is the operations of a JSON patch: the client tells them apart."""
        resource = self._connection.kinds[kind]
        assert resource.patch, f"nobody patches a {kind}"
        return await self._write(
            self._asked("patch", resource), resource.patch, *self._named(resource, name), _plain(change)
        )

    async def scale(self, kind: str, name: str) -> Object | None:
        resource = self._connection.kinds[kind]
        assert resource.read_scale, f"a {kind} has no scale"
        asked = self._asked("get", resource, "scale")
        return await self._read(asked, resource.read_scale, name, self._namespace)

    async def replace_scale(self, kind: str, name: str, wanted: Object) -> Object:
        resource = self._connection.kinds[kind]
        assert resource.replace_scale, f"a {kind} has no scale"
        asked = self._asked("update", resource, "scale")
        return await self._write(asked, resource.replace_scale, name, self._namespace, scale(wanted))

    async def scalers_of(self, kind: str, name: str) -> list[Object]:
        """The HorizontalPodAutoscalers that own its number of replicas."""
        asked = self._asked_here("list", "horizontalpodautoscalers", group="autoscaling")
        found = await self._read(asked, self._connection.list_scalers, self._namespace)
        if found is None:  # before Kubernetes 1.23; scaling blindly against one would be undone at once
            raise Permanent(
                f"{self._threads.name}: it has no autoscaling/v2, so that nobody knows who owns the replicas"
            )
        return [
            scaler
            for scaler in found.get("items") or ()
            if (scaler["spec"]["scaleTargetRef"]["kind"], scaler["spec"]["scaleTargetRef"]["name"]) == (kind, name)
        ]

    async def patch_scaler(self, name: str, change: Object) -> Object:
        asked = self._asked_here("patch", "horizontalpodautoscalers", group="autoscaling")
        return await self._write(asked, self._connection.patch_scaler, name, self._namespace, dict(change))

    async def revisions(self, kind: str, *, labels: str) -> list[Object]:
        """What a workload's history may be kept in: whose it is, the caller looks at."""
        resource = self._connection.kinds[kind]
        assert resource.list_revisions, f"a {kind} has no history"
        asked = self._asked_here("list", resource.revisions, group=resource.group)
        found = await self._read(asked, resource.list_revisions, self._namespace, label_selector=labels)
        return list((found or {}).get("items") or ())

    async def pods_on(self, node: str) -> list[Object]:
        """Of all namespaces."""
        asked = Asked(verb="list", resource="pods", group="", namespace="")
        found = await self._read(asked, self._connection.list_pods, field_selector=f"spec.nodeName={node}")
        return list((found or {}).get("items") or ())

    async def evict(self, pod: Object, *, grace: int | None = None) -> None:
        """Blocked when a PodDisruptionBudget does not allow it now, Gone when there is no such pod any more."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        asked = Asked(verb="create", resource="pods/eviction", group="", namespace=namespace)
        await self._write(asked, self._connection.evict_pod, name, namespace, eviction(pod, grace=grace))

    async def delete_at_once(self, pod: Object) -> None:
        """Whatever a PodDisruptionBudget says, and without a word from its node."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        asked = Asked(verb="delete", resource="pods", group="", namespace=namespace)
        options = delete_options(pod, grace=0)
        await self._write(asked, self._connection.delete_pod, name, namespace, body=options)

    def _asked(self, verb: str, resource: Resource, subresource: str = "") -> Asked:
        name = f"{resource.plural}/{subresource}" if subresource else resource.plural
        namespace = self._namespace if resource.namespaced else ""
        return Asked(verb=verb, resource=name, group=resource.group, namespace=namespace)

    def _asked_here(self, verb: str, plural: str, *, group: str) -> Asked:
        return Asked(verb=verb, resource=plural, group=group, namespace=self._namespace)

    def _named(self, resource: Resource, name: str) -> tuple[str, ...]:
        return (name, self._namespace) if resource.namespaced else (name,)

    async def _read(self, asked: Asked, call: Call, *arguments: Any, **options: Any) -> Object | None:
        bound = min(ANSWER, self.remaining)
        if not bound:
            raise Temporary(f"{self._threads.name}: no time left to {asked}")
        try:
            return await self._threads.call(_json(call, *arguments, bound=bound, **options), within=bound)
        except TimeoutError:
            raise Temporary(f"{self._threads.name}: no answer to {asked} within {bound:.0f}s") from None
        except ApiException as error:
            if error.status == 404:
                return None
            raise self._refused(error, asked, otherwise=Temporary) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Temporary(f"{self._threads.name}: {asked}: {first_cause(error)}") from error

    async def _write(self, asked: Asked, call: Call, *arguments: Any, **options: Any) -> Object:
        bound = min(ANSWER, self.remaining)
        if not bound:
            raise Temporary(f"{self._threads.name}: no time left to {asked}; nothing was sent")
        try:
            return await self._threads.call(_json(call, *arguments, bound=bound, **options), within=bound)
        except TimeoutError:
            raise Uncertain(f"{self._threads.name}: {asked} was sent; no answer within {bound:.0f}s") from None
        except ApiException as error:
            raise self._refused(error, asked, otherwise=Uncertain) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if never_sent(error):
                raise Temporary(f"{self._threads.name}: {first_cause(error)}; nothing was sent") from error
            lost = f"{asked} was sent; the answer was lost: {first_cause(error)}"
            raise Uncertain(f"{self._threads.name}: {lost}") from error

    def _refused(
        self, error: ApiException, asked: Asked, *, otherwise: type[Temporary | Uncertain]
    ) -> Temporary | Permanent | Uncertain:
        answer = answers.read(error.status, error.reason, error.body, error.headers)
        return answers.error_for(answer, asked, server=self._threads.name, otherwise=otherwise)


def _plain(change: Object | Sequence[Object]) -> dict[str, Any] | list[dict[str, Any]]:
    if isinstance(change, Sequence):
        return [dict(operation) for operation in change]
    return dict(change)


def _json(call: Call, *arguments: Any, bound: float, **options: Any) -> Callable[[], Object]:
    """The answer as plain JSON: a server newer than the client's models must not turn a thing done into an error."""

    def ask() -> Object:
        response = call(*arguments, **options, _preload_content=False, _request_timeout=(bound, bound))
        answer = json.loads(response.data)
        if not isinstance(answer, dict):
            raise ValueError("the answer is not an object")
        return answer

    return ask
