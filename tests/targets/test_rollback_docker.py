"""A Compose service back to an image, on a real engine: what is taken over, and what is put back when it fails."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container
from docker.models.images import Image
from docker.types import IPAMConfig, IPAMPool

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.settings import platforms
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.host import DockerHost
from receiver.workload import Workload
from tests.bed.docker_engine import DockerEngine
from tests.bed.processes import free_port
from tests.bed.proxy import Fault, Proxy
from tests.targets.conftest import ALLOWED, compose_container, docker_selector, run

WITHIN = timedelta(seconds=60)
BRIEFLY = timedelta(seconds=6)

FIXED = free_port()
OLD, NEW, BROKEN = "shop/orders:1.0", "shop/orders:1.1", "shop/orders:0.9"

# What each image brings.
DOCKERFILES = {
    OLD: [
        "ENV RELEASE=1.0 COLOUR=blue",
        "LABEL release=1.0 shop.tier=web",
        "WORKDIR /srv/old",
        'CMD ["sleep", "86401"]',
    ],
    NEW: [
        "ENV RELEASE=1.1 COLOUR=red ONLY_NEW=1",
        "LABEL release=1.1 shop.tier=web shop.new=yes",
        "WORKDIR /srv/new",
        "EXPOSE 9000",
        "VOLUME /cache",
        "HEALTHCHECK --interval=200ms CMD true",
        'CMD ["sleep", "86402"]',
    ],
    BROKEN: ['CMD ["sh", "-c", "exit 3"]'],
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.targets.docker.running.SETTLED", 0.3)
    monkeypatch.setattr("receiver.targets.docker.running.LOOK_EVERY", 0.05)


@pytest.fixture
def images(docker_engine: DockerEngine) -> dict[str, Image]:
    """The releases of a service, each an image."""
    return {tag: _image(docker_engine, tag, changes) for tag, changes in DOCKERFILES.items()}


def _image(engine: DockerEngine, tag: str, changes: list[str]) -> Image:
    base = engine.client.api.create_container(engine.busybox)
    repository, _, release = tag.partition(":")
    engine.client.api.commit(base["Id"], repository, release, changes="\n".join(changes))
    engine.client.api.remove_container(base["Id"])
    return engine.client.images.get(tag)


def orders(host: DockerHost) -> Workload:
    return run(host.resolve(docker_selector("compose", "orders", scope="shop")))


def rolled_back(host: DockerHost, to: str | None, within: timedelta = WITHIN) -> Any:
    return run(host.rollback(orders(host), to=to, within=within))


def seen(engine: DockerEngine, name: str = "shop-orders-1") -> Container:
    return engine.client.containers.get(name)


# ── what it becomes ──


def test_each_container_goes_back_one_by_one_and_the_result_tells_of_both(
    docker_engine: DockerEngine, host: DockerHost, images: dict[str, Image]
) -> None:
    for place in (1, 2):
        compose_container(docker_engine, place, image=NEW)
    result = rolled_back(host, OLD)
    told = [(each["before"]["image"], each["after"]["image"], each["after"]["name"]) for each in result["containers"]]
    assert told == [(NEW, OLD, "shop-orders-1"), (NEW, OLD, "shop-orders-2")]
    after = orders(host)
    assert (after.ready, after.healthy) == (2, True)
    assert after.version == f"{OLD}@{str(images[OLD].id)[:19]}"
    assert len(docker_engine.client.containers.list(all=True)) == 2


def test_what_the_old_image_brought_goes_with_it_and_what_the_service_says_stays(
    docker_engine: DockerEngine, host: DockerHost, images: dict[str, Image]
) -> None:
    labels = {"shop.team": "blue", "com.docker.compose.image": str(images[NEW].id)}
    labels["com.docker.compose.config-hash"] = "abc"
    compose_container(
        docker_engine,
        1,
        image=NEW,
        labels=labels,
        environment={"COLOUR": "green", "MINE": "1"},
        restart_policy={"Name": "unless-stopped"},
        mem_limit="64m",
        stop_signal="SIGINT",
    )
    rolled_back(host, OLD)
    new = seen(docker_engine)
    config = new.attrs["Config"]
    assert {"COLOUR=green", "MINE=1", "RELEASE=1.0"} <= set(config["Env"])
    assert not {"ONLY_NEW=1", "RELEASE=1.1"} & set(config["Env"])
    assert (config["Cmd"], config["WorkingDir"], config["StopSignal"]) == (["sleep", "86401"], "/srv/old", "SIGINT")
    assert not config.get("Healthcheck")
    assert not config.get("ExposedPorts")
    assert config["Hostname"] == str(new.id)[:12]
    assert new.labels["release"] == "1.0"
    assert "shop.new" not in new.labels
    assert new.labels["shop.team"] == "blue"
    assert new.labels["com.docker.compose.image"] == images[OLD].id
    assert new.labels["com.docker.compose.config-hash"] == "abc"
    assert new.labels["com.docker.compose.container-number"] == "1"
    assert new.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert new.attrs["HostConfig"]["Memory"] == 64 << 20


@pytest.mark.usefixtures("images")
def test_a_command_and_a_check_of_the_service_itself_stay(docker_engine: DockerEngine, host: DockerHost) -> None:
    second = 1_000_000_000
    compose_container(
        docker_engine, 1, "sleep", "600", image=NEW, healthcheck={"test": ["CMD", "/bin/true"], "interval": second // 5}
    )
    compose_container(docker_engine, 2, "600", image=NEW, entrypoint=["sleep"], healthcheck={"test": ["NONE"]})
    rolled_back(host, OLD)
    first, other = (seen(docker_engine, f"shop-orders-{place}").attrs["Config"] for place in (1, 2))
    assert (first["Entrypoint"], first["Cmd"]) == (None, ["sleep", "600"])
    assert first["Healthcheck"] == {"Test": ["CMD", "/bin/true"], "Interval": second // 5}
    assert (other["Entrypoint"], other["Cmd"], other["Healthcheck"]["Test"]) == (["sleep"], ["600"], ["NONE"])


@pytest.mark.usefixtures("images")
def test_its_data_its_networks_and_its_ports_stay(docker_engine: DockerEngine, host: DockerHost) -> None:
    docker_engine.client.networks.create("shop_default")
    back = docker_engine.client.networks.create("shop_back")
    old = compose_container(
        docker_engine,
        1,
        image=NEW,  # which has a volume of its own at /cache
        network="shop_default",
        init=True,
        ports={"80/tcp": ("127.0.0.1", FIXED)},
        volumes=["/data", "shop-named:/named"],
    )
    back.connect(old, aliases=["orders"])
    for place in ("/data", "/cache", "/named"):
        assert old.exec_run(["touch", f"{place}/kept"]).exit_code == 0
    rolled_back(host, OLD)
    new = seen(docker_engine)
    assert new.id != old.id
    for place in ("/data", "/cache", "/named"):
        assert new.exec_run(["test", "-e", f"{place}/kept"]).exit_code == 0
    networks = new.attrs["NetworkSettings"]["Networks"]
    assert set(networks) == {"shop_default", "shop_back"}
    assert "orders" in networks["shop_back"]["Aliases"]
    assert str(old.id)[:12] not in networks["shop_back"]["Aliases"]
    assert new.ports["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(FIXED)}]
    rolled_back(host, NEW)  # and forth again, by now with a volume that has a name
    assert seen(docker_engine).exec_run(["test", "-e", "/data/kept"]).exit_code == 0
    assert len(seen(docker_engine).attrs["Mounts"]) == 3


@pytest.mark.usefixtures("images")
def test_a_fixed_address_is_taken_over(docker_engine: DockerEngine, host: DockerHost) -> None:
    pools = [IPAMPool(subnet="10.251.9.0/24")]
    fixed = docker_engine.client.networks.create("shop_fixed", ipam=IPAMConfig(pool_configs=pools))
    docker_engine.client.networks.create("shop_default")
    fixed.connect(
        compose_container(docker_engine, 1, image=NEW, network="shop_default", init=True), ipv4_address="10.251.9.9"
    )
    rolled_back(host, OLD)
    assert seen(docker_engine).attrs["NetworkSettings"]["Networks"]["shop_fixed"]["IPAddress"] == "10.251.9.9"


def test_those_on_the_image_already_are_left_alone(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, images: dict[str, Image]
) -> None:
    compose_container(docker_engine, 1, image=OLD)
    compose_container(docker_engine, 2, image=NEW)
    assert [each["after"]["name"] for each in rolled_back(host, OLD)["containers"]] == ["shop-orders-2"]
    sent = len(docker_proxy.changes)
    for to in (OLD, str(images[OLD].id)):
        with pytest.raises(Permanent, match="already"):
            rolled_back(host, to)
    assert len(docker_proxy.changes) == sent


def test_where_it_leads_is_told_beforehand_and_held_to(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, images: dict[str, Image]
) -> None:
    compose_container(docker_engine, 1, image=NEW)
    way = run(host.way_back(orders(host), to=OLD))
    assert way == f"{OLD} ({str(images[OLD].id)[:19]}) in place of {NEW} ({str(images[NEW].id)[:19]})"
    images[BROKEN].tag("shop/orders", "1.0")  # somebody builds another one under the same name
    with pytest.raises(Permanent, match=f"it was to go to {OLD}"):
        run(host.rollback(orders(host), to=OLD, within=WITHIN, foreseen=way))
    assert docker_proxy.changes == []
    images[OLD].tag("shop/orders", "1.0")
    run(host.rollback(orders(host), to=OLD, within=WITHIN, foreseen=way))
    with pytest.raises(Permanent, match="already"):
        run(host.way_back(orders(host), to=OLD))


# ── what is refused before anything is sent ──


@pytest.mark.parametrize("to", ["shop/orders:0.1", "../containers", "a..b", "", "3", "shop/orders:1.0?x=1"])
def test_an_image_that_the_engine_does_not_have_is_named_and_never_pulled(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, to: str
) -> None:
    compose_container(docker_engine, 1)
    with pytest.raises(Permanent, match=r"has no image .*, and none is pulled"):
        rolled_back(host, to)
    assert docker_proxy.changes == []


def test_without_an_image_nothing_tells_which_was_good(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    compose_container(docker_engine, 1)
    with pytest.raises(Permanent, match="post deployment markers, or write to:"):
        rolled_back(host, None)
    with pytest.raises(Permanent, match="single container"):
        run(host.rollback(run(host.resolve(docker_selector("container", "shop-orders-1"))), to=OLD, within=WITHIN))
    assert docker_proxy.changes == []


@pytest.mark.usefixtures("images")
def test_a_container_in_whose_network_another_one_lives_is_not_replaced(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    compose_container(docker_engine, 1, image=NEW)
    docker_engine.run(name="guest", network_mode="container:shop-orders-1")
    with pytest.raises(Permanent, match="guest uses the network of shop-orders-1"):
        rolled_back(host, OLD)
    assert docker_proxy.changes == []


@pytest.mark.usefixtures("images")
def test_a_service_that_was_replaced_since_it_was_looked_up_is_left_alone(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    first = compose_container(docker_engine, 1, image=NEW)
    workload = orders(host)
    first.remove(force=True)
    compose_container(docker_engine, 1, image=NEW)
    with pytest.raises(Permanent, match="replaced since it was looked up"):
        run(host.rollback(workload, to=OLD, within=WITHIN))
    assert docker_proxy.changes == []


# ── what is put back ──


@pytest.mark.usefixtures("images")
def test_an_image_that_is_broken_puts_the_old_container_back(docker_engine: DockerEngine, host: DockerHost) -> None:
    old = compose_container(docker_engine, 1, image=NEW, volumes=["/data"])
    assert old.exec_run(["touch", "/data/kept"]).exit_code == 0
    compose_container(docker_engine, 2, image=NEW)
    with pytest.raises(Permanent, match=r"exited with code 3, .*; the container from before was put back"):
        rolled_back(host, BROKEN)
    assert {found.name for found in docker_engine.client.containers.list()} == {"shop-orders-1", "shop-orders-2"}
    back = seen(docker_engine)
    assert (back.id, back.status) == (old.id, "running")
    assert back.exec_run(["test", "-e", "/data/kept"]).exit_code == 0
    assert len(docker_engine.client.containers.list(all=True)) == 2


@pytest.mark.usefixtures("images")
def test_one_that_is_never_well_is_put_back_within_the_time(docker_engine: DockerEngine, host: DockerHost) -> None:
    check = {"test": ["CMD", "/bin/test", "-e", "/srv/new"], "interval": 200_000_000}
    old = compose_container(docker_engine, 1, image=NEW, healthcheck=check)
    with pytest.raises(Permanent, match=r"its health is .*, and was given up on; the container from before was put"):
        rolled_back(host, OLD, within=BRIEFLY)
    assert (seen(docker_engine).id, seen(docker_engine).status) == (old.id, "running")


@pytest.mark.usefixtures("images")
def test_a_container_that_was_stopped_is_put_back_as_it_was(docker_engine: DockerEngine, host: DockerHost) -> None:
    old = compose_container(docker_engine, 1, image=NEW)
    old.stop(timeout=0)
    with pytest.raises(Permanent, match="put back"):
        rolled_back(host, BROKEN)
    assert (seen(docker_engine).id, seen(docker_engine).status) == (old.id, "exited")


@pytest.mark.usefixtures("images")
def test_what_cannot_be_created_changes_nothing_in_the_end(
    docker_engine: DockerEngine, host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose_container(docker_engine, 1, image=NEW)
    started = seen(docker_engine).attrs["State"]["StartedAt"]

    async def refused(*_: object) -> str:
        raise Temporary("nothing was sent")

    monkeypatch.setattr(Engine, "create", refused)
    with pytest.raises(Permanent, match="nothing was sent; the container from before was put back"):
        rolled_back(host, OLD)
    assert seen(docker_engine).attrs["State"]["StartedAt"] == started


@pytest.mark.usefixtures("images")
def test_what_fails_after_a_first_container_says_how_far_it_got(docker_engine: DockerEngine, host: DockerHost) -> None:
    compose_container(docker_engine, 1, image=NEW)
    compose_container(docker_engine, 2, "sh", "-c", "test -e /srv/new", image=NEW)
    with pytest.raises(Permanent, match=r"1 of 2 containers rolled back to shop/orders:1\.0, then: shop-orders-2: "):
        rolled_back(host, OLD)
    tags = [seen(docker_engine, f"shop-orders-{place}").attrs["Config"]["Image"] for place in (1, 2)]
    assert tags == [OLD, NEW]


@pytest.mark.usefixtures("images")
def test_a_rollback_whose_answers_are_lost_is_uncertain_and_the_old_one_keeps_running(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost
) -> None:
    compose_container(docker_engine, 1, image=NEW)
    started = seen(docker_engine).attrs["State"]["StartedAt"]
    workload = orders(host)
    docker_proxy.fail(Fault.DROP, "POST", "DELETE")
    with pytest.raises(Uncertain, match="was not put back"):
        run(host.rollback(workload, to=OLD, within=WITHIN))
    assert [change.split("?")[0].rpartition("/")[2] for change in docker_proxy.changes] == ["rename", "rename"]
    assert seen(docker_engine).attrs["State"]["StartedAt"] == started


@pytest.mark.usefixtures("images")
def test_one_answer_that_is_lost_is_looked_up_and_undone(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = compose_container(docker_engine, 1, image=NEW)
    stop = Engine.stop

    async def lost(self: Engine, container: str, *, grace: int) -> None:
        docker_proxy.fail(Fault.DROP, "POST")
        try:
            await stop(self, container, grace=grace)
        finally:
            docker_proxy.fail(Fault.NOTHING)

    monkeypatch.setattr(Engine, "stop", lost)
    with pytest.raises(
        Permanent, match=r"stop was sent; the answer was lost.*; the container from before was put back"
    ):
        rolled_back(host, OLD)
    assert (seen(docker_engine).id, seen(docker_engine).status) == (old.id, "running")
    assert len(docker_engine.client.containers.list(all=True)) == 1


@pytest.mark.usefixtures("images")
def test_a_stop_that_is_still_under_way_when_its_answer_is_lost_is_waited_for(
    docker_engine: DockerEngine, host: DockerHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = ("sh", "-c", "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done")
    old = compose_container(docker_engine, 1, *slowly, image=NEW, init=False)
    stop = Engine.stop
    under_way: list[asyncio.Task[None]] = []

    async def lost(self: Engine, container: str, *, grace: int) -> None:
        under_way.append(asyncio.create_task(stop(self, container, grace=grace)))
        await asyncio.sleep(0.3)
        raise Uncertain("stop was sent; the answer was lost")

    monkeypatch.setattr(Engine, "stop", lost)
    with pytest.raises(Permanent, match="the answer was lost; the container from before was put back"):
        rolled_back(host, OLD)
    time.sleep(3)  # longer than the stop was under way: it must not come after all, for which there is no sign
    assert (seen(docker_engine).id, seen(docker_engine).status) == (old.id, "running")


# ── what is left behind when Amend is killed in the middle ──


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("made", [False, True], ids=["put aside", "and the new one made"])
def test_a_replacement_that_was_cut_off_is_told_and_nothing_is_done_until_it_is_cleared_up(
    docker_engine: DockerEngine, docker_proxy: Proxy, host: DockerHost, *, made: bool
) -> None:
    workload = _before_the_end(docker_engine, host, made=made)
    aside = f"{workload.members[0][:12]}_shop-orders-1"
    selectors = [docker_selector("compose", "orders", scope="shop"), docker_selector("container", aside)]
    for selector in [*selectors, docker_selector("container", "shop-orders-1")] if made else selectors:
        with pytest.raises(Permanent, match=f"{aside} was put aside for another shop-orders-1, and is still there"):
            run(host.resolve(selector))
    for act in (
        host.restart(workload, within=WITHIN),
        host.scale(workload, 1, within=WITHIN),
        host.rollback(workload, to=OLD, within=WITHIN),
    ):
        with pytest.raises(Permanent, match="was put aside"):
            run(act)
    assert docker_proxy.changes == []
    docker_engine.run(name="orders-1", labels=ALLOWED)  # which is part of its name, and another one
    assert run(host.resolve(docker_selector("container", "orders-1"))).healthy
    docker_engine.client.containers.get(aside).remove(force=True)
    if made:
        assert orders(host).healthy


def _before_the_end(engine: DockerEngine, host: DockerHost, *, made: bool) -> Workload:
    """Killed after the old container was renamed; or after the new one was started in its place."""
    old = compose_container(engine, 1, image=NEW)
    workload = orders(host)
    engine.client.api.rename(old.id, f"{str(old.id)[:12]}_shop-orders-1")
    if made:
        old.stop(timeout=0)
        compose_container(engine, 1, image=OLD)
    return workload


def test_two_containers_of_one_number_are_being_replaced_by_somebody(
    docker_engine: DockerEngine, host: DockerHost
) -> None:
    compose_container(docker_engine, 1)
    compose_container(docker_engine, 1, name="0123456789ab_shop-orders-1")  # so does docker compose up
    with pytest.raises(Permanent, match="0123456789ab_shop-orders-1 and shop-orders-1 are both number 1 of compose"):
        orders(host)


def test_nobody_listening_is_temporary(docker_engine: DockerEngine, host: DockerHost, tmp_path: Path) -> None:
    compose_container(docker_engine, 1)
    nobody = DockerHost(platforms.Docker(url=f"unix://{tmp_path}/nobody.sock"))
    with pytest.raises(Temporary):
        run(nobody.rollback(orders(host), to=OLD, within=BRIEFLY))
