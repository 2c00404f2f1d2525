"""Pods on Kubernetes: what they say of themselves, and how one is told to end and waited for."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets import Nodes
from receiver.targets.kubernetes.cluster import Cluster
from receiver.workload import Workload
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import condition, stateful_set
from tests.bed.kubernetes_pod_objects import bare, budget, container_status, mirror, node, pod
from tests.bed.proxy import Fault, Proxy
from tests.targets.conftest import kubernetes_selector, resolve, run

WITHIN = timedelta(seconds=60)
BRIEFLY = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.cluster.LOOK_EVERY", 0.01)
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.ASK_AGAIN", 0.02)
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.FOR_ANSWER", 0.4)


@pytest.fixture
def cluster(api: KubernetesApi, tmp_path: Path) -> Cluster:
    settings = platforms.Kubernetes(kubeconfig=api.kubeconfig(tmp_path / "config"), namespaces=("shop",))
    return Cluster(settings, clock=lambda: api.store.now)


@pytest.fixture
def found(api: KubernetesApi) -> dict[str, Any]:
    api.add(node())
    return api.add(pod())


def delete(cluster: Cluster, workload: Workload, **options: Any) -> Any:
    arguments = {"grace": None, "force": False, "within": WITHIN, **options}
    return run(cluster.delete_pod(workload, **arguments))


# ── resolve ──


def test_a_cluster_is_a_platform_with_nodes(cluster: Cluster) -> None:
    assert isinstance(cluster, Nodes)


def test_a_pod_that_is_well_is_found(cluster: Cluster, found: dict[str, Any]) -> None:
    workload = resolve(cluster, found)
    assert workload.key == "kubernetes/default/shop/Pod/cart-7d9f-x2x4z"
    assert (workload.replicas, workload.ready, workload.healthy, workload.why) == (1, 1, True, "")
    assert (workload.uid, workload.version) == (found["metadata"]["uid"], "shop/cart:1.0")
    assert workload.detail == {"node": "worker-1", "owner": "ReplicaSet/cart-7d9f"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"containerStatuses": [container_status("cart", ready=False, waiting={"reason": "CrashLoopBackOff"})]},
            "container cart is waiting: CrashLoopBackOff",
        ),
        (
            {
                "containerStatuses": [
                    container_status("cart", ready=False, terminated={"exitCode": 137, "reason": "OOMKilled"})
                ]
            },
            "container cart has ended: OOMKilled (exit code 137)",
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    container_status("migrate", ready=False, waiting={"reason": "ImagePullBackOff"})
                ],
                "containerStatuses": [container_status("cart", ready=False, waiting={"reason": "PodInitializing"})],
            },
            "container migrate is waiting: ImagePullBackOff",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [condition("PodScheduled", "Unschedulable", status="False", message="no node has room")],
                "containerStatuses": [],
            },
            "it is on no node: no node has room",
        ),
        ({"phase": "Pending", "conditions": [], "containerStatuses": []}, "its phase is Pending"),
        ({"phase": "Failed"}, "its phase is Failed: it has ended for good"),
        ({"conditions": [condition("Ready", "", status="False")]}, "it runs, but is not ready"),
    ],
)
def test_a_pod_that_is_not_well_says_why(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any], status: dict[str, Any], why: str
) -> None:
    with api.changing(found) as mine:
        mine["status"] |= {"conditions": [condition("Ready", "", status="False")], **status}
    workload = resolve(cluster, found)
    assert (workload.ready, workload.healthy) == (0, False)
    assert workload.why == why


def test_a_pod_that_is_being_deleted_is_not_well(api: KubernetesApi, cluster: Cluster, found: dict[str, Any]) -> None:
    with api.changing(found) as mine:
        mine["metadata"]["deletionTimestamp"] = "2026-03-02T09:00:30Z"
    workload = resolve(cluster, found)
    assert (workload.ready, workload.healthy) == (1, False)
    assert workload.why == "it is being deleted, and was to end until 2026-03-02T09:00:30Z"


def test_a_pod_of_another_namespace_is_not_even_asked_for(api: KubernetesApi, cluster: Cluster) -> None:
    api.add(pod(namespace="other"))
    with pytest.raises(Refusal) as refused:
        run(cluster.resolve(kubernetes_selector("Pod", "cart-7d9f-x2x4z", scope="other")))
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED
    assert api.requests == []


# ── delete_pod ──


def test_a_pod_is_evicted_with_its_uid_and_its_owner_makes_another(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    result = delete(cluster, resolve(cluster, found))
    [change] = api.changes
    assert (change.method, change.path) == ("POST", "/api/v1/namespaces/shop/pods/cart-7d9f-x2x4z/eviction")
    assert change.body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "cart-7d9f-x2x4z", "namespace": "shop"},
        "deleteOptions": {"preconditions": {"uid": found["metadata"]["uid"]}},
    }
    [another] = api.all("Pod")
    assert another["metadata"]["uid"] != found["metadata"]["uid"]
    assert result["before"] == {
        "ready": True,
        "why": "",
        "images": "shop/cart:1.0",
        "node": "worker-1",
        "owner": "ReplicaSet/cart-7d9f",
    }
    assert (result["after"], result["by"]) == ({"gone": True}, "eviction")


def test_the_grace_time_is_in_the_body(api: KubernetesApi, cluster: Cluster, found: dict[str, Any]) -> None:
    delete(cluster, resolve(cluster, found), grace=5)
    [change] = api.changes
    assert change.body["deleteOptions"]["gracePeriodSeconds"] == 5
    assert change.query == {}


def test_another_pod_of_the_same_name_is_not_taken_for_one_that_stays(api: KubernetesApi, cluster: Cluster) -> None:
    api.add(node())
    found = api.add(pod("db-0", owner=api.add(stateful_set())))
    delete(cluster, resolve(cluster, found))
    assert api.get(found)["metadata"]["uid"] != found["metadata"]["uid"]
    assert len(api.changes) == 1


def test_a_pod_replaced_since_it_was_looked_up_is_left_alone(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    workload = resolve(cluster, found)
    api.remove(found)
    with pytest.raises(Permanent, match="has gone since"):
        delete(cluster, workload)
    again = api.add(pod())
    with pytest.raises(Permanent, match="replaced since"):
        delete(cluster, workload)
    assert api.changes == []
    assert api.get(again) == again


def test_a_pod_replaced_at_the_same_moment_is_left_alone(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    workload = resolve(cluster, found)

    def somebody_replaces() -> None:
        api.remove(found)
        api.add(pod())

    api.meanwhile("POST", somebody_replaces)
    with pytest.raises(Temporary, match="Precondition failed: UID in precondition"):
        delete(cluster, workload)
    assert "deletionTimestamp" not in api.get(found)["metadata"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: bare(pod()), "it has no controller: nobody would make another one"),
        (lambda: {**(found := mirror()), "metadata": {**found["metadata"], "namespace": "shop"}}, "from a file"),
    ],
)
def test_a_pod_that_nobody_would_make_again_is_left_alone(
    api: KubernetesApi, cluster: Cluster, make: Any, why: str
) -> None:
    found = api.add(make())
    for force in (False, True):
        with pytest.raises(Permanent, match=why):
            delete(cluster, resolve(cluster, found), force=force)
    assert api.changes == []


def test_amend_does_not_evict_itself(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: found["metadata"]["name"])
    with pytest.raises(Permanent, match="Amend itself runs in it"):
        delete(cluster, resolve(cluster, found))
    assert api.changes == []


def test_a_budget_is_asked_again_until_it_allows_it(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    limit = api.add(budget(allowed=0))
    asked: list[int] = []

    def somebody_looks_on() -> None:
        asked.append(1)
        if len(asked) < 4:
            api.meanwhile("POST", somebody_looks_on)
            return
        with api.changing(limit) as mine:
            mine["status"]["disruptionsAllowed"] = 1

    api.meanwhile("POST", somebody_looks_on)
    delete(cluster, resolve(cluster, found))
    assert len(api.changes) == 4
    assert {change.method for change in api.changes} == {"POST"}


def test_a_budget_that_never_allows_it_is_told_in_its_own_words(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    api.add(budget(allowed=0))
    with pytest.raises(Permanent, match="The disruption budget cart needs 2 healthy pods and has 2 currently"):
        delete(cluster, resolve(cluster, found), within=BRIEFLY)
    assert "deletionTimestamp" not in api.get(found)["metadata"]
    assert len(api.changes) > 3


def test_a_budget_that_says_when_to_come_again_is_left_in_peace_until_then(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    with api.changing(api.add(budget(allowed=1))) as mine:
        mine["spec"]["minAvailable"] = 1  # which its controller has not counted yet
    with pytest.raises(Permanent, match="The disruption budget cart is still being processed"):
        delete(cluster, resolve(cluster, found), within=BRIEFLY)
    assert len(api.changes) == 1


def test_two_budgets_for_one_pod_are_a_plain_no(api: KubernetesApi, cluster: Cluster, found: dict[str, Any]) -> None:
    for name in ("one", "two"):
        api.add(budget(name, allowed=1))
    with pytest.raises(Permanent, match="more than one PodDisruptionBudget"):
        delete(cluster, resolve(cluster, found))
    assert len(api.changes) == 1


def test_a_server_that_is_busy_is_not_taken_for_a_budget(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    workload = resolve(cluster, found)
    api.turn_away("POST", after="7")
    with pytest.raises(Temporary, match="nothing was done") as refused:
        delete(cluster, workload)
    assert refused.value.delay == 7
    assert len(api.changes) == 1


def test_an_eviction_whose_answer_is_lost_is_uncertain_and_sent_once(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    workload = resolve(cluster, found)
    api.drop_answer("POST")
    with pytest.raises(Uncertain):
        delete(cluster, workload)
    assert len(api.changes) == 1
    assert api.get(found)["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_in_trouble_leaves_it_uncertain(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any], status: int
) -> None:
    workload = resolve(cluster, found)
    api.turn_away("POST", status=status, reason="InternalError")
    with pytest.raises(Uncertain):
        delete(cluster, workload)


def test_silence_after_the_eviction_is_uncertain(
    api: KubernetesApi, found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.SILENT", 0.2)
    host, port = api.address.split(":")
    with Proxy((host, int(port))) as proxy:
        config = api.kubeconfig(tmp_path / "through-proxy", server=proxy.url)
        cluster = Cluster(platforms.Kubernetes(kubeconfig=config, namespaces=("shop",)))
        workload = resolve(cluster, found)
        api.meanwhile("POST", lambda: proxy.fail(Fault.STALL_BEFORE_ANSWER, "GET"))
        with pytest.raises(Uncertain, match="told to end, and then not been seen to be gone"):
            delete(cluster, workload, within=timedelta(seconds=2))


def test_a_look_that_fails_once_does_not_end_the_waiting(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    workload = resolve(cluster, found)
    api.meanwhile("POST", lambda: api.turn_away("GET", status=503, reason="ServiceUnavailable"))
    delete(cluster, workload)


def test_a_pod_that_does_not_end_is_told_with_what_holds_it(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    with api.changing(found) as mine:
        mine["metadata"]["finalizers"] = ["example.com/backup"]
    with pytest.raises(Permanent, match=r"09:00:30Z; these finalizers hold it: example\.com/backup"):
        delete(cluster, resolve(cluster, found), within=BRIEFLY)


# ── force ──


def test_force_takes_a_pod_off_the_list_that_had_its_time_and_did_not_end(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    api.pods.hang = True
    api.add(budget(allowed=1))
    with pytest.raises(Permanent, match="it was to end until 2026-03-02T09:00:30Z, and is still there"):
        delete(cluster, resolve(cluster, found), within=BRIEFLY)
    with pytest.raises(Permanent, match="it may take until 2026-03-02T09:00:30Z to end"):
        delete(cluster, resolve(cluster, found), force=True)
    api.store.now += timedelta(seconds=31)

    result = delete(cluster, resolve(cluster, found), force=True)
    [_, forced] = api.changes
    assert (forced.method, forced.path, forced.query) == (
        "DELETE",
        "/api/v1/namespaces/shop/pods/cart-7d9f-x2x4z",
        {},
    )
    assert forced.body == {"gracePeriodSeconds": 0, "preconditions": {"uid": found["metadata"]["uid"]}}
    assert result["by"] == "force"
    assert found["metadata"]["uid"] not in [each["metadata"]["uid"] for each in api.all("Pod")]


def test_force_is_nothing_for_a_pod_that_was_not_told_to_end(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    with pytest.raises(Permanent, match="it has not been told to end; evict it first"):
        delete(cluster, resolve(cluster, found), force=True)
    assert api.changes == []


def test_a_forced_deletion_whose_answer_is_lost_is_sent_once(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    api.pods.hang = True
    with api.changing(found) as mine:
        mine["metadata"] |= {"deletionTimestamp": "2026-03-02T08:59:00Z", "deletionGracePeriodSeconds": 30}
    workload = resolve(cluster, found)
    api.drop_answer("DELETE")
    with pytest.raises(Uncertain):
        delete(cluster, workload, force=True)
    assert [change.method for change in api.changes] == ["DELETE"]


# ── rights ──


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ([], r'"get" on pods \(core\) in namespace shop'),
        ([("pods", "get")], r'"create" on pods/eviction \(core\) in namespace shop'),
        ([("pods", "get"), ("pods/eviction", "create")], r'"delete" on pods \(core\) in namespace shop'),
    ],
)
def test_a_missing_right_is_named(
    api: KubernetesApi,
    cluster: Cluster,
    found: dict[str, Any],
    granted: list[tuple[str, str]],
    missing: str,
) -> None:
    with api.changing(found) as mine:
        mine["metadata"] |= {"deletionTimestamp": "2026-03-02T08:59:00Z", "deletionGracePeriodSeconds": 30}
    workload = resolve(cluster, found)
    api.grant("shop", [{"apiGroups": [""], "resources": [resource], "verbs": [verb]} for resource, verb in granted])
    with pytest.raises(Permanent, match=f"the right {missing} is missing"):
        delete(cluster, workload, force="delete" in missing)


def test_a_no_of_another_kind_is_not_taken_for_a_missing_right(
    api: KubernetesApi, cluster: Cluster, found: dict[str, Any]
) -> None:
    workload = resolve(cluster, found)
    api.turn_away("POST", status=403, reason="Forbidden")  # as an admission webhook, or a namespace that ends
    with pytest.raises(Permanent, match="create pods/eviction: the server is busy"):
        delete(cluster, workload)
