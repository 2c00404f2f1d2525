"""A Docker host, on a real engine: which containers are meant, how they restart, what one more is made of."""

import asyncio
import json
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from unittest.mock import Mock

import pytest
from docker.types import IPAMConfig, IPAMPool
from pydantic import ValidationError

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets import Containers
from receiver.targets.docker.container import Container
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.host import DockerHost
from receiver.targets.docker.running import grace
from receiver.targets.threads import Threads
from receiver.workload import Workload
from tests.bed.docker_engine import DockerEngine
from tests.bed.loopback import Loopback
from tests.bed.processes import free_port
from tests.bed.proxy import Fault, Proxy
from tests.targets.conftest import ALLOWED, compose_container, docker_selector, run

WITHIN = timedelta(seconds=90)
BRIEFLY = timedelta(seconds=3)
SECOND = 1_000_000_000

FIXED = free_port()
HEALTHY = {"test": ["CMD", "/bin/true"], "interval": SECOND // 4}
UNHEALTHY = {"test": ["CMD", "/bin/false"], "interval": SECOND // 4, "retries": 1}


@pytest.fixture
def network(docker_engine: DockerEngine) -> None:
    docker_engine.client.networks.create("shop_default")


def resolve(host: DockerHost, kind: str, name: str, *, scope: str | None = None) -> Workload:
    return run(host.resolve(docker_selector(kind, name, scope=scope)))


# ── which one is meant ──


def test_a_container_is_found_by_its_whole_name_only(docker_engine: DockerEngine, host: DockerHost) -> None:
    docker_engine.run(name="web-1", labels=ALLOWED)
    docker_engine.run(name="my-web-1", labels=ALLOWED)
    assert resolve(host, "container", "web-1").key == "docker/local/container/web-1"
    for part in ("web", "eb-1", "web.1", "my"):
        with pytest.raises(Refusal) as refused:
            resolve(host, "container", part)
        assert refused.value.reason is Reason.NO_TARGET


def test_a_container_of_a_compose_service_has_the_key_of_its_service(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    container = compose_container(docker_engine, 1)
    by_name = resolve(host, "container", "shop-orders-1")
    assert by_name.key == resolve(host, "compose", "orders", scope="shop").key == "docker/local/compose/shop/orders"
    assert by_name.uid == container.id


def test_a_one_off_container_belongs_to_no_service(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1)
    compose_container(docker_engine, 1, name="shop_orders_run_1", labels={"com.docker.compose.oneoff": "True"})
    assert resolve(host, "compose", "orders", scope="shop").replicas == 1
    assert resolve(host, "container", "shop_orders_run_1").key == "docker/local/container/shop_orders_run_1"


def test_a_service_of_another_project_is_not_meant(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1)
    with pytest.raises(Refusal) as refused:
        resolve(host, "compose", "orders", scope="shop2")
    assert refused.value.reason is Reason.NO_TARGET


def test_one_member_without_the_label_keeps_the_whole_service_from_being_touched(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    compose_container(docker_engine, 1)
    compose_container(docker_engine, 2, labels={"amend.enable": "no"})
    with pytest.raises(Refusal, match="shop-orders-2") as refused:
        resolve(host, "compose", "orders", scope="shop")
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        (("amend.enable=true",), True),
        (("amend.enable=true,tier=web",), True),
        (("amend.enable=true,tier=db",), False),
        (("tier=db", "tier=web"), True),
        (("tier=we",), False),
        (("tier=",), False),
        ((), False),
    ],
)
def test_the_allow_list_wants_every_label_of_one_entry(
    docker_engine: DockerEngine, allow: tuple[str, ...], allowed: bool
) -> None:
    docker_engine.run(name="web", labels={**ALLOWED, "tier": "web"})
    host = DockerHost(platforms.Docker(url=docker_engine.url, allow=allow))
    if allowed:
        assert resolve(host, "container", "web").healthy
        return
    with pytest.raises(Refusal) as refused:
        resolve(host, "container", "web")
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED


@pytest.mark.parametrize("entry", ["", "=", "tier", "tier=web,", ",tier=web", "=web", "amend enable=true"])
def test_an_entry_that_selects_no_label_is_refused_when_it_is_read(entry: str) -> None:
    with pytest.raises(ValidationError, match="selects no label; write KEY=VALUE"):
        platforms.Docker(allow=(entry,))


def test_two_containers_under_one_name_are_ambiguous() -> None:
    """As a proxy in front of several engines shows them."""
    with TwoEngines() as engines, pytest.raises(Refusal) as refused:
        resolve(DockerHost(platforms.Docker(url=engines.url)), "container", "web")
    assert refused.value.reason is Reason.AMBIGUOUS_TARGET


def test_an_engine_that_manages_no_swarm_has_no_service(docker_engine: DockerEngine, host: DockerHost) -> None:
    docker_engine.run(name="orders", labels=ALLOWED)
    with pytest.raises(Refusal, match="manages no Swarm") as refused:
        resolve(host, "service", "orders")
    assert refused.value.reason is Reason.NO_TARGET


# ── how it is ──


def test_health_comes_from_the_container_itself(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1, healthcheck=HEALTHY)
    compose_container(docker_engine, 2, healthcheck={**UNHEALTHY, "interval": 600 * SECOND})
    compose_container(docker_engine, 3).stop(timeout=0)
    workload = resolve(host, "compose", "orders", scope="shop")
    assert (workload.replicas, workload.healthy) == (3, False)
    assert "shop-orders-2 is running, its health is starting" in workload.why
    assert "shop-orders-3 has exited with code" in workload.why


def test_a_paused_container_is_not_ready(docker_engine: DockerEngine, host: DockerHost) -> None:
    docker_engine.run(name="web", labels=ALLOWED).pause()
    workload = resolve(host, "container", "web")
    assert (workload.ready, workload.why) == (0, "web is paused")
    docker_engine.client.containers.get("web").unpause()


# ── restart ──


def test_a_service_restarts_one_by_one_each_healthy_before_the_next(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    for place in (1, 2, 10):
        compose_container(docker_engine, place, healthcheck=HEALTHY)
    workload = resolve(host, "compose", "orders", scope="shop")
    result = run(host.restart(workload, within=WITHIN))
    names = [container["after"]["name"] for container in result["containers"]]
    assert names == ["shop-orders-1", "shop-orders-2", "shop-orders-10"]
    starts = [container["after"]["started_at"] for container in result["containers"]]
    assert starts == sorted(starts)
    for container in result["containers"]:
        assert container["before"]["started_at"] < container["after"]["started_at"]
        assert container["after"]["status"] == "running (healthy)"


def test_a_service_that_does_not_get_healthy_stops_the_restart_at_the_first(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    compose_container(docker_engine, 1, healthcheck=UNHEALTHY)
    compose_container(docker_engine, 2, healthcheck=UNHEALTHY)
    workload = resolve(host, "compose", "orders", scope="shop")
    with pytest.raises(Permanent, match="its health is unhealthy"):
        run(host.restart(workload, within=timedelta(seconds=8)))
    assert len(docker_proxy.changes) == 1


def test_a_container_that_ends_at_once_fails_without_waiting_for_it(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    docker_engine.run("/bin/sh", "-c", "exit 3", name="web", labels=ALLOWED)
    with pytest.raises(Permanent, match="exited with code 3"):
        run(host.restart(resolve(host, "container", "web"), within=timedelta(minutes=5)))


def test_a_container_that_keeps_crashing_does_not_count_as_running(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    crashing = {"Name": "always"}
    docker_engine.run("/bin/sh", "-c", "sleep 0.1; exit 1", name="web", labels=ALLOWED, restart_policy=crashing)
    with pytest.raises(Permanent, match="given up on"):
        run(host.restart(resolve(host, "container", "web"), within=BRIEFLY))


def test_a_stopped_container_is_started_by_a_restart(docker_engine: DockerEngine, host: DockerHost) -> None:
    docker_engine.run(name="web", labels=ALLOWED).stop(timeout=0)
    result = run(host.restart(resolve(host, "container", "web"), within=WITHIN))
    assert result["containers"][0]["before"]["status"] == "exited"
    assert result["containers"][0]["after"]["status"] == "running"


def test_a_container_that_ignores_the_wish_to_stop_is_killed_in_time(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    stubborn = ("/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    docker_engine.run(*stubborn, name="web", labels=ALLOWED, init=False)
    result = run(host.restart(resolve(host, "container", "web"), within=timedelta(seconds=12)))
    assert result["containers"][0]["after"]["status"] == "running"


def test_what_fails_after_a_first_restart_says_how_far_it_got(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    compose_container(docker_engine, 1)
    compose_container(docker_engine, 2, "/bin/sh", "-c", "exit 3")
    workload = resolve(host, "compose", "orders", scope="shop")
    with pytest.raises(Permanent, match=r"1 of 2 containers restarted, then: .* exited with code 3"):
        run(host.restart(workload, within=WITHIN))


def test_the_engine_says_no_in_its_own_words(docker_engine: DockerEngine, host: DockerHost) -> None:
    lost = docker_engine.client.networks.create("shop_lost")
    docker_engine.run(name="web", labels=ALLOWED, network="shop_lost").stop(timeout=0)
    lost.remove()
    with pytest.raises(Permanent, match=r"the engine answered [45]\d\d: .*network"):
        run(host.restart(resolve(host, "container", "web"), within=BRIEFLY))


# ── stop, start ──


def test_a_container_stops_and_stays_stopped_whatever_its_policy_and_starts_again(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    docker_engine.run(name="web", labels=ALLOWED, restart_policy={"Name": "always"})
    stopped = run(host.stop(resolve(host, "container", "web"), within=WITHIN))
    assert (stopped["before"]["status"], stopped["after"]["status"]) == ("running", "exited")
    workload = resolve(host, "container", "web")
    assert not workload.healthy
    with pytest.raises(Permanent, match="is stopped already: has exited with code"):
        run(host.stop(workload, within=WITHIN))
    started = run(host.start(workload, within=WITHIN))
    assert (started["before"]["status"], started["after"]["status"]) == ("exited", "running")
    with pytest.raises(Permanent, match="runs already"):
        run(host.start(resolve(host, "container", "web"), within=WITHIN))
    assert len(docker_proxy.changes) == 2


def test_a_container_is_not_killed_before_its_own_time_to_stop_is_over(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    docker_engine.run(name="web", labels=ALLOWED)
    with pytest.raises(Permanent, match="web may take 10s to stop; give the step a longer timeout"):
        run(host.stop(resolve(host, "container", "web"), within=timedelta(seconds=8)))
    assert docker_proxy.changes == []


@pytest.mark.parametrize(("own", "given"), [(None, 10), (0, 1), (40, 20), (-1, 20)])
def test_a_container_that_is_never_to_be_killed_has_all_the_time_that_there_is(own: int | None, given: int) -> None:
    async def asked() -> int:
        container = Container({"Config": {"StopTimeout": own}})
        return grace(container, Engine(Mock(), Threads("docker"), asyncio.get_running_loop().time() + 41))

    assert run(asked()) == given


def test_a_container_that_does_not_stay_up_has_not_started(docker_engine: DockerEngine, host: DockerHost) -> None:
    docker_engine.run("/bin/sh", "-c", "exit 3", name="web", labels=ALLOWED).wait()
    with pytest.raises(Permanent, match="exited with code 3"):
        run(host.start(resolve(host, "container", "web"), within=WITHIN))


def test_a_container_that_would_vanish_when_it_stops_is_not_stopped(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    docker_engine.run(name="web", labels=ALLOWED, auto_remove=True)
    with pytest.raises(Permanent, match="removed when it stops"):
        run(host.stop(resolve(host, "container", "web"), within=WITHIN))
    assert docker_proxy.changes == []


def test_another_container_of_the_name_is_neither_stopped_nor_started(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    first = docker_engine.run(name="web", labels=ALLOWED)
    workload = resolve(host, "container", "web")
    first.remove(force=True)
    docker_engine.run(name="web", labels=ALLOWED)
    for verb in (host.stop, host.start):
        with pytest.raises(Permanent, match="replaced since it was looked up"):
            run(verb(workload, within=WITHIN))
    assert docker_proxy.changes == []


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_a_stop_or_start_whose_answer_is_lost_is_uncertain_and_sent_once(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, verb: str
) -> None:
    container = docker_engine.run(name="web", labels=ALLOWED)
    if verb == "start":
        container.stop(timeout=0)
    workload = resolve(host, "container", "web")
    docker_proxy.fail(Fault.DROP, "POST")
    with pytest.raises(Uncertain):
        run((host.stop if verb == "stop" else host.start)(workload, within=WITHIN))
    assert len(docker_proxy.changes) == 1


def test_only_a_container_is_stopped_and_started(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1)
    workload = resolve(host, "compose", "orders", scope="shop")
    for verb in (host.stop, host.start):
        with pytest.raises(Permanent, match="only a container"):
            run(verb(workload, within=WITHIN))


def test_a_docker_host_has_containers(host: DockerHost) -> None:
    assert isinstance(host, Containers)


# ── scale ──


@pytest.mark.usefixtures("network")
def test_one_more_container_is_like_the_others(docker_engine: DockerEngine, host: DockerHost) -> None:
    back = docker_engine.client.networks.create("shop_back")
    options: dict[str, Any] = {
        "environment": {"COLOUR": "blue"},
        "healthcheck": HEALTHY,
        "restart_policy": {"Name": "unless-stopped"},
        "mem_limit": "64m",
        "volumes": {"shared": {"bind": "/shared", "mode": "rw"}},
    }
    model = compose_container(docker_engine, 1, network="shop_default", **options)
    back.connect(model, aliases=["orders", "shop-orders-1"])
    run(host.scale(resolve(host, "compose", "orders", scope="shop"), 2, within=WITHIN))

    model.reload()
    copy = docker_engine.client.containers.get("shop-orders-2")
    assert copy.attrs["Image"] == model.attrs["Image"]
    assert copy.labels == {**model.labels, "com.docker.compose.container-number": "2"}
    for part in ("Env", "Cmd", "Healthcheck"):
        assert copy.attrs["Config"][part] == model.attrs["Config"][part]
    for part in ("RestartPolicy", "Memory", "Binds"):
        assert copy.attrs["HostConfig"][part] == model.attrs["HostConfig"][part]
    assert copy.attrs["Config"]["Hostname"] == copy.attrs["Id"][:12]
    networks = copy.attrs["NetworkSettings"]["Networks"]
    assert set(networks) == {"shop_default", "shop_back"}
    assert {"orders", "shop-orders-2"} <= set(networks["shop_back"]["Aliases"])
    assert "shop-orders-1" not in networks["shop_back"]["Aliases"]
    copy.remove(force=True)
    model.remove(force=True)
    docker_engine.client.volumes.get("shared").remove()


def test_one_more_container_gets_an_anonymous_volume_of_its_own(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1, volumes=["/data"])
    run(host.scale(resolve(host, "compose", "orders", scope="shop"), 3, within=WITHIN))
    containers = docker_engine.client.containers.list()
    assert len({container.attrs["Mounts"][0]["Name"] for container in containers}) == 3


def test_one_more_container_has_the_image_that_the_others_run_though_its_tag_has_moved_on(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    image = docker_engine.client.images.get(docker_engine.busybox)
    image.tag("shop/orders", "live")
    model = compose_container(docker_engine, 1, image="shop/orders:live")
    newer = model.commit("shop/orders", "live")
    before = resolve(host, "compose", "orders", scope="shop")
    run(host.scale(before, 2, within=WITHIN))
    assert docker_engine.client.containers.get("shop-orders-2").attrs["Image"] == image.id != newer.id
    assert resolve(host, "compose", "orders", scope="shop").version == before.version


def test_names_are_numbered_as_older_compose_did_where_it_made_them(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    compose_container(docker_engine, 1, name="shop_orders_1")
    compose_container(docker_engine, 4, name="shop_orders_4")
    result = run(host.scale(resolve(host, "compose", "orders", scope="shop"), 3, within=WITHIN))
    assert result["after"] == {"replicas": 3, "containers": ["shop_orders_1", "shop_orders_4", "shop_orders_5"]}


def test_scaling_down_takes_the_highest_numbers(docker_engine: DockerEngine, host: DockerHost) -> None:
    for place in (1, 2, 10):
        compose_container(docker_engine, place)
    result = run(host.scale(resolve(host, "compose", "orders", scope="shop"), 1, within=WITHIN))
    assert result == {
        "before": {"replicas": 3, "containers": ["shop-orders-1", "shop-orders-2", "shop-orders-10"]},
        "after": {"replicas": 1, "containers": ["shop-orders-1"]},
    }
    assert [container.name for container in docker_engine.client.containers.list(all=True)] == ["shop-orders-1"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(
            {"ports": {"80/tcp": ("127.0.0.1", FIXED)}, "network": "shop_default"},
            f"fixed host port {FIXED}",
            id="fixed host port",  # tests must be called the same in every process that runs some of them
        ),
        ({"network_mode": "host"}, "no network of its own"),
        ({"name": "the-shop"}, "a name of its own"),
    ],
)
@pytest.mark.usefixtures("network")
def test_a_service_of_which_a_second_one_would_collide_is_refused_before_anything_is_sent(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, options: dict[str, Any], why: str
) -> None:
    compose_container(docker_engine, 1, **options)
    workload = resolve(host, "compose", "orders", scope="shop")
    with pytest.raises(Permanent, match=why):
        run(host.scale(workload, 2, within=WITHIN))
    assert docker_proxy.changes == []


@pytest.mark.usefixtures("network")
def test_a_port_that_the_engine_chooses_does_not_collide(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1, network="shop_default", ports={"80/tcp": ("127.0.0.1", 0)})
    run(host.scale(resolve(host, "compose", "orders", scope="shop"), 2, within=WITHIN))
    assert resolve(host, "compose", "orders", scope="shop").ready == 2


@pytest.mark.usefixtures("network")
def test_a_fixed_address_collides(docker_engine: DockerEngine, host: DockerHost) -> None:
    container = compose_container(docker_engine, 1, network="shop_default")
    subnet = docker_engine.client.networks.create("shop_fixed", ipam=_subnet("10.251.7.0/24"))
    subnet.connect(container, ipv4_address="10.251.7.9")
    with pytest.raises(Permanent, match="fixed address in the network shop_fixed"):
        run(host.scale(resolve(host, "compose", "orders", scope="shop"), 2, within=WITHIN))


@pytest.mark.usefixtures("network")
def test_a_container_that_cannot_start_is_taken_away_again(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1, network="shop_default")
    gone = docker_engine.client.networks.create("shop_gone")
    gone.connect("shop-orders-1")
    workload = resolve(host, "compose", "orders", scope="shop")
    docker_engine.client.containers.get("shop-orders-1").stop(timeout=0)
    gone.remove()
    with pytest.raises(Permanent, match=r"shop_gone|network"):
        run(host.scale(workload, 2, within=WITHIN))
    assert [container.name for container in docker_engine.client.containers.list(all=True)] == ["shop-orders-1"]


def test_a_service_is_never_scaled_to_nothing_and_a_single_container_never_at_all(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    compose_container(docker_engine, 1)
    with pytest.raises(Permanent, match="no container would be left"):
        run(host.scale(resolve(host, "compose", "orders", scope="shop"), 0, within=WITHIN))
    with pytest.raises(Permanent, match="only a service"):
        run(host.scale(resolve(host, "container", "shop-orders-1"), 2, within=WITHIN))
    assert docker_proxy.changes == []


@pytest.mark.parametrize("replicas", [1, 3])
def test_scaling_whose_answer_is_lost_is_uncertain_and_goes_no_further(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, replicas: int
) -> None:
    compose_container(docker_engine, 1)
    compose_container(docker_engine, 2)
    workload = resolve(host, "compose", "orders", scope="shop")
    docker_proxy.fail(Fault.DROP, "POST", "DELETE")
    with pytest.raises(Uncertain):
        run(host.scale(workload, replicas, within=WITHIN))
    assert len(docker_proxy.changes) == 1


def test_an_engine_in_trouble_while_looking_is_temporary() -> None:
    with Failing() as engine, pytest.raises(Temporary, match="engine answered 500: layer store is busy"):
        resolve(DockerHost(platforms.Docker(url=engine.url)), "container", "web")


class TwoEngines(Loopback):
    """The listing of several engines as one."""

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        if request.path == "/version":
            _answer(request, {"ApiVersion": "1.41"})
        elif "/containers/json" in request.path:
            _answer(request, [{"Id": each * 64, "Names": ["/web"], "Labels": ALLOWED} for each in "ab"])
        else:
            each = request.path.split("/")[3]
            _answer(request, {"Id": each, "Name": "/web", "Config": {"Labels": ALLOWED}, "State": {}, "HostConfig": {}})


class Failing(Loopback):
    """An engine whose disk is in the way."""

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        if request.path == "/version":
            _answer(request, {"ApiVersion": "1.41"})
        else:
            _answer(request, {"message": "layer store is busy"}, status=500)


def _answer(request: BaseHTTPRequestHandler, content: Any, *, status: int = 200) -> None:
    body = json.dumps(content).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _subnet(subnet: str) -> Any:
    return IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
