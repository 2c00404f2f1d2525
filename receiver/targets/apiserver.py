"""One conversation with a Kubernetes API server: kubernetes.py opens one per operation and speaks through it.

Every call ends before the conversation's deadline, and a failure says what is known: Temporary when nothing was done,
Uncertain when a request went out and no answer came back, Permanent with the missing right or the server's own words.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.settings import platforms
from receiver.targets.connection import first_cause, never_sent
from receiver.targets.rollout import Object
from receiver.targets.threads import Threads

Call = Callable[..., Any]

ANSWER = 10.0  #: seconds in which an API server answers anything


@dataclass(frozen=True, kw_only=True)
class Resource:
    """The client's functions for one kind."""

    plural: str
    read: Call
    patch: Call
    read_scale: Call | None = None  #: a DaemonSet has no scale: it has as many pods as there are nodes
    replace_scale: Call | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a call asks for, in the words of a Role: a 403 is answered with it."""

    verb: str
    resource: str
    group: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


class Connection:
    """The client with its credentials; made once, used by every conversation, from several threads at once."""

    def __init__(self, cluster: platforms.Kubernetes) -> None:
        configuration = _configuration(cluster)
        # The client would repeat a request whose answer was lost, and follow a redirect with it.
        configuration.retries = False
        self._api = client.ApiClient(configuration)
        apps = client.AppsV1Api(self._api)
        scaling = client.AutoscalingV2Api(self._api)
        self.list_scalers: Call = scaling.list_namespaced_horizontal_pod_autoscaler
        self.patch_scaler: Call = scaling.patch_namespaced_horizontal_pod_autoscaler
        self.kinds: Mapping[str, Resource] = {
            "Deployment": Resource(
                plural="deployments",
                read=apps.read_namespaced_deployment,
                patch=apps.patch_namespaced_deployment,
                read_scale=apps.read_namespaced_deployment_scale,
                replace_scale=apps.replace_namespaced_deployment_scale,
            ),
            "StatefulSet": Resource(
                plural="statefulsets",
                read=apps.read_namespaced_stateful_set,
                patch=apps.patch_namespaced_stateful_set,
                read_scale=apps.read_namespaced_stateful_set_scale,
                replace_scale=apps.replace_namespaced_stateful_set_scale,
            ),
            "DaemonSet": Resource(
                plural="daemonsets",
                read=apps.read_namespaced_daemon_set,
                patch=apps.patch_namespaced_daemon_set,
            ),
        }

    def talk(self, threads: Threads, *, namespace: str, within: timedelta) -> "ApiServer":
        """Open a conversation that ends in time."""
        ends_at = asyncio.get_running_loop().time() + within.total_seconds()
        return ApiServer(self, threads, namespace=namespace, ends_at=ends_at)

    def close(self) -> None:
        self._api.close()  # type: ignore[no-untyped-call]


class ApiServer:
    """Reads and changes the workloads of one namespace until a deadline."""

    def __init__(self, connection: Connection, threads: Threads, *, namespace: str, ends_at: float) -> None:
        self._connection = connection
        self._threads = threads
        self._namespace = namespace
        self._ends_at = ends_at

    @property
    def remaining(self) -> float:
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    async def workload(self, kind: str, name: str) -> Object | None:
        """None when there is none."""
        resource = self._connection.kinds[kind]
        return await self._read(self._asked("get", resource.plural), resource.read, name, self._namespace)

    async def patch(self, kind: str, name: str, change: Object) -> Object:
        resource = self._connection.kinds[kind]
        asked = self._asked("patch", resource.plural)
        return await self._write(asked, resource.patch, name, self._namespace, dict(change))

    async def scale(self, kind: str, name: str) -> Object | None:
        resource = self._connection.kinds[kind]
        assert resource.read_scale, f"a {kind} has no scale"
        return await self._read(
            self._asked("get", f"{resource.plural}/scale"), resource.read_scale, name, self._namespace
        )

    async def replace_scale(self, kind: str, name: str, scale: Object) -> Object:
        resource = self._connection.kinds[kind]
        assert resource.replace_scale, f"a {kind} has no scale"
        asked = self._asked("update", f"{resource.plural}/scale")
        return await self._write(asked, resource.replace_scale, name, self._namespace, _scale(scale))

    async def scalers_of(self, kind: str, name: str) -> list[Object]:
        """The HorizontalPodAutoscalers that own its number of replicas."""
        asked = self._asked("list", "horizontalpodautoscalers", group="autoscaling")
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
        asked = self._asked("patch", "horizontalpodautoscalers", group="autoscaling")
        return await self._write(asked, self._connection.patch_scaler, name, self._namespace, dict(change))

    def _asked(self, verb: str, resource: str, *, group: str = "apps") -> Asked:
        return Asked(verb=verb, resource=resource, group=group, namespace=self._namespace)

    async def _read(self, asked: Asked, call: Call, *arguments: Any) -> Object | None:
        bound = min(ANSWER, self.remaining)
        if not bound:
            raise Temporary(f"{self._threads.name}: no time left to {asked}")
        try:
            return await self._threads.call(_json(call, *arguments, bound=bound), within=bound)
        except TimeoutError:
            raise Temporary(f"{self._threads.name}: no answer to {asked} within {bound:.0f}s") from None
        except ApiException as error:
            if error.status == 404:
                return None
            raise self._refused(error, asked, otherwise=Temporary) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Temporary(f"{self._threads.name}: {asked}: {first_cause(error)}") from error

    async def _write(self, asked: Asked, call: Call, *arguments: Any) -> Object:
        bound = min(ANSWER, self.remaining)
        if not bound:
            raise Temporary(f"{self._threads.name}: no time left to {asked}; nothing was sent")
        try:
            return await self._threads.call(_json(call, *arguments, bound=bound), within=bound)
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
        """`otherwise` is what a server in trouble (5xx) leaves behind: etcd may have written before it gave up."""
        words = f"{self._threads.name}: {asked}: {_words(error)}"
        status = error.status or 0
        if status == 403:
            right = f'"{asked.verb}" on {asked.resource} ({asked.group}) in namespace {asked.namespace}'
            return Permanent(f"{self._threads.name}: the right {right} is missing: {_words(error)}")
        if status == 409:  # by the precondition that every write carries, so that nothing was changed
            return Temporary(f"{words}; it changed at the same moment, and nothing was done")
        if status == 429:  # turned away at the door, before anything is looked at
            return Temporary(f"{words}; nothing was done", delay=_delay(error))
        return Permanent(words) if 300 <= status < 500 else otherwise(words)


def _configuration(cluster: platforms.Kubernetes) -> client.Configuration:
    configuration = client.Configuration()
    place = "in-cluster"
    try:
        if cluster.context is None and cluster.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            place = f"kubeconfig {cluster.kubeconfig or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION}"
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=None if cluster.kubeconfig is None else str(cluster.kubeconfig),
                context=cluster.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, yaml.YAMLError, OSError) as error:
        raise Permanent(f"kubernetes {cluster.name}: {place}: {error}") from error
    except (TypeError, AttributeError) as error:  # what the client makes of YAML that is something else
        raise Permanent(f"kubernetes {cluster.name}: {place}: it is not a kubeconfig") from error
    return configuration


def _json(call: Call, *arguments: Any, bound: float) -> Callable[[], Object]:
    """The answer as plain JSON: a server newer than the client's models must not turn a thing done into an error."""

    def ask() -> Object:
        response = call(*arguments, _preload_content=False, _request_timeout=(bound, bound))
        answer = json.loads(response.data)
        if not isinstance(answer, dict):
            raise ValueError("the answer is not an object")
        return answer

    return ask


def _scale(scale: Object) -> client.V1Scale:
    metadata = scale["metadata"]
    return client.V1Scale(
        metadata=client.V1ObjectMeta(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        ),
        spec=client.V1ScaleSpec(replicas=scale["spec"]["replicas"]),
    )


def _words(error: ApiException) -> str:
    """The server's message; a proxy in between may have answered in HTML."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return f"{error.status} {error.reason}"
    message = status.get("message") if isinstance(status, dict) else None
    return str(message or f"{error.status} {error.reason}")


def _delay(error: ApiException) -> float | None:
    after = (error.headers or {}).get("Retry-After", "")
    return float(after) if after.isdigit() else None
