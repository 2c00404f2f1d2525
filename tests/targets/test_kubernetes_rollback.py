"""Going back on Kubernetes: which revision, by which patch, and since when a workload is what it is."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.settings import platforms
from receiver.targets.kubernetes.cluster import Cluster
from receiver.targets.kubernetes.revisions import CAUSE, NUMBER, RESTARTED_AT, labels
from receiver.targets.kubernetes.view import summary
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import daemon_set, deployment, stateful_set
from tests.bed.proxy import Fault, Proxy
from tests.targets.conftest import EVERY_KIND, Make, resolve, run

WITHIN = timedelta(seconds=60)
BRIEFLY = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.targets.kubernetes.cluster.LOOK_EVERY", 0.01)


def deploy(api: KubernetesApi, found: dict[str, Any], *images: str) -> None:
    """One an hour."""
    for image in images:
        api.store.now += HOUR
        api.deploy(found, image)


def image(api: KubernetesApi, found: dict[str, Any]) -> str:
    return str(api.get(found)["spec"]["template"]["spec"]["containers"][0]["image"])


# ── where to ──


@EVERY_KIND
def test_a_rollback_restores_the_template_before_the_last_deployment(
    api: KubernetesApi, cluster: Cluster, make: Make
) -> None:
    found = api.add(make())
    name = found["metadata"]["name"]
    with api.changing(found) as mine:  # adds a container, a variable and a label, and changes the image
        template = mine["spec"]["template"]
        template["metadata"]["labels"]["added"] = "yes"
        container = template["spec"]["containers"][0]
        container |= {"image": "shop/broken:2.0", "env": [*container["env"], {"name": "ADDED", "value": "yes"}]}
        template["spec"]["containers"].append({**container, "name": "added"})
    api.settle(found)

    result = run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert api.get(found)["spec"]["template"] == found["spec"]["template"]
    [change] = api.changes
    assert change.content_type == "application/json-patch+json"
    assert [(each["op"], each["path"]) for each in change.body[:3]] == [
        ("test", "/metadata/uid"),
        ("test", "/metadata/resourceVersion"),
        ("replace", "/spec/template"),
    ]
    assert result["before"]["images"] == "shop/broken:2.0, shop/broken:2.0"
    assert result["after"]["images"] == f"shop/{name}:1.0"
    assert (result["back_to"]["revision"], result["back_to"]["images"]) == ("1", f"shop/{name}:1.0")
    assert resolve(cluster, found).healthy


@EVERY_KIND
def test_a_revision_can_be_named(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make())
    deploy(api, found, "shop/x:2", "shop/x:3")
    run(cluster.rollback(resolve(cluster, found), to="1", within=WITHIN))
    assert image(api, found) == f"shop/{found['metadata']['name']}:1.0"


@EVERY_KIND
def test_a_restart_is_nothing_to_go_back_to(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make())
    deploy(api, found, "shop/x:2")
    run(cluster.restart(resolve(cluster, found), within=WITHIN))
    run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert image(api, found) == f"shop/{found['metadata']['name']}:1.0"


@EVERY_KIND
def test_a_second_rollback_does_not_bring_back_what_the_first_one_left(
    api: KubernetesApi, cluster: Cluster, make: Make
) -> None:
    found = api.add(make())
    deploy(api, found, "shop/x:2", "shop/broken:3")
    run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert image(api, found) == "shop/x:2"
    run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert image(api, found) == f"shop/{found['metadata']['name']}:1.0"
    with pytest.raises(Permanent, match="revisions 3, 4 came after what runs now; name the one to go to"):
        run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))


@EVERY_KIND
def test_without_a_past_there_is_nothing_to_go_back_to(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make())
    with pytest.raises(Permanent, match=f"{found['metadata']['name']} cannot be rolled back: there is nothing to go"):
        run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    with pytest.raises(Permanent, match="revision 1 is what runs now"):
        run(cluster.rollback(resolve(cluster, found), to="1", within=WITHIN))
    for unknown in ("7", "01", "-1", "x\n"):
        with pytest.raises(Permanent, match=r"there is no revision '.*'; it has revision 1") as refused:
            run(cluster.rollback(resolve(cluster, found), to=unknown, within=WITHIN))
        assert str(refused.value).isprintable()
    assert api.changes == []


def test_a_revision_whose_number_is_none_is_left_out(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    first = min(api.all("ReplicaSet"), key=lambda each: str(each["metadata"]["annotations"][NUMBER]))
    with api.changing(first) as mine:
        mine["metadata"]["annotations"][NUMBER] = "²"
    with pytest.raises(Permanent, match="nothing to go back to"):
        run(cluster.way_back(resolve(cluster, found), to=None))


@EVERY_KIND
def test_a_template_whose_metadata_is_left_out_is_told_as_any_other(make: Make) -> None:
    found = make()
    found["metadata"]["generation"] = 1
    del found["spec"]["template"]["metadata"]
    assert summary(found)["restarted_at"] == ""


def test_the_history_of_another_workload_is_not_its_own(api: KubernetesApi, cluster: Cluster) -> None:
    first = api.add(deployment())
    deploy(api, first, "shop/x:2")
    api.remove(first)
    found = api.add(deployment())  # the ReplicaSets of the first one still have its labels
    with pytest.raises(Permanent, match="nothing to go back to"):
        run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))


def test_a_template_that_its_controller_has_not_seen_yet_is_taken_back_to_the_newest_revision(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)
    api.controller.asleep = True
    with api.changing(found) as mine:
        mine["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/broken:3"
    with pytest.raises(Permanent, match="has not seen the newest change"):
        run(cluster.rollback(workload, to=None, within=BRIEFLY))
    assert image(api, found) == "shop/x:2"


def test_what_is_written_down_about_a_revision_comes_back_with_it(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    with api.changing(found) as mine:
        mine["metadata"]["annotations"][CAUSE] = "the second"
    deploy(api, found, "shop/x:2")
    with api.changing(found) as mine:
        mine["metadata"]["annotations"][CAUSE] = "the third"
    deploy(api, found, "shop/x:3")
    result = run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert api.get(found)["metadata"]["annotations"][CAUSE] == result["back_to"]["cause"] == "the second"
    run(cluster.rollback(resolve(cluster, found), to="1", within=WITHIN))
    assert CAUSE not in api.get(found)["metadata"]["annotations"]


def test_a_selector_with_expressions_is_one_in_a_query() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["web", "api"]},
        {"key": "track", "operator": "NotIn", "values": ["canary"]},
        {"key": "team", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    found = {"spec": {"selector": {"matchLabels": {"app": "cart"}, "matchExpressions": expressions}}}
    assert labels(found) == "app=cart,tier in (web,api),track notin (canary),team,!old"


# ── what is refused, and what goes wrong ──


def test_a_paused_deployment_is_not_rolled_back(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    with api.changing(found) as mine:
        mine["spec"]["paused"] = True
    with pytest.raises(Permanent, match="its rollout is paused; a rollback would be accepted and roll nothing"):
        run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert api.changes == []


@pytest.mark.parametrize("make", [stateful_set, daemon_set])
def test_a_workload_updated_on_delete_is_not_rolled_back(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make(updateStrategy={"type": "OnDelete"}))
    with pytest.raises(Permanent, match="OnDelete"):
        run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert api.changes == []


def test_a_rollout_that_was_given_up_on_can_be_rolled_back(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    api.controller.stuck = api.controller.gives_up = True
    deploy(api, found, "shop/broken:2")
    workload = resolve(cluster, found)
    assert "exceeded its progress deadline" in workload.why
    api.meanwhile("PATCH", lambda: setattr(api.controller, "stuck", False))
    run(cluster.rollback(workload, to=None, within=WITHIN))
    assert resolve(cluster, found).healthy


def test_a_status_that_moves_meanwhile_holds_up_no_rollback(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)

    def a_pod_crashes() -> None:
        with api.changing(found) as theirs:
            theirs["status"]["readyReplicas"] -= 1

    api.meanwhile("PATCH", a_pod_crashes)
    run(cluster.rollback(workload, to=None, within=WITHIN))
    assert len(api.changes) > 1
    assert image(api, found) == "shop/cart:1.0"


def test_what_changes_at_the_same_moment_is_left_alone_and_may_be_tried_again(
    api: KubernetesApi, cluster: Cluster
) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)

    def somebody_deploys() -> None:
        api.deploy(found, "shop/x:3")

    api.meanwhile("PATCH", somebody_deploys)
    with pytest.raises(Temporary, match="changed at the same moment, and nothing was done"):
        run(cluster.rollback(workload, to=None, within=WITHIN))
    assert image(api, found) == "shop/x:3"


@EVERY_KIND
def test_where_it_leads_is_told_beforehand_and_held_to(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)
    way = run(cluster.way_back(workload, to=None))
    first = f"shop/{found['metadata']['name']}:1.0"
    assert way == f"revision 1 ({first}) in place of shop/x:2"
    run(cluster.restart(workload, within=WITHIN))
    assert run(cluster.way_back(workload, to=None)) == way, "a restart deploys nothing"

    deploy(api, found, "shop/x:3")  # by somebody, who mends what the alert is about
    sent = len(api.changes)
    with pytest.raises(Permanent, match=r"would go to .*place of shop/x:3 by now; it was to go to revision 1 \("):
        run(cluster.rollback(workload, to=None, within=WITHIN, foreseen=way))
    assert len(api.changes) == sent


def test_what_is_replaced_at_the_same_moment_is_left_alone(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)

    def somebody_replaces() -> None:
        api.remove(found)
        api.add(deployment())

    api.meanwhile("PATCH", somebody_replaces)
    with pytest.raises(Permanent, match="replaced since it was looked up"):
        run(cluster.rollback(workload, to=None, within=WITHIN))
    assert api.get(found)["metadata"]["generation"] == 1


def test_a_patch_that_the_server_finds_invalid_is_permanent_in_its_words(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(stateful_set())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)
    api.turn_away("PATCH", status=422, reason="Invalid")
    with pytest.raises(Permanent, match="patch statefulsets: the server is busy"):
        run(cluster.rollback(workload, to=None, within=WITHIN))


def test_a_rollback_whose_answer_is_lost_is_uncertain_and_sent_once(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    workload = resolve(cluster, found)
    api.drop_answer("PATCH")
    with pytest.raises(Uncertain):
        run(cluster.rollback(workload, to=None, within=WITHIN))
    assert len(api.changes) == 1
    assert image(api, found) == "shop/cart:1.0"


def test_silence_after_the_rollback_is_uncertain(api: KubernetesApi, tmp_path: Path) -> None:
    found = api.add(deployment())
    deploy(api, found, "shop/x:2")
    host, port = api.address.split(":")
    with Proxy((host, int(port))) as proxy:
        config = api.kubeconfig(tmp_path / "config", server=proxy.url)
        cluster = Cluster(platforms.Kubernetes(kubeconfig=config, namespaces=("shop",)))
        workload = resolve(cluster, found)
        api.meanwhile("PATCH", lambda: proxy.fail(Fault.STALL_BEFORE_ANSWER, "GET"))
        with pytest.raises(Uncertain, match="not seen to get ready"):
            run(cluster.rollback(workload, to=None, within=timedelta(seconds=3)))


@EVERY_KIND
def test_a_missing_right_to_look_at_the_history_is_named(api: KubernetesApi, cluster: Cluster, make: Make) -> None:
    found = api.add(make())
    workload = resolve(cluster, found)
    plural = f"{found['kind'].lower()}s"
    api.grant("shop", [{"apiGroups": ["apps"], "resources": [plural], "verbs": ["get", "patch"]}])
    kept_in = "replicasets" if make is deployment else "controllerrevisions"
    missing = rf'the right "list" on {kept_in} \(apps\) in namespace shop is missing'
    with pytest.raises(Permanent, match=missing):
        run(cluster.rollback(workload, to=None, within=WITHIN))
    with pytest.raises(Permanent, match=missing):
        run(cluster.rolled_out_at(workload))


# ── since when ──


def rolled_out(cluster: Cluster, found: dict[str, Any]) -> datetime | None:
    return run(cluster.rolled_out_at(resolve(cluster, found)))


@EVERY_KIND
def test_what_was_never_deployed_again_is_as_old_as_its_first_revision(
    api: KubernetesApi, cluster: Cluster, make: Make
) -> None:
    assert rolled_out(cluster, api.add(make())) == api.store.now


@EVERY_KIND
def test_a_deployment_counts_and_neither_a_restart_nor_a_rollback_does(
    api: KubernetesApi, cluster: Cluster, make: Make
) -> None:
    first = api.store.now
    found = api.add(make())
    deploy(api, found, "shop/x:2")
    second = api.store.now
    assert rolled_out(cluster, found) == second == first + HOUR

    api.store.now += HOUR
    run(cluster.restart(resolve(cluster, found), within=WITHIN))
    assert api.get(found)["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
    assert rolled_out(cluster, found) == second

    api.store.now += HOUR
    run(cluster.rollback(resolve(cluster, found), to=None, within=WITHIN))
    assert rolled_out(cluster, found) == first


def test_a_workload_whose_history_is_gone_tells_nothing(api: KubernetesApi, cluster: Cluster) -> None:
    found = api.add(deployment())
    for replica_set in api.all("ReplicaSet"):
        api.remove(replica_set)
    assert rolled_out(cluster, found) is None
