"""The official Kubernetes client with its credentials; cluster.py connects it once, apiserver.py calls through it.

It repeats nothing by itself, and may be used from several threads at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from receiver.errors import Permanent
from receiver.settings import platforms

Call = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """The client's functions for one kind."""

    plural: str
    group: str
    read: Call
    patch: Call | None = None
    namespaced: bool = True
    read_scale: Call | None = None  #: a DaemonSet has no scale: it has as many pods as there are nodes
    replace_scale: Call | None = None
    revisions: str = ""  #: the plural of what its history is kept in
    list_revisions: Call | None = None


class Connection:
    """The client, ready to be called."""

    def __init__(self, cluster: platforms.Kubernetes) -> None:
        configuration = _configuration(cluster)
        # The client would repeat a request whose answer was lost, and follow a redirect with it.
        configuration.retries = False
        self._api = client.ApiClient(configuration)
        core = client.CoreV1Api(self._api)
        scaling = client.AutoscalingV2Api(self._api)
        self.list_scalers: Call = scaling.list_namespaced_horizontal_pod_autoscaler
        self.patch_scaler: Call = scaling.patch_namespaced_horizontal_pod_autoscaler
        self.list_pods: Call = core.list_pod_for_all_namespaces
        self.evict_pod: Call = core.create_namespaced_pod_eviction
        self.delete_pod: Call = core.delete_namespaced_pod
        self.kinds: Mapping[str, Resource] = {
            **_workloads(client.AppsV1Api(self._api)),
            "Pod": Resource(plural="pods", group="", read=core.read_namespaced_pod),
            "Node": Resource(plural="nodes", group="", read=core.read_node, patch=core.patch_node, namespaced=False),
        }

    def close(self) -> None:
        self._api.close()  # type: ignore[no-untyped-call]


def eviction(pod: Mapping[str, Any], *, grace: int | None) -> client.V1Eviction:
    metadata = client.V1ObjectMeta(name=pod["metadata"]["name"], namespace=pod["metadata"]["namespace"])
    options = delete_options(pod, grace=grace)
    return client.V1Eviction(api_version="policy/v1", kind="Eviction", metadata=metadata, delete_options=options)


def delete_options(pod: Mapping[str, Any], *, grace: int | None) -> client.V1DeleteOptions:
    """The grace time stands here, because the server ignores one in the query when there is a body."""
    preconditions = client.V1Preconditions(uid=pod["metadata"]["uid"])
    return client.V1DeleteOptions(preconditions=preconditions, grace_period_seconds=grace)


def scale(found: Mapping[str, Any]) -> client.V1Scale:
    metadata = found["metadata"]
    return client.V1Scale(
        metadata=client.V1ObjectMeta(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        ),
        spec=client.V1ScaleSpec(replicas=found["spec"]["replicas"]),
    )


def _workloads(apps: client.AppsV1Api) -> Mapping[str, Resource]:
    return {
        "Deployment": Resource(
            plural="deployments",
            group="apps",
            read=apps.read_namespaced_deployment,
            patch=apps.patch_namespaced_deployment,
            read_scale=apps.read_namespaced_deployment_scale,
            replace_scale=apps.replace_namespaced_deployment_scale,
            revisions="replicasets",
            list_revisions=apps.list_namespaced_replica_set,
        ),
        "StatefulSet": Resource(
            plural="statefulsets",
            group="apps",
            read=apps.read_namespaced_stateful_set,
            patch=apps.patch_namespaced_stateful_set,
            read_scale=apps.read_namespaced_stateful_set_scale,
            replace_scale=apps.replace_namespaced_stateful_set_scale,
            revisions="controllerrevisions",
            list_revisions=apps.list_namespaced_controller_revision,
        ),
        "DaemonSet": Resource(
            plural="daemonsets",
            group="apps",
            read=apps.read_namespaced_daemon_set,
            patch=apps.patch_namespaced_daemon_set,
            revisions="controllerrevisions",
            list_revisions=apps.list_namespaced_controller_revision,
        ),
    }


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
