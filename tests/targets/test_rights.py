"""The shipped Kubernetes manifests: the rights they give are these and no more, and each of them is needed."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from receiver import settings
from receiver.errors import Permanent
from receiver.settings import platforms
from receiver.targets.kubernetes.cluster import Cluster
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import autoscaler, daemon_set, deployment, stateful_set
from tests.bed.kubernetes_pod_objects import node, pod
from tests.targets.conftest import kubernetes_selector, run

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
GOLDEN = Path(__file__).parent / "rights.golden.txt"
GOLDEN_FOR_NODES = Path(__file__).parent / "rights_for_nodes.golden.txt"

WITHIN = timedelta(seconds=90)


def documents(folder: Path = MANIFESTS) -> list[dict[str, Any]]:
    return [document for path in sorted(folder.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str, *, name: str = "amend", folder: Path = MANIFESTS) -> dict[str, Any]:
    named = [document for document in documents(folder) if document["metadata"]["name"] == name]
    [found] = [document for document in named if document["kind"] == kind]
    return found


def for_nodes() -> dict[str, Any]:
    """What an operator applies besides, when a playbook acts on nodes."""
    return of_kind("ClusterRole", name="amend-nodes", folder=MANIFESTS / "nodes")


def rights(role: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


def without(role: dict[str, Any], missing: tuple[str, str, str]) -> list[dict[str, list[str]]]:
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        for group, resource, verb in rights(role)
        if (group, resource, verb) != missing
    ]


def named(right: tuple[str, str, str]) -> str:
    group, resource, verb = right
    return rf'the right "{verb}" on {resource} \({group or "core"}\)'


@pytest.fixture
def everything(api: KubernetesApi, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Do all that the platform can do in a namespace, once."""
    monkeypatch.setattr("receiver.targets.kubernetes.cluster.LOOK_EVERY", 0.01)
    workloads = [api.add(make()) for make in (deployment, stateful_set, daemon_set)]
    owned = api.add(deployment("owned", replicas=1))
    api.add(autoscaler(owned))
    for found in workloads:
        api.deploy(found, "shop/another:2.0")
    api.add(node())
    pods = [api.add(pod(name)) for name in ("ends-when-told", "hangs-for-ever")]
    with api.changing(pods[1]) as hanging:
        hanging["metadata"] |= {"deletionTimestamp": "2026-03-02T08:00:00Z", "deletionGracePeriodSeconds": 30}

    async def do() -> None:
        for found in [*workloads, owned]:
            selector = kubernetes_selector(found["kind"], found["metadata"]["name"])
            await cluster.restart(await cluster.resolve(selector), within=WITHIN)
            await cluster.rolled_out_at(await cluster.resolve(selector))
            if found in workloads:
                await cluster.rollback(await cluster.resolve(selector), to=None, within=WITHIN)
            if found["kind"] != "DaemonSet":
                await cluster.scale(await cluster.resolve(selector), 4, within=WITHIN)
        for found, force in zip(pods, (False, True), strict=True):
            api.pods.hang = force
            workload = await cluster.resolve(kubernetes_selector("Pod", found["metadata"]["name"]))
            await cluster.delete_pod(workload, grace=None, force=force, within=WITHIN)

    return lambda: run(do())


@pytest.fixture
def everything_with_nodes(api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Do all that the platform can do with nodes, once."""
    monkeypatch.setattr("receiver.targets.kubernetes.drain.LOOK_EVERY", 0.01)
    kubeconfig = api.kubeconfig(tmp_path / "for-nodes")
    cluster = Cluster(
        platforms.Kubernetes(kubeconfig=kubeconfig, namespaces=("shop",), allow_nodes=("amend.enable=true",))
    )
    api.add(node())
    api.add(pod(namespace="other"))
    selector = kubernetes_selector("Node", "worker-1", scope=None)

    async def do() -> None:
        await cluster.cordon(await cluster.resolve(selector), within=WITHIN)
        await cluster.uncordon(await cluster.resolve(selector), within=WITHIN)
        await cluster.drain(await cluster.resolve(selector), delete_emptydir_data=False, within=WITHIN)

    return lambda: run(do())


@pytest.mark.parametrize(
    ("role", "golden"), [(of_kind("Role"), GOLDEN), (for_nodes(), GOLDEN_FOR_NODES)], ids=["namespace", "nodes"]
)
def test_the_rights_are_the_golden_ones(role: dict[str, Any], golden: Path) -> None:
    lines = [" ".join([group or "core", resource, verb]) for group, resource, verb in rights(role)]
    assert "\n".join(sorted(lines)) + "\n" == golden.read_text()


def test_no_right_is_a_wildcard_or_reaches_secrets_or_shells() -> None:
    for group, resource, verb in [*rights(of_kind("Role")), *rights(for_nodes())]:
        assert "*" not in (group + resource + verb)
        assert not re.search(r"secrets|roles|serviceaccounts|exec|attach|portforward|proxy|log", resource)
    kinds = {document["kind"] for document in documents()}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}, "they are given by those who need them, from nodes/"


def test_the_shipped_role_is_enough_for_all_that_the_platform_does(
    api: KubernetesApi, everything: Callable[[], None]
) -> None:
    api.grant("shop", of_kind("Role")["rules"])
    everything()


@pytest.mark.parametrize("missing", list(rights(of_kind("Role"))), ids=" ".join)
def test_each_right_is_needed_and_named_when_it_is_missing(
    api: KubernetesApi, everything: Callable[[], None], missing: tuple[str, str, str]
) -> None:
    api.grant("shop", without(of_kind("Role"), missing))
    with pytest.raises(Permanent, match=f"{named(missing)} in namespace shop is missing"):
        everything()


def test_the_shipped_cluster_role_is_enough_for_all_that_is_done_with_nodes(
    api: KubernetesApi, everything_with_nodes: Callable[[], None]
) -> None:
    api.grant("", for_nodes()["rules"])
    everything_with_nodes()


@pytest.mark.parametrize("missing", list(rights(for_nodes())), ids=" ".join)
def test_each_right_of_the_cluster_role_is_needed_and_named_when_it_is_missing(
    api: KubernetesApi, everything_with_nodes: Callable[[], None], missing: tuple[str, str, str]
) -> None:
    api.grant("", without(for_nodes(), missing))
    where = "in namespace other" if "eviction" in missing[1] else "in the cluster"
    with pytest.raises(Permanent, match=f"{named(missing)} {where} is missing"):
        everything_with_nodes()


def test_the_cluster_role_is_bound_to_the_same_account() -> None:
    binding = of_kind("ClusterRoleBinding", name="amend-nodes", folder=MANIFESTS / "nodes")
    assert binding["subjects"] == of_kind("RoleBinding")["subjects"]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("ClusterRole", "amend-nodes")


def test_the_role_is_bound_to_the_account_that_the_deployment_runs_as() -> None:
    account, binding, workload = of_kind("ServiceAccount"), of_kind("RoleBinding"), of_kind("Deployment")
    [subject] = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], account["metadata"]["namespace"])
    assert binding["roleRef"]["name"] == of_kind("Role")["metadata"]["name"]
    assert binding["metadata"]["namespace"] == of_kind("Role")["metadata"]["namespace"]
    assert workload["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]


def test_the_pod_is_locked_down() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_sqlite_has_one_writer_only() -> None:
    spec = of_kind("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_service_reaches_the_pod() -> None:
    service, workload = of_kind("Service"), of_kind("Deployment")
    assert service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    [container] = workload["spec"]["template"]["spec"]["containers"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


@pytest.mark.parametrize(
    "document",
    [*documents(), *documents(MANIFESTS / "nodes")],
    ids=lambda document: f"{document['kind']} {document['metadata']['name']}",
)
def test_every_field_of_a_manifest_is_one_that_kubernetes_knows(document: dict[str, Any]) -> None:
    model = getattr(client, f"V1{document['kind']}").from_dict(document)
    assert client.ApiClient().sanitize_for_serialization(model) == document  # type: ignore[no-untyped-call]


def test_the_shipped_configuration_is_one_that_amend_reads(tmp_path: Path) -> None:
    config = of_kind("ConfigMap")["data"]["amend.yml"]
    [mounted] = set(re.findall(r"token_file: (/\S+)/", config))
    (tmp_path / "webhook-token").write_text("secret")
    (tmp_path / "amend.yml").write_text(config.replace(mounted, str(tmp_path)))
    read = settings.read(tmp_path / "amend.yml")
    assert read.platforms.kubernetes[0].namespaces == (of_kind("Role")["metadata"]["namespace"],)
    assert (
        read.server.port
        == of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
    )
