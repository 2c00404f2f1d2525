"""The shop's image: test_engine.py runs the one made of this machine's Python; here it stands on somebody's base."""

import pytest

from tests.bed.docker_engine import DockerEngine
from tests.bed.processes import until

pytestmark = pytest.mark.timeout(600)  # the base may have to be made


def test_the_shop_runs_on_a_base_image(docker_engine: DockerEngine) -> None:
    from story.image import make

    tag = "amend-demo/based:1.0.0"
    make(docker_engine.client, tag, base=docker_engine.python_base)
    docker_engine.run("python3", "-m", "shop.orders", name="based", image=tag)

    def healthy() -> bool:
        asked = docker_engine.client.containers.get("based").exec_run(["python3", "-m", "shop.health"])
        return bool(asked.exit_code == 0)

    until(healthy, why="orders answers in a container on a base image")
    docker_engine.client.images.remove(tag, force=True)
