"""What docker clients, Prometheus' discovery and Amend's verbs ask of an engine: the demo's own and Docker's agree."""

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from receiver.errors import Permanent
from receiver.settings import platforms
from receiver.targets.docker.host import DockerHost
from receiver.workload import Selector
from tests.bed.processes import answers, until
from tests.demo.conftest import BROKEN_IMAGE, DEAD_IMAGE, IMAGE, NETWORK, PORT, Engine, ProcessEngine, address

SECOND = 1_000_000_000
USERS = ("python3", "-m", "shop.users")
LABELS = {
    "amend.enable": "true",
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "users",
    "com.docker.compose.container-number": "1",
}
CHECK = {
    "Test": ["CMD", "python3", "-m", "shop.health"],
    "Interval": SECOND // 5,
    "Timeout": 3 * SECOND,
    "StartPeriod": 60 * SECOND,
    "Retries": 2,
}
# Ends with 7 when asked to; says when it is ready to be asked.
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(600)
"""
STUBBORN = POLITE.replace("lambda *_: sys.exit(7)", "signal.SIG_IGN")


def users(engine: Engine, name: str = "shop-users-1", image: str = IMAGE) -> Container:
    """Of the shop, running and healthy."""
    container = engine.create(
        *USERS, name=name, image=image, Labels=LABELS, ExposedPorts={f"{PORT}/tcp": {}}, Healthcheck=CHECK
    )
    container.start()
    healthy(container)
    return container


def healthy(container: Container, wanted: str = "healthy") -> None:
    until(lambda: health(container) == wanted, why=f"a container that is {wanted}")


def health(container: Container) -> str:
    container.reload()
    status: str = container.attrs["State"]["Health"]["Status"]
    return status


def script(engine: Engine, text: str, name: str = "script") -> Container:
    return engine.create("python3", "-c", text, name=name)


def running(engine: Engine, text: str = POLITE, name: str = "script") -> Container:
    container = script(engine, text, name)
    container.start()
    until(container.logs, why="the script's first word")
    container.reload()
    return container


def roll_back(engine: Engine, *, to: str) -> None:
    """As a playbook of Amend does it."""

    async def roll_back() -> None:
        host = DockerHost(platforms.Docker(url=engine.url))
        workload = await host.resolve(
            Selector(platform="docker", instance=None, kind="compose", name="users", scope="shop")
        )
        await host.rollback(workload, to=to, within=timedelta(seconds=60))

    asyncio.run(roll_back())


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_client_agrees_on_a_version(engine: Engine) -> None:
    assert engine.client.ping()
    assert engine.client.version()["ApiVersion"] == "1.41"
    assert engine.client.info()["Swarm"]["LocalNodeState"] == "inactive"


def test_a_container_becomes_healthy_and_shows_its_real_state(engine: Engine) -> None:
    container = users(engine)
    state = container.attrs["State"]
    assert state["Running"]
    assert is_running(state["Pid"])
    assert state["StartedAt"] > container.attrs["Created"]
    assert container.attrs["RestartCount"] == 0
    assert container.labels["com.docker.compose.service"] == "users"
    assert requests.get(f"{address(container)}/users/3", timeout=60).json() == {"id": 3, "name": "Grace"}


def test_a_restart_is_a_new_process_without_the_old_faults(engine: Engine) -> None:
    container = users(engine)
    before = container.attrs
    requests.post(f"{address(container)}/faults", json={"errors": 1}, timeout=60).raise_for_status()
    assert requests.get(f"{address(container)}/users/1", timeout=60).status_code == 500
    container.restart(timeout=5)
    healthy(container)
    assert container.attrs["Id"] == before["Id"]
    assert container.attrs["State"]["Pid"] != before["State"]["Pid"]
    assert container.attrs["State"]["StartedAt"] > before["State"]["StartedAt"]
    assert container.attrs["RestartCount"] == 0
    assert not is_running(before["State"]["Pid"])
    assert requests.get(f"{address(container)}/users/1", timeout=60).status_code == 200


def test_a_hung_service_becomes_unhealthy_and_a_restart_mends_it(engine: Engine) -> None:
    container = users(engine)
    os.kill(container.attrs["State"]["Pid"], signal.SIGSTOP)
    healthy(container, "unhealthy")
    container.restart(timeout=0)
    healthy(container)


def test_containers_are_listed_by_label_name_and_status(engine: Engine) -> None:
    service, stopped = users(engine), script(engine, POLITE, "stopped")
    containers = engine.client.containers
    assert containers.list() == [service]
    assert {found.name for found in containers.list(all=True)} == {"shop-users-1", "stopped"}
    by_labels: dict[str, Any] = {"label": ["amend.enable=true", "com.docker.compose.service=users"]}
    assert containers.list(filters=by_labels) == [service]
    assert containers.list(filters={"label": ["amend.enable", "com.docker.compose.service=x"]}) == []
    assert containers.list(filters={"name": "^/shop-users-1$"}) == [service]
    assert containers.list(filters={"name": "users"}) == [service]
    assert containers.list(filters={"status": "created"}) == [stopped]
    assert containers.list(filters={"health": "healthy"}) == [service]
    with pytest.raises(APIError, match="filter"):
        containers.list(filters={"colour": "red"})


def test_stop_and_start_say_when_there_is_nothing_to_do(engine: Engine) -> None:
    container = script(engine, POLITE)
    api: Any = engine.client.api

    def post(verb: str) -> int:
        url = f"{api.base_url}/v1.41/containers/{container.id}/{verb}"
        return int(api.post(url, params={"t": 60}).status_code)

    assert [post("start"), post("start")] == [204, 304]
    until(container.logs, why="the script's first word")
    assert [post("stop"), post("stop")] == [204, 304]
    container.reload()
    assert container.status == "exited"
    assert container.attrs["State"]["ExitCode"] == 7
    assert container.attrs["State"]["FinishedAt"] > container.attrs["State"]["StartedAt"]
    assert container.attrs["NetworkSettings"]["Networks"][NETWORK]["IPAddress"] == ""


def test_a_process_that_ignores_the_request_to_end_is_killed_after_its_grace(engine: Engine) -> None:
    container = running(engine, STUBBORN)
    container.stop(timeout=1)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 128 + signal.SIGKILL


def test_wait_returns_the_exit_code(engine: Engine) -> None:
    container = script(engine, "print('done'); raise SystemExit(3)")
    container.start()
    assert container.wait(timeout=60)["StatusCode"] == 3
    assert container.logs(tail=5) == b"done\n"


def test_a_process_that_dies_is_seen_as_exited(engine: Engine) -> None:
    container = running(engine)
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)

    def exited() -> bool:
        container.reload()
        return bool(container.status == "exited")

    until(exited, why="the exit to be seen")
    assert container.attrs["State"]["Pid"] == 0
    with pytest.raises(APIError, match="is not running") as refusal:
        container.kill()
    assert refusal.value.status_code == 409


def test_errors_are_those_of_docker(engine: Engine) -> None:
    with pytest.raises(NotFound, match="No such container: nobody"):
        engine.client.containers.get("nobody")
    with pytest.raises(ImageNotFound):
        engine.create("true", name="imageless", image="nothing:1.0.0")
    busy = running(engine)
    with pytest.raises(APIError, match="is already in use by container") as conflict:
        script(engine, POLITE)
    assert conflict.value.status_code == 409
    with pytest.raises(APIError, match="cannot remove a running container") as refusal:
        busy.remove()
    assert refusal.value.status_code == 409
    with pytest.raises(APIError, match="no-such-program"):
        engine.create("no-such-program", name="programless").start()
    with pytest.raises(APIError, match="active endpoints"):
        engine.client.networks.get(NETWORK).remove()


def test_a_like_configured_container_joins_under_the_same_name(engine: Engine) -> None:
    model = users(engine).attrs
    made = engine.create(
        *model["Config"]["Cmd"],
        **{**model["Config"], "Image": model["Image"], "HostConfig": model["HostConfig"]},
        name="shop-users-2",
        image=model["Image"],
    )
    made.start()
    healthy(made)
    kept = ("Cmd", "Env", "Labels", "ExposedPorts", "Healthcheck", "WorkingDir")
    assert {key: made.attrs["Config"][key] for key in kept} == {key: model["Config"][key] for key in kept}
    first = engine.client.containers.get("shop-users-1")
    assert address(first) != address(made)
    assert "service" in made.attrs["NetworkSettings"]["Networks"][NETWORK]["Aliases"]
    assert answers(f"{address(first)}/health")
    assert answers(f"{address(made)}/health")
    made.remove(force=True)
    first.rename("shop-users-one")
    assert [found.name for found in engine.client.containers.list(all=True)] == ["shop-users-one"]


def test_a_name_is_changed_to_another_free_one_alone(engine: Engine) -> None:
    container, _ = script(engine, POLITE, "one"), script(engine, POLITE, "two")
    api: Any = engine.client.api

    def rename(name: str) -> tuple[int, str]:
        answer = api.post(f"{api.base_url}/v1.41/containers/{container.id}/rename", params={"name": name})
        return answer.status_code, answer.text

    assert rename("two")[0] == 409
    assert rename("a name")[0] == 400
    for name, said in (("one", "the same name as its current name"), ("", "names may be empty")):
        status, text = rename(name)
        assert (status, said in text) == (400, True)
    assert rename("three") == (204, "")
    assert engine.client.containers.get("three") == container


def test_amend_rolls_a_bad_version_back(engine: Engine) -> None:
    bad = users(engine, image=BROKEN_IMAGE)
    bad.restart(timeout=5)
    healthy(bad)
    assert requests.get(f"{address(bad)}/users/1", timeout=60).status_code == 500

    roll_back(engine, to=IMAGE)
    (good,) = engine.client.containers.list(all=True)
    assert (good.name, good.attrs["Config"]["Image"]) == (bad.name, IMAGE)
    assert good.id != bad.id
    assert (good.labels, health(good)) == (bad.labels, "healthy")
    assert requests.get(f"{address(good)}/users/1", timeout=60).status_code == 200


def test_amend_puts_the_old_container_back_when_the_other_version_does_not_get_well(engine: Engine) -> None:
    container = users(engine)
    with pytest.raises(Permanent, match=r"has exited with code 1.* the container from before was put back"):
        roll_back(engine, to=DEAD_IMAGE)
    assert engine.client.containers.list(all=True) == [container]
    healthy(container)
    assert container.name == "shop-users-1"


def test_amend_touches_nothing_where_the_image_is_missing(engine: Engine) -> None:
    before = users(engine).attrs["State"]["StartedAt"]
    with pytest.raises(Permanent, match="the engine has no image"):
        roll_back(engine, to="amend-demo/shop:0.9.0")
    (after,) = engine.client.containers.list(all=True)
    assert after.attrs["State"]["StartedAt"] == before


def test_a_client_that_is_too_new_is_refused(process_engine: ProcessEngine) -> None:
    newer = docker.DockerClient(base_url=f"unix://{process_engine.socket}", version="1.45")
    with pytest.raises(APIError, match=r"client version 1\.45 is too new. Maximum supported API version is 1\.41"):
        newer.containers.list()
    newer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_the_engine(process_engine: ProcessEngine, number: signal.Signals) -> None:
    client = process_engine.connect()
    client.networks.create(NETWORK)
    children = [running(Engine(client), name=name) for name in ("one", "two")]
    pids = [child.attrs["State"]["Pid"] for child in children]
    assert all(is_running(pid) for pid in pids)
    os.kill(process_engine.pid, number)
    until(lambda: not any(is_running(pid) for pid in pids), why="the children's end")
    until(lambda: not process_engine.running, why="the engine's own end")
    client.close()
