"""A Kubernetes cluster: rollouts, scales and autoscalers, and what a server answers when it does not just say yes."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.kubernetes.cluster import Cluster
from receiver.targets.kubernetes.revisions import RESTARTED_AT
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import autoscaler, daemon_set, deployment, stateful_set
from tests.bed.processes import until
from tests.targets.conftest import EVERY_KIND, Make, kubernetes_selector, resolve, run

WITHIN = timedelta(seconds=90)
BRIEFLY = timedelta(seconds=3)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.cluster.LOOK_EVERY", 0.01)


# ── resolve ──


@EVERY_KIND
def test_each_kind_is_found_by_kind_and_name(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make())
    kind, name = found["kind"], found["metadata"]["name"]
    workload = resolve(cluster, found)
    assert workload.key == f"kubernetes/default/shop/{kind}/{name}"
    assert (workload.uid, workload.version) == (found["metadata"]["uid"], f"shop/{name}:1.0")
    assert workload.healthy
    assert workload.replicas == workload.ready > 1
    assert [request.path for request in api.requests] == [f"/apis/apps/v1/namespaces/shop/{kind.lower()}s/{name}"]


def test_a_deployment_that_the_controller_has_not_seen_yet_is_not_healthy(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    with api.changing(found) as mine:
        del mine["status"]["observedGeneration"]  # as right after it was created
    api.controller.asleep = True
    workload = resolve(cluster, found)
    assert (workload.healthy, workload.why) == (False, "its controller has not seen the newest change yet")


def test_a_missing_replica_makes_it_unhealthy_and_is_counted(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(replicas=3))
    with api.changing(found) as mine:
        mine["status"] |= {"readyReplicas": 2, "availableReplicas": 2}
    workload = resolve(cluster, found)
    assert (workload.replicas, workload.ready, workload.healthy) == (3, 2, False)
    assert workload.why == "2 of 3 updated replicas are available"


def test_a_namespace_that_is_not_configured_is_not_even_asked_for(api: KubernetesApi, cluster: Cluster) -> None:
    api.add(deployment("cart", namespace="other"))
    with pytest.raises(Refusal) as refused:
        run(cluster.resolve(kubernetes_selector("Deployment", "cart", scope="other")))
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED
    assert api.requests == []


def test_a_kubeconfig_that_is_not_there_says_so(tmp_path: Path) -> None:
    cluster = Cluster(platforms.Kubernetes(kubeconfig=tmp_path / "nothing", namespaces=("shop",)))
    with pytest.raises(Permanent, match=r"kubernetes default: kubeconfig .*/nothing: "):
        run(cluster.resolve(kubernetes_selector("Deployment", "cart")))


def test_a_kubeconfig_that_is_no_kubeconfig_says_so(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    for content in ("{", "[]", "hello"):
        kubeconfig.write_text(content)
        cluster = Cluster(platforms.Kubernetes(kubeconfig=kubeconfig, namespaces=("shop",)))
        with pytest.raises(Permanent, match="kubernetes default: kubeconfig"):
            run(cluster.resolve(kubernetes_selector("Deployment", "cart")))


def test_outside_a_cluster_and_without_a_context_it_says_so() -> None:
    with pytest.raises(Permanent, match="kubernetes default: in-cluster: "):
        run(Cluster(platforms.Kubernetes(namespaces=("shop",))).resolve(kubernetes_selector("Deployment", "cart")))


# ── restart ──


@EVERY_KIND
def test_a_restart_rolls_every_pod_with_one_change(api: KubernetesApi, tmp_path: Path, make: Make) -> None:
    found = api.add(make())
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    config = platforms.Kubernetes(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"), namespaces=("shop",))
    cluster = Cluster(config, clock=lambda: noon)
    result = run(cluster.restart(resolve(cluster, found), within=WITHIN))

    [change] = api.changes
    assert change.content_type == "application/strategic-merge-patch+json"
    assert change.body["metadata"]["uid"] == found["metadata"]["uid"]
    assert change.body["metadata"]["resourceVersion"]
    after = api.get(found)
    assert after["spec"]["template"]["metadata"]["annotations"] == {RESTARTED_AT: "2026-03-02T12:00:00+00:00"}
    assert after["spec"]["template"]["spec"] == found["spec"]["template"]["spec"]
    assert result["before"]["restarted_at"] == ""
    assert result["after"]["restarted_at"] == "2026-03-02T12:00:00+00:00"
    assert (result["before"]["generation"], result["after"]["generation"]) == (1, 2)
    assert resolve(cluster, found).healthy


def test_a_paused_deployment_is_refused_because_nothing_would_roll(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(paused=True))
    with pytest.raises(Permanent, match="paused"):
        run(cluster.restart(resolve(cluster, found), within=WITHIN))
    assert api.changes == []


@pytest.mark.parametrize("make", [stateful_set, daemon_set])
def test_a_workload_updated_on_delete_is_refused_because_nothing_would_roll(
    api: KubernetesApi, cluster: Cluster, make: Make
) -> None:
    found = api.add(make(updateStrategy={"type": "OnDelete"}))
    with pytest.raises(Permanent, match="OnDelete"):
        run(cluster.restart(resolve(cluster, found), within=WITHIN))
    assert api.changes == []


def test_a_workload_without_replicas_has_nothing_to_restart(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(replicas=0))
    with pytest.raises(Permanent, match="no replicas"):
        run(cluster.restart(resolve(cluster, found), within=WITHIN))
    assert api.changes == []


def test_a_rollout_that_hangs_is_given_up_on_in_time_and_says_how_far_it_got(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment(replicas=3))
    api.controller.stuck = True
    with pytest.raises(Permanent, match="1 of 3 replicas are updated"):
        run(cluster.restart(resolve(cluster, found), within=BRIEFLY))


def test_a_controller_that_sleeps_is_not_taken_for_a_rollout_that_is_done(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    api.controller.asleep = True
    with pytest.raises(Permanent, match="has not seen the newest change"):
        run(cluster.restart(resolve(cluster, found), within=BRIEFLY))


def test_a_rollout_past_its_progress_deadline_fails_without_waiting_longer(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment())
    api.controller.stuck = api.controller.gives_up = True
    with pytest.raises(Permanent, match="exceeded its progress deadline: ReplicaSet has timed out"):
        run(cluster.restart(resolve(cluster, found), within=timedelta(hours=1)))


def test_what_somebody_changes_in_the_same_moment_is_left_to_them_and_may_be_tried_again(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment())
    workload = resolve(cluster, found)
    api.turn_away("PATCH", status=409, reason="Conflict")
    with pytest.raises(Temporary, match="nothing was done"):
        run(cluster.restart(workload, within=WITHIN))
    assert api.get(found)["spec"] == found["spec"]


# ── scale ──


@pytest.mark.parametrize("make", [deployment, stateful_set])
@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 1), (0, 2), (2, 0)])
def test_scaling_goes_through_the_scale_subresource(
    api: KubernetesApi, cluster: Cluster, make: Make, before: int, after: int
) -> None:
    found = api.add(make(replicas=before))
    result = run(cluster.scale(resolve(cluster, found), after, within=WITHIN))
    [change] = api.changes
    assert (change.method, change.path.rpartition("/")[2]) == ("PUT", "scale")
    assert change.body["metadata"]["uid"] == found["metadata"]["uid"]
    assert (result["before"]["replicas"], result["after"]["replicas"]) == (before, after)
    assert result["after"]["ready"] == after
    assert result["by"] == f"its scale, from {before} to {after}"


def test_scaling_waits_until_the_new_replicas_are_ready(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(replicas=2))
    api.controller.stuck = True
    with pytest.raises(Permanent, match="2 replicas are ready, 4 were asked for"):
        run(cluster.scale(resolve(cluster, found), 4, within=BRIEFLY))


def test_a_scale_changed_between_reading_and_writing_is_not_overwritten(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(replicas=2))
    workload = resolve(cluster, found)

    def somebody_scales() -> None:
        with api.changing(found) as theirs:
            theirs["spec"]["replicas"] = 9

    api.meanwhile("PUT", somebody_scales)
    with pytest.raises(Temporary, match="the object has been modified"):
        run(cluster.scale(workload, 4, within=WITHIN))
    assert api.get(found)["spec"]["replicas"] == 9


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_workload_replaced_between_reading_and_writing_is_left_alone(
    api: KubernetesApi, cluster: Cluster, method: str
) -> None:
    found = api.add(deployment(replicas=2))
    workload = resolve(cluster, found)

    def somebody_replaces() -> None:
        api.remove(found)
        api.add(deployment(replicas=2))

    api.meanwhile(method, somebody_replaces)
    act = partial(cluster.scale, workload, 4) if method == "PUT" else partial(cluster.restart, workload)
    with pytest.raises(Temporary, match="nothing was done"):
        run(act(within=WITHIN))
    assert api.get(found)["metadata"]["generation"] == 1


def test_a_daemon_set_cannot_be_scaled(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(daemon_set())
    with pytest.raises(Permanent, match="one pod for each node"):
        run(cluster.scale(resolve(cluster, found), 5, within=WITHIN))
    assert api.changes == []


def test_an_autoscaler_gets_a_higher_minimum_instead(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(replicas=2))
    scaler = api.add(autoscaler(found, least=2, most=6))
    result = run(cluster.scale(resolve(cluster, found), 4, within=WITHIN))
    [change] = api.changes
    assert (change.method, change.body["spec"]) == ("PATCH", {"minReplicas": 4})
    assert api.get(scaler)["spec"] == {**scaler["spec"], "minReplicas": 4}
    assert api.get(found)["spec"]["replicas"] == 4
    assert result["by"] == "minReplicas of HorizontalPodAutoscaler cart, from 2 to 4"


def test_an_autoscaler_that_wants_more_than_was_asked_for_is_done_with_more(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment(replicas=5))
    api.add(autoscaler(found, least=1, most=6))
    result = run(cluster.scale(resolve(cluster, found), 5, within=WITHIN))
    assert result["after"]["replicas"] == 5


@pytest.mark.parametrize(("replicas", "why"), [(7, "allows 6 at most, not 7"), (2, "only it may lower them to 2")])
def test_an_autoscaler_is_never_overruled(api: KubernetesApi, cluster: Cluster, replicas: int, why: str) -> None:
    found = api.add(deployment(replicas=3))
    api.add(autoscaler(found, least=2, most=6))
    with pytest.raises(Permanent, match=why):
        run(cluster.scale(resolve(cluster, found), replicas, within=WITHIN))
    assert api.changes == []


def test_two_autoscalers_on_one_workload_are_refused(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment(replicas=3))
    api.add(autoscaler(found, name="one"))
    api.add(autoscaler(found, name="two"))
    with pytest.raises(Permanent, match="several HorizontalPodAutoscalers: one, two"):
        run(cluster.scale(resolve(cluster, found), 4, within=WITHIN))
    assert api.changes == []


def test_the_autoscaler_of_another_workload_is_left_alone(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment("cart", replicas=2))
    api.add(autoscaler(api.add(stateful_set("cart")), name="of-the-other"))
    run(cluster.scale(resolve(cluster, found), 3, within=WITHIN))
    assert [change.method for change in api.changes] == ["PUT"]


# ── a server that does not just say yes ──


def test_a_server_that_asks_to_wait_is_waited_for(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    workload = resolve(cluster, found)
    for method, ask in (
        ("GET", lambda: cluster.resolve(workload.selector)),
        ("PATCH", lambda: cluster.restart(workload, within=WITHIN)),
        ("PUT", lambda: cluster.scale(workload, 5, within=WITHIN)),
    ):
        api.turn_away(method, after="7")
        with pytest.raises(Temporary) as refused:
            run(ask())
        assert refused.value.delay == 7
    assert api.get(found)["spec"] == found["spec"]


def test_the_client_repeats_nothing_by_itself(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    workload = resolve(cluster, found)
    asked_before = len(api.requests)
    api.turn_away("GET", after="1")
    with pytest.raises(Temporary):
        run(cluster.resolve(workload.selector))
    api.drop_answer("GET")
    with pytest.raises(Temporary):
        run(cluster.resolve(workload.selector))
    assert len(api.requests) == asked_before + 2


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_server_in_trouble_is_temporary_to_ask_and_uncertain_to_change(
    api: KubernetesApi, cluster: Cluster, status: int
) -> None:
    workload = resolve(cluster, api.add(deployment()))
    api.turn_away("GET", status=status, reason="InternalError")
    with pytest.raises(Temporary):
        run(cluster.resolve(workload.selector))
    api.turn_away("PATCH", status=status, reason="InternalError")
    with pytest.raises(Uncertain):
        run(cluster.restart(workload, within=WITHIN))


def test_a_change_that_was_made_though_its_answer_was_lost_is_uncertain_and_made_once(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment(replicas=2))
    workload = resolve(cluster, found)
    api.drop_answer("PUT")
    with pytest.raises(Uncertain):
        run(cluster.scale(workload, 4, within=WITHIN))
    assert api.get(found)["spec"]["replicas"] == 4
    assert len(api.changes) == 1


@pytest.mark.parametrize("status", [400, 401, 405, 422])
def test_a_plain_no_is_permanent_in_the_words_of_the_server(api: KubernetesApi, cluster: Cluster, status: int) -> None:
    workload = resolve(cluster, api.add(deployment()))
    api.turn_away("PATCH", status=status, reason="Invalid")
    with pytest.raises(Permanent, match="patch deployments: the server is busy"):
        run(cluster.restart(workload, within=WITHIN))


def test_a_workload_deleted_in_the_middle_of_its_rollout_is_permanent(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    workload = resolve(cluster, found)

    async def restart() -> None:
        api.controller.asleep = True
        acting = asyncio.create_task(cluster.restart(workload, within=WITHIN))
        await asyncio.to_thread(until, lambda: api.changes, every=0.001, why="the restart is sent")
        api.remove(found)
        await acting

    with pytest.raises(Permanent, match="deleted by somebody else"):
        run(restart())
