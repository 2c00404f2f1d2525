"""The Dockerfile, built and run on a real engine as a careful user would run it."""

from pathlib import Path

import pytest

from tests.bed.docker_engine import DockerEngine
from tests.bed.processes import until

pytestmark = pytest.mark.timeout(600)  # the first test waits for the base, and for every package


def said(docker_engine: DockerEngine, image: str, *command: str, entrypoint: str = "amend") -> str:
    """What a container prints that may do as little as possible."""
    output = docker_engine.client.containers.run(
        image,
        list(command),
        entrypoint=[entrypoint],
        remove=True,
        stderr=True,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
    )
    return output.decode()


def test_the_command_runs_without_rights_on_a_read_only_root(docker_engine: DockerEngine, image: str) -> None:
    assert "serve" in said(docker_engine, image, "--help")


def test_the_user_is_a_number_and_not_root(docker_engine: DockerEngine, image: str) -> None:
    assert docker_engine.client.images.get(image).attrs["Config"]["User"] == "10001:10001"
    assert said(docker_engine, image, "-c", "import os; print(os.getuid())", entrypoint="python3").strip() == "10001"


def test_the_image_has_every_dependency_of_the_platforms_and_no_installer(
    docker_engine: DockerEngine, image: str
) -> None:
    program = (
        "import docker, kubernetes, receiver.targets; from importlib.util import find_spec; print(find_spec('pip'))"
    )
    assert said(docker_engine, image, "-c", program, entrypoint="python3").strip() == "None"


def test_the_books_can_be_written_and_the_rest_cannot(docker_engine: DockerEngine, image: str) -> None:
    program = "open('amend.db', 'w').close()\ntry: open('/opt/amend/x', 'w')\nexcept OSError as error: print(error)"
    assert "Read-only file system" in said(docker_engine, image, "-c", program, entrypoint="python3")


def test_the_receiver_becomes_healthy_and_stops_when_asked(
    docker_engine: DockerEngine, image: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "amend.yml").write_text("server: {listen: 0.0.0.0:9095}\nauth: {webhook: {bearer_token_file: token}}\n")
    tmp_path.chmod(0o755)
    amend = docker_engine.run(
        image=image,
        name="amend",
        init=False,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        volumes={str(tmp_path): {"bind": "/etc/amend", "mode": "ro"}},
        healthcheck={"interval": 1_000_000_000},  # sooner than the image's; what it runs is the image's
    )

    def health() -> str:
        amend.reload()
        assert amend.status == "running", amend.logs().decode()
        return str(amend.attrs["State"]["Health"]["Status"])

    until(lambda: health() == "healthy", why="the image's health check")
    amend.stop(timeout=60)
    amend.reload()
    assert amend.attrs["State"]["ExitCode"] != 137, "it was killed"
    assert "shutting down" in amend.logs().decode().lower()
