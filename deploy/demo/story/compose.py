"""Brings the shop up as Docker Compose would, on whichever engine answers: the demo's own or a real one.

The names and labels are Compose's, because they are what Amend's targets and Prometheus' discovery go by.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.models.containers import Container

from story.part import Broken, wait_until

PROJECT = "shop"
NETWORK = f"{PROJECT}_default"
SERVICES = ("users", "payments", "orders")
SECOND = 1_000_000_000

Client = docker.DockerClient


@contextmanager
def shop_open(client: Client, *, image: str, port: int, places: int) -> Iterator[None]:
    """The shop, healthy and with visitors; Broken when there is one already, which is nobody's to take down."""
    if containers(client):
        raise Broken(
            f'this Docker Engine already has containers of a project "{PROJECT}", which the demo will not touch; '
            f"to remove them: docker rm -f $(docker ps -aq -f label=com.docker.compose.project={PROJECT})"
        )
    try:
        client.networks.create(NETWORK, labels={"com.docker.compose.project": PROJECT})
        for service in SERVICES:
            start(client, service, number=1, image=image, port=port, places=places)
        wait_until(lambda: all(map(_healthy, shop(client))), what="the shop to be healthy")
        start(client, "load", number=1, image=image, port=port)
        yield
    finally:
        _close(client)


def start(client: Client, service: str, *, number: int, image: str, port: int, places: int = 1) -> None:
    config = _config(service, image=image, port=port, places=places)
    labels = {
        **config["Labels"],
        "com.docker.compose.project": PROJECT,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.config-hash": hashlib.sha256(json.dumps(config).encode()).hexdigest(),
    }
    api: Any = client.api
    created = api.create_container_from_config({**config, "Labels": labels}, f"{PROJECT}-{service}-{number}")
    api.start(created["Id"])


def replace(client: Client, service: str, *, image: str, port: int, places: int) -> None:
    """The service's only container by one of another image, as `docker compose up` does; healthy when this returns."""
    for container in shop(client, service):
        container.stop()
        container.remove()
    start(client, service, number=1, image=image, port=port, places=places)
    wait_until(lambda: all(map(_healthy, shop(client, service))), what=f"{service} to be healthy")


def containers(client: Client) -> list[Container]:
    # Without those that go away meanwhile, as in a rollback.
    project = f"com.docker.compose.project={PROJECT}"
    return client.containers.list(all=True, ignore_removed=True, filters={"label": project})


def shop(client: Client, service: str | None = None) -> list[Container]:
    """The containers of the services, without the load."""
    return [
        container
        for container in containers(client)
        if container.labels["com.docker.compose.service"] in ([service] if service else SERVICES)
    ]


def url(container: Container, *, port: int) -> str:
    container.reload()
    return f"http://{container.attrs['NetworkSettings']['Networks'][NETWORK]['IPAddress']}:{port}"


def _close(client: Client) -> None:
    """Removes the shop, also what was scaled up since."""
    for container in containers(client):
        container.remove(force=True)
    for network in client.networks.list(names=[f"^{NETWORK}$"]):
        network.remove()


def _healthy(container: Container) -> bool:
    container.reload()
    if container.status == "exited":
        raise Broken(f"{container.name} ended at once:\n{container.logs(tail=8).decode(errors='replace')}")
    health: str = container.attrs["State"].get("Health", {}).get("Status", "")
    return health == "healthy"


def _config(service: str, *, image: str, port: int, places: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Image": image,
        "Cmd": ["python3", "-m", f"shop.{service}"],
        "Env": [f"SHOP_PORT={port}", f"SHOP_PLACES={places}"],
        "Labels": {},
        "HostConfig": {"NetworkMode": NETWORK},
        "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": [service]}}},
    }
    if service not in SERVICES:
        return config
    return {
        **config,
        "Labels": {"amend.enable": "true"},
        "ExposedPorts": {f"{port}/tcp": {}},
        "Healthcheck": {
            "Test": ["CMD", "python3", "-m", "shop.health"],
            "Interval": 2 * SECOND,
            "Timeout": 10 * SECOND,
            "StartPeriod": 60 * SECOND,
            "Retries": 3,
        },
    }
