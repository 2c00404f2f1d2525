"""The demo's engine through the real docker client: what Amend's verbs, and Prometheus, ask of a Docker Engine."""

import os
import signal
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container

from .conftest import PORT, Bed, alive, answers, wait_until

LABELS = {
    "amend.enable": "true",
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "users",
    "com.docker.compose.container-number": "1",
}
CHECK = {
    "test": ["CMD", "python", "-m", "shop.health"],
    "interval": 200_000_000,
    "timeout": 1_000_000_000,
    "retries": 2,
    "start_period": 10_000_000_000,
}


def create(client: docker.DockerClient, name: str = "shop-users-1", image: str = "shop:1.0.0") -> Container:
    return client.containers.create(
        image,
        ["python", "-m", "shop.users"],
        name=name,
        labels=LABELS,
        ports={f"{PORT}/tcp": None},
        healthcheck=CHECK,
    )


def sleeper(client: docker.DockerClient, name: str = "sleeper") -> Container:
    return client.containers.create("shop:1.0.0", ["sleep", "600"], name=name)


def health(container: Container) -> str:
    container.reload()
    status: str = container.attrs["State"]["Health"]["Status"]
    return status


def test_the_client_agrees_on_a_version(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.api.api_version == "1.41"
    assert client.version()["MinAPIVersion"] == "1.24"
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"


def test_a_client_of_an_unknown_version_is_refused(bed: Bed) -> None:
    newer = docker.DockerClient(base_url=f"unix://{bed.socket}", version="1.45")
    with pytest.raises(APIError, match=r"client version 1\.45 is too new"):
        newer.containers.list()
    newer.close()


def test_a_container_becomes_healthy_and_shows_its_real_state(client: docker.DockerClient) -> None:
    container = create(client)
    assert container.status == "created"
    container.start()
    wait_until(lambda: health(container) == "healthy", what="a healthy container")
    state = container.attrs["State"]
    assert state["Running"]
    assert alive(state["Pid"])
    assert state["StartedAt"] > container.attrs["Created"]
    assert container.attrs["RestartCount"] == 0
    assert container.labels["com.docker.compose.service"] == "users"
    address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert requests.get(f"http://{address}:{PORT}/users/3", timeout=5).json() == {"id": 3, "name": "Grace"}


def test_a_restart_is_a_new_process_without_the_old_faults(client: docker.DockerClient) -> None:
    container = create(client)
    container.start()
    wait_until(lambda: health(container) == "healthy", what="a healthy container")
    before = container.attrs
    url = f"http://{before['NetworkSettings']['Networks']['bridge']['IPAddress']}:{PORT}"
    requests.post(f"{url}/faults", json={"errors": 1}, timeout=5).raise_for_status()
    assert requests.get(f"{url}/users/1", timeout=5).status_code == 500
    container.restart(timeout=5)
    wait_until(lambda: health(container) == "healthy", what="a healthy container")
    assert container.attrs["Id"] == before["Id"]
    assert container.attrs["State"]["Pid"] != before["State"]["Pid"]
    assert container.attrs["State"]["StartedAt"] > before["State"]["StartedAt"]
    assert not alive(before["State"]["Pid"])
    assert requests.get(f"{url}/users/1", timeout=5).status_code == 200


def test_a_bad_version_outlives_a_restart(client: docker.DockerClient) -> None:
    container = create(client, image="shop:1.1.0")
    container.start()
    container.restart(timeout=5)
    wait_until(lambda: health(container) == "healthy", what="a healthy container")
    address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert requests.get(f"http://{address}:{PORT}/users/1", timeout=5).status_code == 500


def test_a_hung_service_becomes_unhealthy(client: docker.DockerClient) -> None:
    container = create(client)
    container.start()
    wait_until(lambda: health(container) == "healthy", what="a healthy container")
    container.kill("SIGSTOP")
    wait_until(lambda: health(container) == "unhealthy", what="an unhealthy container")
    container.restart(timeout=0)
    wait_until(lambda: health(container) == "healthy", what="a healthy container")


def test_containers_are_listed_by_label_name_and_status(client: docker.DockerClient) -> None:
    users = create(client)
    users.start()
    stopped = sleeper(client)
    assert {found.name for found in client.containers.list()} == {"shop-users-1"}
    assert {found.name for found in client.containers.list(all=True)} == {"shop-users-1", "sleeper"}
    by_labels: dict[str, str | list[str] | bool] = {"label": ["amend.enable=true", "com.docker.compose.service=users"]}
    assert client.containers.list(filters=by_labels) == [users]
    by_another = {**by_labels, "label": ["amend.enable", "com.docker.compose.service=x"]}
    assert client.containers.list(filters=by_another) == []
    assert client.containers.list(filters={"name": "^/shop-users-1$"}) == [users]
    assert client.containers.list(filters={"name": "users"}) == [users]
    assert client.containers.list(filters={"status": "created"}) == [stopped]
    with pytest.raises(APIError, match="filter"):
        client.containers.list(filters={"colour": "red"})


def test_stop_and_start_say_when_there_is_nothing_to_do(client: docker.DockerClient) -> None:
    container = sleeper(client)
    api: Any = client.api

    def post(verb: str) -> int:
        url = f"{api.base_url}/v1.41/containers/{container.id}/{verb}"
        return int(api.post(url, params={"t": 1}).status_code)

    assert [post("start"), post("start"), post("stop"), post("stop")] == [204, 304, 204, 304]
    container.reload()
    assert container.status == "exited"
    assert container.attrs["State"]["ExitCode"] == 128 + signal.SIGTERM
    assert container.attrs["State"]["FinishedAt"] > container.attrs["State"]["StartedAt"]


def test_a_process_that_ignores_the_request_to_end_is_killed_after_its_grace(
    client: docker.DockerClient,
) -> None:
    container = client.containers.create("shop:1.0.0", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    container.start()
    wait_until(lambda: "sh" in container.attrs["Path"], what="the shell")
    container.stop(timeout=1)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 128 + signal.SIGKILL


def test_wait_returns_the_exit_code(client: docker.DockerClient) -> None:
    container = client.containers.create("shop:1.0.0", ["sh", "-c", "echo done; exit 3"])
    container.start()
    assert container.wait(timeout=10)["StatusCode"] == 3
    assert container.logs(tail=5) == b"done\n"


def test_a_process_that_dies_is_seen_as_exited(client: docker.DockerClient) -> None:
    container = sleeper(client)
    container.start()
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)

    def exited() -> bool:
        container.reload()
        return bool(container.status == "exited")

    wait_until(exited, what="the exit to be seen")
    assert container.attrs["State"]["Pid"] == 0


def test_errors_are_those_of_docker(client: docker.DockerClient) -> None:
    with pytest.raises(NotFound, match="No such container: nobody"):
        client.containers.get("nobody")
    with pytest.raises(ImageNotFound):
        client.containers.create("nothing:1.0.0", ["true"])
    running = sleeper(client)
    with pytest.raises(APIError, match="is already in use by container") as conflict:
        sleeper(client)
    assert conflict.value.status_code == 409
    running.start()
    with pytest.raises(APIError, match="cannot remove a running container") as refusal:
        running.remove()
    assert refusal.value.status_code == 409
    missing = client.containers.create("shop:1.0.0", ["no-such-program"])
    with pytest.raises(APIError, match="no-such-program"):
        missing.start()


def test_a_like_configured_container_joins_under_the_same_name(client: docker.DockerClient, bed: Bed) -> None:
    network = client.networks.create("shop_default", labels={"com.docker.compose.project": "shop"})
    api: Any = client.api
    endpoint = {"Aliases": ["users"]}
    first = api.create_container_from_config(
        {
            "Image": "shop:1.0.0",
            "Cmd": ["python", "-m", "shop.users"],
            "Labels": LABELS,
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "HostConfig": {"NetworkMode": "shop_default"},
            "NetworkingConfig": {"EndpointsConfig": {"shop_default": endpoint}},
        },
        "shop-users-1",
    )
    api.start(first["Id"])
    model = api.inspect_container(first["Id"])
    second = api.create_container_from_config(
        {
            **model["Config"],
            "Image": model["Image"],
            "HostConfig": model["HostConfig"],
            "NetworkingConfig": {"EndpointsConfig": {"shop_default": endpoint}},
        },
        "shop-users-2",
    )
    api.start(second["Id"])
    copy = api.inspect_container(second["Id"])
    assert copy["Config"] == {**model["Config"], "Image": model["Image"]}
    addresses = {each["NetworkSettings"]["Networks"]["shop_default"]["IPAddress"] for each in (model, copy)}
    assert len(addresses) == 2
    urls = [f"http://{address}:{PORT}/health" for address in addresses]
    wait_until(lambda: all(answers(url) for url in urls), what="both to answer")
    named = [line.split()[0] for line in (bed.state / "hosts").read_text().splitlines() if line.endswith(" users")]
    assert set(named) == addresses
    with pytest.raises(APIError, match="active endpoints"):
        network.remove()
    api.remove_container(second["Id"], force=True)
    api.rename(first["Id"], "shop-users-one")
    assert [found.name for found in client.containers.list(all=True)] == ["shop-users-one"]


def test_images_are_those_it_was_given(client: docker.DockerClient) -> None:
    assert {tag for image in client.images.list() for tag in image.tags} == {"shop:1.0.0", "shop:1.1.0"}
    assert client.images.get("shop:1.0.0").id != client.images.get("shop:1.1.0").id
    with pytest.raises(ImageNotFound):
        client.images.get("shop:9")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_the_engine(bed: Bed, number: signal.Signals) -> None:
    containers = [sleeper(bed.client, name) for name in ("one", "two")]
    for container in containers:
        container.start()
        container.reload()
    pids = [container.attrs["State"]["Pid"] for container in containers]
    assert all(alive(pid) for pid in pids)
    bed.process.send_signal(number)
    bed.process.wait(10)
    wait_until(lambda: not any(alive(pid) for pid in pids), what="the children's end")
