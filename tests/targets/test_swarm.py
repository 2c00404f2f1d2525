"""The services of a Swarm, on a real engine that manages one: which are meant, and what comes of a change."""

import re
from datetime import timedelta
from itertools import count
from typing import Any, Literal

import pytest
from docker.models.services import Service
from docker.types import ServiceMode, UpdateConfig

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.host import DockerHost
from receiver.workload import Workload
from tests.bed.docker_engine import DockerEngine
from tests.bed.processes import until
from tests.bed.proxy import Fault, Proxy
from tests.targets.conftest import ALLOWED, docker_selector, run, swarm_service

WITHIN = timedelta(seconds=60)
BRIEFLY = timedelta(seconds=2)

NAMES = (f"service-{number}" for number in count())
BROKEN = ("/bin/sh", "-c", "exit 3")
# Well the first time only: what it needs to know is kept in a volume.
ONCE = ("/bin/sh", "-c", "test ! -e /kept/used || exit 3; touch /kept/used; sleep 600")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.targets.docker.swarm.SETTLED", 0.2)
    monkeypatch.setattr("receiver.targets.docker.swarm.LOOK_EVERY", 0.05)


@pytest.fixture
def name() -> str:
    """Of a service that this test alone has."""
    return next(NAMES)


def resolve(host: DockerHost, name: str, kind: str = "service") -> Workload:
    return run(host.resolve(docker_selector(kind, name)))


def deploy(service: Service, **changes: Any) -> None:
    """Another specification, from whoever deploys; what is not said stays."""
    service.reload()
    service.update(mode=service.attrs["Spec"]["Mode"], labels=ALLOWED, **changes)  # type: ignore[no-untyped-call]


def image_of(engine: DockerEngine, tag: str) -> str:
    engine.client.images.get(engine.busybox).tag("shop/orders", tag)
    return f"shop/orders:{tag}"


# ── which one is meant ──


def test_a_service_is_found_by_its_whole_name_only(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    swarm_service(swarm, f"{name}-more", replicas=0)
    with pytest.raises(Refusal) as refused:
        resolve(host, name)
    assert refused.value.reason is Reason.NO_TARGET
    assert resolve(host, f"{name}-more").key == f"docker/local/service/{name}-more"


def test_a_service_must_be_allowed_by_its_own_labels(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    swarm_service(swarm, name, replicas=0, labels={"tier": "web"}, container_labels=ALLOWED)
    with pytest.raises(Refusal, match=r"deploy\.labels") as refused:
        resolve(host, name)
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED


def test_a_container_of_a_service_is_not_acted_on_by_itself(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    swarm_service(swarm, name, replicas=1, container_labels=ALLOWED)
    containers = [found.name for found in swarm.client.containers.list() if str(found.name).startswith(f"{name}.")]
    with pytest.raises(Refusal, match=f"belongs to the Swarm service {name}; act on that") as refused:
        resolve(host, str(containers[0]), "container")
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED


# ── how it is ──


def test_a_service_tells_what_it_wants_what_runs_and_why_not(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    service = swarm.service(*BROKEN, name=name, labels=ALLOWED)
    until(lambda: any(task["Status"].get("Err") for task in tasks(service)), why="the first task to fail")
    workload = resolve(host, name)
    assert (workload.replicas, workload.ready, workload.healthy) == (2, 0, False)
    assert "0 of 2 tasks run: task: non-zero exit (3)" in workload.why
    assert workload.version == swarm.busybox
    service.remove()  # type: ignore[no-untyped-call]


def tasks(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.tasks()  # type: ignore[no-untyped-call]
    return found


# ── restart, scale ──


def test_a_restart_makes_other_tasks_and_tells_of_both(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    before = swarm_service(swarm, name)
    olds = {task["ID"] for task in tasks(before)}
    result = run(host.restart(resolve(host, name), within=WITHIN))
    running = {task["ID"] for task in tasks(before) if task["DesiredState"] == "running"}
    assert len(running) == 2
    assert not running & olds
    assert result["before"]["image"] == result["after"]["image"] == swarm.busybox
    assert result["after"]["running"] == 2
    assert result["before"]["version"] < result["after"]["version"]


def test_a_restart_that_the_swarm_gives_up_on_tells_its_words(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str
) -> None:
    swarm_service(swarm, name, *ONCE, replicas=1, mounts=[f"{name}:/kept:rw"], update_config=watched(then="pause"))
    with pytest.raises(Permanent, match="its update is paused: update paused due to failure"):
        run(host.restart(resolve(host, name), within=WITHIN))
    workload = resolve(host, name)
    assert not workload.healthy
    assert "its update is paused" in workload.why
    sent = len(docker_proxy.changes)
    for verb in (host.restart(workload, within=WITHIN), host.scale(workload, 2, within=WITHIN)):
        with pytest.raises(Permanent, match="any other change would resume it"):
            run(verb)
    assert len(docker_proxy.changes) == sent


def watched(*, then: Literal["pause", "rollback"]) -> UpdateConfig:
    """For long enough to see that a task fails."""
    return UpdateConfig(parallelism=0, failure_action=then, monitor=2_000_000_000)


def test_what_the_swarm_itself_rolls_back_has_failed(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    swarm_service(swarm, name, *ONCE, replicas=1, mounts=[f"{name}:/kept:rw"], update_config=watched(then="rollback"))
    with pytest.raises(Permanent, match="failed with the change, and the Swarm rolls it back"):
        run(host.restart(resolve(host, name), within=WITHIN))


def test_what_does_not_come_up_in_time_is_given_up_on_with_its_error(
    swarm: DockerEngine, host: DockerHost, name: str
) -> None:
    swarm_service(swarm, name, *ONCE, replicas=1, mounts=[f"{name}:/kept:rw"])
    with pytest.raises(Permanent, match=r"1 of 2 tasks run: task: non-zero exit \(3\), and was given up on"):
        run(host.scale(resolve(host, name), 2, within=BRIEFLY))


def test_nothing_is_restarted_where_nothing_is_wanted(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    swarm_service(swarm, name, replicas=0)
    with pytest.raises(Permanent, match="nothing to restart"):
        run(host.restart(resolve(host, name), within=WITHIN))


def test_a_global_service_restarts_and_is_not_scaled(swarm: DockerEngine, host: DockerHost, name: str) -> None:
    swarm_service(swarm, name, mode=ServiceMode("global"), replicas=1)
    workload = resolve(host, name)
    assert (workload.replicas, workload.ready, workload.healthy) == (1, 1, True)
    assert run(host.restart(workload, within=WITHIN))["after"]["running"] == 1
    with pytest.raises(Permanent, match="mode global"):
        run(host.scale(resolve(host, name), 2, within=WITHIN))


def test_another_change_in_between_is_temporary_and_nothing_was_done(
    swarm: DockerEngine, host: DockerHost, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = swarm_service(swarm, name, replicas=1)
    workload = resolve(host, name)
    update = Engine.update_service

    async def late(*arguments: Any, **how: Any) -> None:
        deploy(service, env=["COLOUR=blue"])
        await update(*arguments, **how)

    monkeypatch.setattr(Engine, "update_service", late)
    with pytest.raises(Temporary, match="has just been changed"):
        run(host.restart(workload, within=WITHIN))
    service.reload()
    assert service.attrs["Spec"]["TaskTemplate"]["ForceUpdate"] == 0


def test_a_service_that_was_deployed_anew_since_it_was_looked_up_is_left_alone(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str
) -> None:
    service = swarm_service(swarm, name, replicas=1)
    workload = resolve(host, name)
    deploy(service, image=image_of(swarm, "2.0"))
    with pytest.raises(Permanent, match=r"deployed anew since it was looked up: .* now it runs shop/orders:2\.0"):
        run(host.rollback(workload, to=None, within=WITHIN))
    assert docker_proxy.changes == []


# ── rollback ──


def test_a_service_goes_back_to_what_ran_before_and_no_further(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str
) -> None:
    service = swarm_service(swarm, name, replicas=1, image=image_of(swarm, "1.0"))
    with pytest.raises(Permanent, match="has no previous specification"):
        run(host.rollback(resolve(host, name), to=None, within=WITHIN))
    deploy(service, image=image_of(swarm, "1.1"))
    result = run(host.rollback(resolve(host, name), to=None, within=WITHIN))
    assert (result["before"]["image"], result["after"]["image"]) == ("shop/orders:1.1", "shop/orders:1.0")
    after = resolve(host, name)
    assert (after.version, after.healthy) == ("shop/orders:1.0", True)
    with pytest.raises(Permanent, match="has been rolled back already"):
        run(host.rollback(after, to=None, within=WITHIN))
    assert len(docker_proxy.changes) == 1


def test_a_deployment_that_the_swarm_has_paused_is_rolled_back(
    swarm: DockerEngine, host: DockerHost, name: str
) -> None:
    service = swarm_service(swarm, name, replicas=1, image=image_of(swarm, "1.0"))
    deploy(service, image=image_of(swarm, "1.1"), command=list(BROKEN), update_config=watched(then="pause"))
    until(lambda: "its update is paused" in resolve(host, name).why, why="the Swarm to give up on 1.1")
    assert run(host.rollback(resolve(host, name), to=None, within=WITHIN))["after"]["image"] == "shop/orders:1.0"
    assert resolve(host, name).healthy


def test_a_rollback_after_a_restart_would_bring_back_nothing_and_is_refused(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str
) -> None:
    service = swarm_service(swarm, name, replicas=1, image=image_of(swarm, "1.0"))
    deploy(service, image=image_of(swarm, "1.1"))
    run(host.restart(resolve(host, name), within=WITHIN))
    with pytest.raises(Permanent, match="was restarted or scaled since it was deployed"):
        run(host.rollback(resolve(host, name), to=None, within=WITHIN))
    assert len(docker_proxy.changes) == 1


def test_where_a_rollback_leads_is_told_beforehand_and_held_to(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str
) -> None:
    service = swarm_service(swarm, name, replicas=1, image=image_of(swarm, "1.0"))
    deploy(service, image=image_of(swarm, "1.1"))
    workload = resolve(host, name)
    way = run(host.way_back(workload, to=None))
    assert re.fullmatch(r"shop/orders:1\.0 \(.*\) in place of shop/orders:1\.1 \(.*\)", way)
    deploy(service, env=["FEATURE=off"])  # by somebody, who mends it without another image
    with pytest.raises(Permanent, match=r"it was to go to shop/orders:1\.0"):
        run(host.rollback(workload, to=None, within=WITHIN, foreseen=way))
    assert docker_proxy.changes == []


def test_a_service_goes_to_no_image_of_choice(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str
) -> None:
    swarm_service(swarm, name, replicas=0)
    with pytest.raises(Permanent, match="previous specification alone"):
        run(host.rollback(resolve(host, name), to="shop/orders:1.0", within=WITHIN))
    assert docker_proxy.changes == []


@pytest.mark.parametrize("how", [{"replicas": 2}, {"to": None}], ids=["scale", "rollback"])
def test_a_change_whose_answer_is_lost_is_uncertain_and_sent_once(
    swarm: DockerEngine, host: DockerHost, docker_proxy: Proxy, name: str, how: dict[str, Any]
) -> None:
    service = swarm_service(swarm, name, replicas=1)
    deploy(service, image=image_of(swarm, "1.1"))
    workload = resolve(host, name)
    docker_proxy.fail(Fault.DROP, "POST")
    with pytest.raises(Uncertain):
        run((host.scale if "replicas" in how else host.rollback)(workload, **how, within=WITHIN))
    assert len(docker_proxy.changes) == 1
