"""Engines to try the demo on: its own, whose containers are child processes, and a real Docker Engine."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.bed.docker_engine import DockerEngine
from tests.bed.parts import ROOT
from tests.bed.processes import Process

DEMO = ROOT / "deploy" / "demo"
sys.path.insert(0, str(DEMO))  # the demo's packages, as scripts/demo has them

IMAGE = "amend-demo/shop:1.0.0"
BROKEN_IMAGE = "amend-demo/shop:1.1.0"  # a version that answers every request 500
DEAD_IMAGE = "amend-demo/shop:1.2.0"  # one that ends at once
FAULTS = {BROKEN_IMAGE: '{"errors": 1}', DEAD_IMAGE: "none that there are"}
NETWORK = "shop_default"
PORT = 8000


@dataclass(frozen=True)
class Engine:
    """A client, and a network that containers reach one another on, and we them."""

    client: docker.DockerClient
    url: str = ""

    def create(self, *command: str, name: str, image: str = IMAGE, **config: object) -> Container:
        """A container as Compose makes it: from its whole configuration, as Amend copies it too."""
        wanted = {
            "Image": image,
            "Cmd": list(command),
            "HostConfig": {"NetworkMode": NETWORK},
            "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": ["service"]}}},
            **config,
        }
        made = self.client.api.create_container_from_config(wanted, name)  # type: ignore[no-untyped-call]
        return self.client.containers.get(made["Id"])


class ProcessEngine(Process):
    """`python -m engine`, on a socket of its own."""

    name = "the demo's engine"

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "engine.sock"
        self.hosts = directory / "hosts"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        bad = {image: [f"SHOP_FAULTS={faults}"] for image, faults in FAULTS.items()}
        images = directory / "images.json"
        images.write_text(
            json.dumps(
                {
                    image: {"Env": [f"PATH={path}", *faults], "WorkingDir": str(DEMO)}
                    for image, faults in {IMAGE: [], **bad}.items()
                }
            )
        )
        super().__init__(
            [sys.executable, "-m", "engine", "--socket", self.socket, "--images", images, "--state", directory],
            log=directory / "engine.log",
            environment={"PYTHONPATH": str(DEMO)},
        )

    def ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:  # its file is there before it listens
            return client.connect_ex(str(self.socket)) == 0

    def connect(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"unix://{self.socket}", version="auto", timeout=60)


@pytest.fixture
def process_engine(tmp_path: Path) -> Iterator[ProcessEngine]:
    with ProcessEngine(tmp_path) as engine:
        yield engine


@pytest.fixture(scope="session")
def dockerd_with_shop(dockerd: DockerEngine) -> DockerEngine:
    """The real engine with the image that `scripts/demo --docker` makes."""
    from story.image import derive, make

    make(dockerd.client, IMAGE, base=None)
    for image, faults in FAULTS.items():
        derive(dockerd.client, image, model=IMAGE, environment={"SHOP_FAULTS": faults})
    return dockerd


@pytest.fixture(params=["processes", "docker"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Both engines, so that what is promised of ours is what Docker does."""
    if request.param == "docker":
        real: DockerEngine = request.getfixturevalue("dockerd_with_shop")
        real.client.networks.create(NETWORK)
        yield Engine(real.client, real.url)
        real.clean()
        return
    ours: ProcessEngine = request.getfixturevalue("process_engine")
    client = ours.connect()
    client.networks.create(NETWORK)
    yield Engine(client, f"unix://{ours.socket}")
    client.close()


def address(container: Container) -> str:
    container.reload()
    return f"http://{container.attrs['NetworkSettings']['Networks'][NETWORK]['IPAddress']}:{PORT}"
