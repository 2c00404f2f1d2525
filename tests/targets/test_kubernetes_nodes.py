"""Nodes on Kubernetes: which ones may be touched, and how one is cordoned, emptied and opened again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.kubernetes.cluster import Cluster
from receiver.targets.kubernetes.nodes import is_cordoned as is_so
from receiver.workload import Workload
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import condition
from tests.bed.kubernetes_pod_objects import bare, budget, mirror, node, of_kind, pod
from tests.bed.proxy import Fault, Proxy
from tests.targets.conftest import kubernetes_selector, run

WITHIN = timedelta(seconds=60)
BRIEFLY = timedelta(seconds=1)

Object = dict[str, Any]


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.drain.LOOK_EVERY", 0.01)
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.ASK_AGAIN", 0.02)
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.FOR_ANSWER", 0.4)


def connect(kubeconfig: Path, *allow_nodes: str) -> Cluster:
    return Cluster(platforms.Kubernetes(kubeconfig=kubeconfig, namespaces=("shop",), allow_nodes=allow_nodes))


@pytest.fixture
def cluster(api: KubernetesApi, tmp_path: Path) -> Cluster:
    return connect(api.kubeconfig(tmp_path / "config"), "amend.enable=true")


@pytest.fixture
def found(api: KubernetesApi) -> Object:
    worker = api.add(node("worker-1"))
    api.add(node("worker-2"))
    return worker


def resolve(cluster: Cluster, name: str = "worker-1", scope: str | None = None) -> Workload:
    return run(cluster.resolve(kubernetes_selector("Node", name, scope=scope)))


def drain(cluster: Cluster, workload: Workload, **options: Any) -> Any:
    return run(cluster.drain(workload, **{"delete_emptydir_data": False, "within": WITHIN, **options}))


def is_cordoned(api: KubernetesApi, found: Object) -> bool:
    return "unschedulable" in api.get(found)["spec"]


def fill(api: KubernetesApi, count: int, **options: Any) -> list[Object]:
    return [api.add(pod(f"cart-7d9f-{place}", **options)) for place in range(count)]


def evictions(api: KubernetesApi) -> list[str]:
    return [change.path.split("/")[-2] for change in api.changes if change.path.endswith("/eviction")]


# ── resolve ──


def test_a_node_with_an_allowed_label_is_found(cluster: Cluster, found: Object) -> None:
    workload = resolve(cluster)
    assert workload.key == "kubernetes/default/Node/worker-1"
    assert (workload.replicas, workload.ready, workload.healthy, workload.why) == (1, 1, True, "")
    assert (workload.uid, workload.version) == (found["metadata"]["uid"], "v1.36.0")
    assert workload.detail == {"cordoned": "no"}


def test_a_cordoned_node_is_as_well_as_any_other(api: KubernetesApi, cluster: Cluster) -> None:
    api.add(node(unschedulable=True))
    workload = resolve(cluster)
    assert workload.healthy
    assert workload.detail == {"cordoned": "yes"}


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([condition("Ready", "NodeStatusUnknown", status="Unknown", message="Kubelet stopped posting node status.")],
         "it is not ready: Kubelet stopped posting node status."),
        ([condition("Ready", "KubeletNotReady", status="False")], "it is not ready: KubeletNotReady"),
        ([], "its kubelet has not said yet whether it is ready"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_well_says_why(
    api: KubernetesApi, cluster: Cluster, found: Object, conditions: list[Object], why: str
) -> None:
    with api.changing(found) as mine:
        mine["status"]["conditions"] = conditions
    workload = resolve(cluster)
    assert (workload.ready, workload.healthy, workload.why) == (0, False, why)


def test_a_node_without_an_allowed_label_is_refused(api: KubernetesApi, cluster: Cluster) -> None:
    api.add(node(labels={"amend.enable": "false"}))
    with pytest.raises(Refusal, match="none of the labels in allow_nodes: of kubernetes default: amend") as no:
        resolve(cluster)
    assert no.value.reason is Reason.TARGET_NOT_ALLOWED


def test_where_no_label_is_allowed_no_node_is_even_asked_for(api: KubernetesApi, tmp_path: Path, found: Object) -> None:
    cluster = connect(api.kubeconfig(tmp_path / "none-allowed"))
    with pytest.raises(Refusal, match="allow_nodes: of kubernetes default is empty; write a label there") as no:
        resolve(cluster)
    assert no.value.reason is Reason.TARGET_NOT_ALLOWED
    assert api.requests == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "*", "a b", "worker-1\n", "../pods", "worker-1/status", "a?b=c", "Worker", "x" * 300]
)
def test_a_hostile_name_is_not_even_sent(api: KubernetesApi, cluster: Cluster, name: str) -> None:
    with pytest.raises(Refusal) as refused:
        resolve(cluster, name)
    assert refused.value.reason is Reason.NO_TARGET
    assert str(refused.value).isprintable()
    assert api.requests == []


def test_a_node_is_in_no_namespace(api: KubernetesApi, cluster: Cluster) -> None:
    for scope in ("shop", ""):
        with pytest.raises(Refusal, match="a Node is in no namespace") as refused:
            resolve(cluster, scope=scope)
        assert refused.value.reason is Reason.NO_TARGET
    assert api.requests == []


def test_a_node_that_is_not_there_is_no_target(cluster: Cluster) -> None:
    with pytest.raises(Refusal, match="has no Node/nobody") as refused:
        resolve(cluster, "nobody")
    assert refused.value.reason is Reason.NO_TARGET


# ── cordon, uncordon ──


def test_a_node_is_cordoned_and_opened_again(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    result = run(cluster.cordon(resolve(cluster), within=WITHIN))
    assert result == {"before": {"cordoned": False, "ready": True}, "after": {"cordoned": True, "ready": True}}
    assert is_cordoned(api, found)
    [change] = api.changes
    assert (change.method, change.path) == ("PATCH", "/api/v1/nodes/worker-1")
    assert change.body["metadata"]["uid"] == found["metadata"]["uid"]
    assert change.body["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]

    result = run(cluster.uncordon(resolve(cluster), within=WITHIN))
    assert (result["before"]["cordoned"], result["after"]["cordoned"]) == (True, False)
    assert not is_cordoned(api, found)


def test_what_is_so_already_is_not_done_again(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    with pytest.raises(Permanent, match="Node/worker-1 is not cordoned; there is nothing to do"):
        run(cluster.uncordon(resolve(cluster), within=WITHIN))
    run(cluster.cordon(resolve(cluster), within=WITHIN))
    with pytest.raises(Permanent, match="Node/worker-1 is cordoned already; there is nothing to do"):
        run(cluster.cordon(resolve(cluster), within=WITHIN))
    assert len(api.changes) == 1


def test_a_node_that_changes_at_the_same_moment_may_be_tried_again(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    workload = resolve(cluster)

    def somebody_labels_it() -> None:
        with api.changing(found) as theirs:
            theirs["metadata"]["labels"]["rack"] = "2"

    api.meanwhile("PATCH", somebody_labels_it)
    with pytest.raises(Temporary, match="nothing was done"):
        run(cluster.cordon(workload, within=WITHIN))
    assert not is_cordoned(api, found)


def test_a_node_replaced_since_it_was_looked_up_is_left_alone(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    workload = resolve(cluster)
    api.remove(found)
    api.add(node())
    for act in (
        lambda: run(cluster.cordon(workload, within=WITHIN)),
        lambda: run(cluster.uncordon(workload, within=WITHIN)),
        lambda: drain(cluster, workload),
    ):
        with pytest.raises(Permanent, match="replaced since"):
            act()
    assert api.changes == []


def test_a_cordon_whose_answer_is_lost_is_uncertain_and_sent_once(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 1)
    workload = resolve(cluster)
    for act in (lambda: run(cluster.cordon(workload, within=WITHIN)), lambda: drain(cluster, workload)):
        api.drop_answer("PATCH")
        with pytest.raises(Uncertain):
            act()
        assert is_cordoned(api, found)
        with api.changing(found) as mine:
            del mine["spec"]["unschedulable"]
    assert [change.method for change in api.changes] == ["PATCH", "PATCH"]


# ── drain ──


def test_a_node_is_drained_of_all_but_what_belongs_to_it(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    carts = fill(api, 10)
    elsewhere = api.add(pod("web-5c8d-aaaaa", namespace="other", app="web"))
    stay = [
        api.add(
            of_kind("DaemonSet", pod("exporter-x2x4z", app="exporter", volumes=[{"name": "data", "emptyDir": {}}]))
        ),
        api.add(mirror()),
        api.add(pod("on-another-node-x", node="worker-2")),
    ]
    with api.changing(api.add(bare(pod("job")))) as done:
        done["status"]["phase"] = "Succeeded"

    result = drain(cluster, resolve(cluster))
    assert is_cordoned(api, found)
    assert result["evicted"] == sorted(
        [*(f"shop/{each['metadata']['name']}" for each in carts), "other/web-5c8d-aaaaa"]
    )
    assert result["before"] == {"cordoned": False, "ready": True, "pods": 11}
    assert result["after"] == {"cordoned": True, "pods": 0}
    assert sorted(evictions(api)) == sorted(each["metadata"]["name"] for each in [*carts, elsewhere])
    assert next(change.method for change in api.changes) == "PATCH", "it is cordoned first"
    for each in stay:
        assert api.get(each) == each
    listed = [request for request in api.requests if request.path == "/api/v1/pods"]
    assert {request.query["fieldSelector"] for request in listed} == {"spec.nodeName=worker-1"}


def test_a_node_of_which_a_server_leaves_out_what_is_empty_is_as_any_other() -> None:
    assert not is_so({"metadata": {}})
    assert not is_so({"metadata": {}, "spec": None})


def test_a_cordoned_node_is_drained_without_another_change_to_it(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 1)
    run(cluster.cordon(resolve(cluster), within=WITHIN))
    result = drain(cluster, resolve(cluster))
    assert result["before"]["cordoned"]
    assert [change.method for change in api.changes] == ["PATCH", "POST"]
    assert is_cordoned(api, found)


def test_an_empty_node_is_drained_at_once(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    assert drain(cluster, resolve(cluster))["evicted"] == []
    assert is_cordoned(api, found)


def test_what_would_be_lost_is_named_before_anything_is_done(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 1)
    api.add(bare(pod("debug")))
    api.add(pod("cache-5c8d-x", volumes=[{"name": "data", "emptyDir": {}}]))
    with pytest.raises(Permanent) as refused:
        drain(cluster, resolve(cluster))
    assert "nobody would make these again: they have no controller: shop/debug;" in str(refused.value)
    assert "unless delete_emptydir_data says that it may: shop/cache-5c8d-x" in str(refused.value)
    assert "nothing was done" in str(refused.value)
    assert api.changes == []
    assert not is_cordoned(api, found)


def test_data_in_an_emptydir_goes_where_it_may(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    api.add(pod("cache-5c8d-x", volumes=[{"name": "data", "emptyDir": {}}]))
    assert drain(cluster, resolve(cluster), delete_emptydir_data=True)["evicted"] == ["shop/cache-5c8d-x"]


def test_amend_does_not_drain_its_own_node(
    api: KubernetesApi, cluster: Cluster, found: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add(pod("amend-6b7c-x2x4z", namespace="amend", app="amend"))
    monkeypatch.setattr("socket.gethostname", lambda: "amend-6b7c-x2x4z")
    with pytest.raises(Permanent, match=r"Amend itself runs in this one, .*: amend/amend-6b7c-x2x4z"):
        drain(cluster, resolve(cluster))
    assert not is_cordoned(api, found)


def test_a_budget_lets_pods_go_one_after_the_other(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    fill(api, 3)
    api.add(budget(allowed=1))
    result = drain(cluster, resolve(cluster))
    assert len(result["evicted"]) == 3
    assert len(evictions(api)) > 3, "it has asked again"


def test_a_budget_that_blocks_until_the_end_leaves_the_node_cordoned_and_says_so(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 2)
    api.add(pod("web-5c8d-aaaaa", app="web"))
    api.add(budget(allowed=0))
    with pytest.raises(Permanent) as failed:
        drain(cluster, resolve(cluster), within=BRIEFLY)
    said = str(failed.value)
    assert said.startswith("Node/worker-1: 1 of 3 pods are gone; left: shop/cart-7d9f-0, shop/cart-7d9f-1 (")
    assert "The disruption budget cart needs 2 healthy pods and has 2 currently" in said
    assert said.endswith("the node stays cordoned")
    assert is_cordoned(api, found)


def test_nothing_is_sent_when_there_is_no_time_for_an_answer(
    api: KubernetesApi, cluster: Cluster, found: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.FOR_ANSWER", 60.0)
    fill(api, 1)
    with pytest.raises(Permanent, match=r"0 of 1 pods are gone; left: .* \(it has not been told to end\)"):
        drain(cluster, resolve(cluster), within=BRIEFLY)
    assert evictions(api) == []
    assert is_cordoned(api, found)


def test_pods_that_do_not_end_are_told(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    fill(api, 2)
    api.pods.hang = True
    with pytest.raises(Permanent, match=r"0 of 2 pods are gone; left: .* \(it was to end until 2026-03-02T09:00:30Z"):
        drain(cluster, resolve(cluster), within=BRIEFLY)
    assert len(evictions(api)) == 2, "each is told once"


def test_pods_that_end_already_are_waited_for_and_not_told_again(
    api: KubernetesApi,
    cluster: Cluster,
    found: Object,
) -> None:
    with api.changing(api.add(bare(pod("debug")))) as mine:
        mine["metadata"]["deletionTimestamp"] = "2026-03-02T09:00:30Z"
    assert drain(cluster, resolve(cluster))["evicted"] == []
    assert evictions(api) == []
    assert api.all("Pod") == []


def test_a_pod_that_may_never_be_evicted_ends_it_when_all_others_are_gone(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 2)
    api.add(pod("web-5c8d-aaaaa", app="web"))
    for name in ("one", "two"):
        api.add(budget(name, allowed=1, app="web"))
    with pytest.raises(Permanent, match=r"2 of 3 pods are gone; left: shop/web-5c8d-aaaaa \(.*more than one PodDisr"):
        drain(cluster, resolve(cluster))
    assert evictions(api).count("web-5c8d-aaaaa") == 1
    assert is_cordoned(api, found)


def test_a_pod_that_comes_meanwhile_and_would_be_lost_ends_it(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    api.meanwhile("PATCH", lambda: api.add(bare(pod("debug"))))
    fill(api, 1)
    with pytest.raises(Permanent, match=r"the node stays cordoned; .* others have come: nobody would make these again"):
        drain(cluster, resolve(cluster))
    assert is_cordoned(api, found)


def test_somebody_who_opens_the_node_again_ends_it(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    fill(api, 3)
    api.add(budget(allowed=0))

    def somebody_uncordons() -> None:
        with api.changing(found) as theirs:
            del theirs["spec"]["unschedulable"]

    api.meanwhile("POST", somebody_uncordons)
    with pytest.raises(Permanent, match=r"0 of 3 pods are gone; .*; somebody has opened it again, and no more is evic"):
        drain(cluster, resolve(cluster))
    assert len(evictions(api)) == 3, "those of one look"


def test_a_node_replaced_while_it_is_drained_is_left_alone(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    fill(api, 1)
    api.add(budget(allowed=0))

    def somebody_replaces() -> None:
        api.remove(found)
        api.add(node(unschedulable=True))

    api.meanwhile("POST", somebody_replaces)
    with pytest.raises(Permanent, match=r"0 of 1 pods are gone; .*replaced since it was looked up"):
        drain(cluster, resolve(cluster))
    assert len(evictions(api)) == 1


def test_a_right_that_is_taken_away_in_the_middle_is_told_with_what_was_done(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 2)

    def somebody_takes_it() -> None:
        rights = [("nodes", "get"), ("pods/eviction", "create")]
        api.grant("", [{"apiGroups": [""], "resources": [resource], "verbs": [verb]} for resource, verb in rights])

    api.meanwhile("POST", somebody_takes_it)
    with pytest.raises(Permanent, match=r'left: .* \(told to end, and not looked at since\); .*"list" on pods'):
        drain(cluster, resolve(cluster))


def test_a_pod_that_goes_by_itself_is_gone(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    [cart] = fill(api, 1)
    api.meanwhile("POST", lambda: api.remove(cart))
    assert drain(cluster, resolve(cluster))["evicted"] == []


def test_a_pod_replaced_at_the_same_moment_is_told_by_its_own_uid(
    api: KubernetesApi,
    cluster: Cluster,
    found: Object,
) -> None:
    [cart] = fill(api, 1)

    def somebody_replaces() -> None:
        api.remove(cart)
        api.add(pod("cart-7d9f-0"))

    api.meanwhile("POST", somebody_replaces)
    assert drain(cluster, resolve(cluster))["evicted"] == ["shop/cart-7d9f-0"]
    first, second = (change.body["deleteOptions"]["preconditions"]["uid"] for change in api.changes[1:])
    assert first == cart["metadata"]["uid"] != second


def test_a_busy_server_is_waited_for(api: KubernetesApi, cluster: Cluster, found: Object) -> None:
    fill(api, 2)
    api.turn_away("POST", after="0")
    api.turn_away("POST", status=503, reason="ServiceUnavailable")  # which may have been done, or not
    api.meanwhile("POST", lambda: api.turn_away("GET", after="0"))
    with pytest.raises(
        Uncertain, match=r"1 of 2 pods are gone; left: .* \(told to end, perhaps: the answer was lost\)"
    ):
        drain(cluster, resolve(cluster), within=BRIEFLY)


def test_an_eviction_whose_answer_is_lost_is_sent_once_and_seen_at_the_next_look(
    api: KubernetesApi,
    cluster: Cluster,
    found: Object,
) -> None:
    fill(api, 2)
    api.drop_answer("POST")
    assert drain(cluster, resolve(cluster))["evicted"] == ["shop/cart-7d9f-0", "shop/cart-7d9f-1"]
    assert len(evictions(api)) == 2


def test_silence_after_the_evictions_is_uncertain(
    api: KubernetesApi,
    tmp_path: Path,
    found: Object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.eviction.SILENT", 0.2)
    fill(api, 1)
    host, port = api.address.split(":")
    with Proxy((host, int(port))) as proxy:
        cluster = connect(api.kubeconfig(tmp_path / "through-proxy", server=proxy.url), "amend.enable=true")
        workload = resolve(cluster)
        api.meanwhile("POST", lambda: proxy.fail(Fault.STALL_BEFORE_ANSWER, "GET"))
        with pytest.raises(Uncertain, match="the node stays cordoned; and then nothing was seen"):
            drain(cluster, workload, within=timedelta(seconds=2))


# ── rights ──


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ([], '"get" on nodes'),
        ([("nodes", "get")], '"list" on pods'),
        ([("nodes", "get"), ("pods", "list")], '"patch" on nodes'),
    ],
)
def test_a_missing_right_is_named_for_the_whole_cluster(
    api: KubernetesApi, cluster: Cluster, found: Object, granted: list[tuple[str, str]], missing: str
) -> None:
    fill(api, 1)
    workload = resolve(cluster)
    api.grant("", [{"apiGroups": [""], "resources": [resource], "verbs": [verb]} for resource, verb in granted])
    with pytest.raises(Permanent, match=rf"the right {missing} \(core\) in the cluster is missing"):
        drain(cluster, workload)
    assert not is_cordoned(api, found)


def test_a_missing_right_to_evict_is_named_for_the_namespace_of_the_pod(
    api: KubernetesApi, cluster: Cluster, found: Object
) -> None:
    fill(api, 2)
    workload = resolve(cluster)
    rights = [("nodes", "get"), ("nodes", "patch"), ("pods", "list")]
    api.grant("", [{"apiGroups": [""], "resources": [resource], "verbs": [verb]} for resource, verb in rights])
    with pytest.raises(Permanent, match=r'the right "create" on pods/eviction \(core\) in namespace shop is missing'):
        drain(cluster, workload)
    assert len(evictions(api)) == 2
    assert is_cordoned(api, found)
