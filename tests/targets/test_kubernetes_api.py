"""The fake Kubernetes API server behaves as a real one where remediation code goes wrong; here through the client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.bed.kubernetes_api import TOKEN, KubernetesApi
from tests.bed.kubernetes_objects import autoscaler, daemon_set, deployment, stateful_set
from tests.bed.kubernetes_pod_objects import bare, budget, node, pod

CART = "/apis/apps/v1/namespaces/shop/deployments/cart"


@pytest.fixture
def apps(api: KubernetesApi, tmp_path: Path) -> Any:
    """Untyped: its models say of every field that it may be missing."""
    configuration = client.Configuration()
    config.load_kube_config(str(api.kubeconfig(tmp_path / "config")), client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.retries = False
    return client.AppsV1Api(client.ApiClient(configuration))


@pytest.fixture
def http(api: KubernetesApi) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:
        yield http


def patch(http: httpx.Client, kind: str, body: Any, path: str = CART) -> httpx.Response:
    return http.patch(path, json=body, headers={"Content-Type": f"application/{kind}-patch+json"})


def test_the_strict_client_reads_every_kind(api: KubernetesApi, apps: Any) -> None:
    found = api.add(deployment())
    api.add(stateful_set())
    api.add(daemon_set())
    api.add(autoscaler(found))
    assert apps.read_namespaced_deployment("cart", "shop").spec.replicas == 3
    assert apps.read_namespaced_stateful_set("db", "shop").status.ready_replicas == 2
    assert apps.read_namespaced_daemon_set("exporter", "shop").status.number_ready == 2
    scalers = client.AutoscalingV2Api(apps.api_client).list_namespaced_horizontal_pod_autoscaler("shop")
    assert [scaler.spec.max_replicas for scaler in scalers.items] == [10]
    api.add(node())
    api.add(pod())
    api.add(budget())
    core: Any = client.CoreV1Api(apps.api_client)
    policy: Any = client.PolicyV1Api(apps.api_client)
    assert core.read_node("worker-1").status.node_info.kubelet_version == "v1.36.0"
    assert core.read_namespaced_pod("cart-7d9f-x2x4z", "shop").status.phase == "Running"
    assert policy.read_namespaced_pod_disruption_budget("cart", "shop").status.disruptions_allowed == 0
    assert [each.metadata.owner_references[0].kind for each in apps.list_namespaced_replica_set("shop").items] == [
        "Deployment"
    ]
    kept = apps.list_namespaced_controller_revision("shop").items
    assert sorted(each.metadata.owner_references[0].kind for each in kept) == ["DaemonSet", "StatefulSet"]


def test_no_replicas_are_none_in_a_scale(api: KubernetesApi, apps: Any) -> None:
    api.add(deployment(replicas=0))
    assert apps.read_namespaced_deployment_scale("cart", "shop").spec.replicas is None


def test_lists_are_narrowed_by_labels_and_fields(api: KubernetesApi, apps: Any) -> None:
    for name in ("cart", "web"):
        api.add(deployment(name))
    api.add(deployment("cart", namespace="other"))

    def names(**selectors: str) -> list[str]:
        return [item.metadata.name for item in apps.list_namespaced_deployment("shop", **selectors).items]

    assert names() == ["cart", "web"]
    assert names(label_selector="app=web") == ["web"]
    assert names(label_selector="app!=web") == ["cart"]
    assert names(field_selector="metadata.name=cart") == ["cart"]


def test_a_new_spec_is_a_new_generation_and_a_new_status_is_not(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(deployment())
    changed = patch(http, "merge", {"spec": {"replicas": 5}}).json()
    assert changed["metadata"]["generation"] == 2
    assert int(changed["metadata"]["resourceVersion"]) > int(found["metadata"]["resourceVersion"])
    status = {**changed["status"], "readyReplicas": 1}
    changed = patch(http, "merge", {"status": status}, path=f"{CART}/status").json()
    assert (changed["metadata"]["generation"], changed["status"]["readyReplicas"]) == (2, 1)
    ignored = patch(http, "merge", {"status": {"readyReplicas": 9}}).json()
    assert ignored["status"]["readyReplicas"] == 1


def test_a_write_that_changes_nothing_is_no_new_version(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(deployment())
    assert patch(http, "merge", {"spec": {"replicas": 3}}).json()["metadata"] == found["metadata"]


def test_an_old_resource_version_is_a_conflict(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(deployment())
    patch(http, "merge", {"spec": {"replicas": 5}})
    for answer in (
        patch(http, "merge", {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}}),
        http.put(CART, json=found),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
        assert "the object has been modified" in answer.json()["message"]


def test_a_put_needs_a_resource_version(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(deployment())
    del found["metadata"]["resourceVersion"]
    assert http.put(CART, json=found).status_code == 422


def test_another_uid_is_a_conflict_to_put_or_delete_and_invalid_to_patch(
    api: KubernetesApi, http: httpx.Client
) -> None:
    found = api.add(deployment())
    other = {"uid": "another", "resourceVersion": found["metadata"]["resourceVersion"]}
    assert http.put(CART, json={**found, "metadata": {**found["metadata"], **other}}).status_code == 409
    deleting = http.request("DELETE", CART, json={"preconditions": {"uid": "another"}})
    assert (deleting.status_code, deleting.json()["reason"]) == (409, "Conflict")
    assert patch(http, "merge", {"metadata": other}).status_code == 422
    assert api.get(found) == found


def test_a_strategic_merge_leaves_what_it_does_not_name_and_a_json_patch_does_not(
    api: KubernetesApi, http: httpx.Client
) -> None:
    found = api.add(deployment())
    template = found["spec"]["template"]
    more = {"containers": [{"name": "added", "image": "x"}, {"name": "cart", "env": [{"name": "B", "value": "b"}]}]}
    added = patch(http, "strategic-merge", {"spec": {"template": {"spec": more}}}).json()
    containers = added["spec"]["template"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["cart", "added"]
    assert [variable["name"] for variable in containers[0]["env"]] == ["MODE", "B"]

    undone = patch(http, "strategic-merge", {"spec": {"template": template}}).json()
    assert len(undone["spec"]["template"]["spec"]["containers"]) == 2
    restored = patch(http, "json", [{"op": "replace", "path": "/spec/template", "value": template}]).json()
    assert restored["spec"]["template"] == template


def test_a_json_patch_whose_test_fails_does_nothing(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(deployment())
    answer = patch(
        http,
        "json",
        [
            {"op": "replace", "path": "/spec/replicas", "value": 9},
            {"op": "test", "path": "/metadata/uid", "value": "another"},
        ],
    )
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
    assert api.get(found) == found


def test_an_unknown_kind_of_patch_is_refused(api: KubernetesApi, http: httpx.Client) -> None:
    api.add(deployment())
    assert http.patch(CART, json={}, headers={"Content-Type": "application/json"}).status_code == 415


def test_what_is_not_there_and_who_may_not_look_are_told_as_a_real_server_tells_them(
    api: KubernetesApi, apps: Any
) -> None:
    with pytest.raises(ApiException) as missing:
        apps.read_namespaced_deployment("nobody", "shop")
    assert missing.value.status == 404
    assert 'deployments.apps \\"nobody\\" not found' in str(missing.value.body)
    api.grant(
        "shop", [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"], "resourceNames": ["web"]}]
    )
    for look in (
        lambda: apps.read_namespaced_deployment("cart", "shop"),
        lambda: apps.read_namespaced_deployment_scale("web", "shop"),
        lambda: apps.read_namespaced_deployment("web", "other"),
        lambda: client.CoreV1Api(apps.api_client).list_namespaced_pod("shop"),
        lambda: client.CoreV1Api(apps.api_client).list_namespaced_secret("shop"),
    ):
        with pytest.raises(ApiException) as refused:
            look()
        assert refused.value.status == 403
        assert "cannot" in str(refused.value.body)


def test_nobody_gets_in_without_the_token(api: KubernetesApi) -> None:
    answer = httpx.get(api.url + CART, trust_env=False)
    assert (answer.status_code, answer.json()["kind"]) == (401, "Status")


def test_an_autoscaler_with_a_minimum_above_its_maximum_is_invalid(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(autoscaler(deployment(), least=1, most=3))
    path = f"/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/{found['metadata']['name']}"
    answer = patch(http, "merge", {"spec": {"minReplicas": 4}}, path=path)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


# ── histories ──


def test_an_old_template_gets_its_old_replica_set_back_under_a_new_number(api: KubernetesApi) -> None:
    found = api.add(deployment())

    def history() -> dict[str, str]:
        return {
            each["spec"]["template"]["spec"]["containers"][0]["image"]: each["metadata"]["annotations"][
                "deployment.kubernetes.io/revision"
            ]
            for each in api.all("ReplicaSet")
        }

    api.deploy(found, "shop/cart:2.0")
    assert history() == {"shop/cart:1.0": "1", "shop/cart:2.0": "2"}
    api.deploy(found, "shop/cart:1.0")
    assert history() == {"shop/cart:1.0": "3", "shop/cart:2.0": "2"}
    assert api.get(found)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_an_old_template_gets_its_old_controller_revision_back_under_a_new_number(api: KubernetesApi) -> None:
    found = api.add(stateful_set())
    api.deploy(found, "shop/db:2.0")
    api.deploy(found, "shop/db:1.0")
    assert sorted(each["revision"] for each in api.all("ControllerRevision")) == [2, 3]
    assert {each["data"]["spec"]["template"]["$patch"] for each in api.all("ControllerRevision")} == {"replace"}


# ── pods and nodes ──

POD = "/api/v1/namespaces/shop/pods/cart-7d9f-x2x4z"


def evict(http: httpx.Client, **options: Any) -> httpx.Response:
    body = {"metadata": {"name": "cart-7d9f-x2x4z", "namespace": "shop"}, "deleteOptions": options}
    return http.post(f"{POD}/eviction", json=body)


def test_an_eviction_against_a_budget_is_429_without_retry_after_and_a_deletion_ignores_it(
    api: KubernetesApi, http: httpx.Client
) -> None:
    api.add(pod())
    api.add(budget(allowed=0))
    answer = evict(http)
    assert (answer.status_code, answer.json()["reason"]) == (429, "TooManyRequests")
    assert "Retry-After" not in answer.headers
    [cause] = answer.json()["details"]["causes"]
    assert cause["reason"] == "DisruptionBudget"
    assert http.delete(POD).json()["metadata"]["deletionTimestamp"] == "2026-03-02T09:00:30Z"


def test_a_pod_ends_after_its_time_and_its_owner_makes_another(api: KubernetesApi, http: httpx.Client) -> None:
    api.add(node())
    found = api.add(pod())
    assert evict(http).status_code == 201
    assert http.get(POD).json()["metadata"]["deletionGracePeriodSeconds"] == 30
    http.get(POD)
    assert http.get(POD).status_code == 404
    [another] = api.all("Pod")
    assert another["metadata"]["uid"] != found["metadata"]["uid"]
    assert another["spec"]["nodeName"] == "worker-1"


def test_a_cordoned_node_gets_no_new_pod(api: KubernetesApi, http: httpx.Client) -> None:
    api.add(node(unschedulable=True))
    api.add(pod())
    http.request("DELETE", POD, json={"gracePeriodSeconds": 0})
    [another] = api.all("Pod")
    assert "nodeName" not in another["spec"]
    assert another["status"]["phase"] == "Pending"


def test_the_grace_time_in_the_query_counts_only_where_there_is_no_body(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(bare(pod()))
    uid = {"preconditions": {"uid": found["metadata"]["uid"]}}
    deleted = http.request("DELETE", POD, params={"gracePeriodSeconds": "0"}, json=uid).json()
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 30
    http.request("DELETE", POD, params={"gracePeriodSeconds": "0"})
    assert api.all("Pod") == []


def test_another_uid_is_a_conflict_to_evict(api: KubernetesApi, http: httpx.Client) -> None:
    found = api.add(pod())
    assert evict(http, preconditions={"uid": "another"}).status_code == 409
    assert api.get(found) == found


def test_pods_of_all_namespaces_are_listed_by_their_node_and_no_unknown_field(
    api: KubernetesApi, http: httpx.Client
) -> None:
    api.add(pod("here"))
    api.add(pod("there", node="worker-2"))
    api.add(pod("here-too", namespace="other"))
    listed = http.get("/api/v1/pods", params={"fieldSelector": "spec.nodeName=worker-1"}).json()
    assert [each["metadata"]["name"] for each in listed["items"]] == ["here", "here-too"]
    assert not any("kind" in each for each in listed["items"]), "what is in a list does not say what it is"
    assert http.get("/api/v1/pods", params={"fieldSelector": "spec.volumes=x"}).status_code == 400


def test_rights_for_the_whole_cluster_are_given_apart(api: KubernetesApi, http: httpx.Client) -> None:
    api.add(node())
    api.add(pod())
    everything = [{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}]
    api.grant("shop", everything)
    assert http.get(POD).status_code == 200
    for path in ("/api/v1/nodes/worker-1", "/api/v1/pods"):
        assert "at the cluster scope" in http.get(path).json()["message"]
    api.grant("", everything)
    for path in ("/api/v1/nodes/worker-1", "/api/v1/pods", POD):
        assert http.get(path).status_code == 200
