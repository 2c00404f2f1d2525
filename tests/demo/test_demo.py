"""scripts/demo as its users run it: it closes the loop, says what broke, and leaves nothing behind however it ends."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.bed.docker_engine import DockerEngine
from tests.bed.parts import ROOT, program
from tests.bed.processes import Process, until

LINKS = ["fault", "anomaly", "alert", "webhook", "guards", "action", "notified", "verified", "audit", "closed"]
ASKING = [*LINKS[:4], "asked", "agreed", *LINKS[4:]]  #: where a playbook asks people first
STORY = 500.0  #: seconds: on an idle machine it takes one minute, and a busy one may need several
pytestmark = pytest.mark.timeout(600)


class Demo(Process):
    """`scripts/demo` with a temporary directory of its own, by which all that it starts can be found."""

    name = "scripts/demo"
    starts_within = 120.0  #: the virtual environment may have to be made

    def __init__(self, *arguments: str, **environment: str) -> None:
        # Short, because sockets' paths are; pytest's directories are long.
        self.directory = Path(tempfile.mkdtemp(prefix="demo-"))
        super().__init__(
            [ROOT / "scripts" / "demo", *arguments],
            log=self.directory / "log",
            environment={"TMPDIR": str(self.directory), **environment},
        )

    def ready(self) -> bool:
        return "Amend demo" in self.tail()

    def wait(self) -> int:
        """Its exit code, when it has ended by itself."""
        until(lambda: not self.running, within=STORY, why="the demo's end")
        return self.terminate()

    def wait_for(self, word: str) -> None:
        """Until the story has a line with this name."""
        until(lambda: word in self.told() or not self.running, within=STORY, why=f'a line "{word}"')
        assert self.running, self.tail()

    def told(self) -> list[str]:
        """The names of the story's lines, in order."""
        return re.findall(r"^\d\d:\d\d:\d\d (?: {8}|[ +\d.]+ s)  (\w+)", self.log.read_text(), re.MULTILINE)

    def left_processes(self) -> dict[int, str]:
        """What runs and names the demo's directory: on its command line, or in its environment."""
        found = {}
        for each in Path("/proc").glob("[0-9]*"):
            try:
                command, environment = (each / "cmdline").read_bytes(), (each / "environ").read_bytes()
            except OSError:
                continue  # ended meanwhile, or nobody that we could have started
            if str(self.directory).encode() in command + environment:
                found[int(each.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def left_files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path != self.log)

    def left_mounts(self) -> list[str]:
        return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.directory) in line]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, *arguments: str, **environment: str) -> Demo:
    demo = Demo(*arguments, **environment)
    stack.callback(shutil.rmtree, demo.directory)
    return stack.enter_context(demo)


def nothing_is_left(demo: Demo) -> bool:
    return not demo.left_processes() and not demo.left_files() and not demo.left_mounts()


def test_the_loop_closes_though_the_usual_ports_are_taken(stack: ExitStack) -> None:
    for port in range(9090, 9096):
        taken = stack.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
    demo = start(stack, "--keep")
    demo.wait_for("kept")
    page, key = re.findall(r"kept +(http://\S+) +API key (\S+)", demo.tail())[0]
    assert "Sign in" in httpx.get(page, follow_redirects=True, timeout=60, trust_env=False).text
    asked = httpx.get(f"{page}api/v1/runs", headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False)
    assert [run["outcome"] for run in asked.json()["runs"]] == ["fixed"]
    assert "shop-orders-1 started" in demo.tail()
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait() == 0
    assert demo.told()[-len(LINKS) - 3 :] == [*LINKS, "kept", "kept", "stopped"]
    assert nothing_is_left(demo)
    assert "\x1b" not in demo.log.read_text()  # no colours into a file


def test_the_loop_closes_in_real_containers(stack: ExitStack) -> None:
    program("dockerd")
    demo = start(stack, "--docker")
    assert demo.wait() == 0, demo.tail()
    assert demo.told()[-len(LINKS) :] == LINKS
    assert "containers of Docker Engine" in demo.log.read_text()
    assert nothing_is_left(demo)


def test_an_overrun_service_gets_more_instances(stack: ExitStack) -> None:
    demo = start(stack, "--scenario", "overload")
    assert demo.wait() == 0, demo.tail()
    assert demo.told()[-len(LINKS) :] == LINKS
    assert "scale: shop-orders-2 started" in demo.tail()
    assert "shop-orders-3 started" in demo.tail()


@pytest.mark.parametrize("variant", [[], ["--docker"]], ids=["processes", "docker"])
def test_a_bad_version_is_taken_back_when_somebody_agrees(stack: ExitStack, variant: list[str]) -> None:
    if variant:
        program("dockerd")
    demo = start(stack, "--scenario", "bad-deploy", *variant)
    assert demo.wait() == 0, demo.tail()
    assert demo.told()[-len(ASKING) :] == ASKING
    told = demo.log.read_text()
    assert 'the team is asked "May undo-bad-deployment do rollback, notify on docker/demo/compose/shop/orders?' in told
    assert re.search(r"rollback: shop-orders-1 started \S+ from amend-demo/shop:1\.0\.0", told)
    assert nothing_is_left(demo)


def test_an_interrupt_leaves_nothing(stack: ExitStack) -> None:
    demo = start(stack)
    demo.wait_for("parts")
    os.kill(demo.pid, signal.SIGTERM)
    assert demo.wait() == 130
    assert demo.told()[-1] == "stopped"
    assert nothing_is_left(demo)


def test_an_impatient_interrupt_in_the_middle_of_the_set_up_leaves_nothing_either(stack: ExitStack) -> None:
    demo = start(stack)
    demo.wait_for("shop")
    os.kill(demo.pid, signal.SIGINT)
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait() == 130
    assert demo.told()[-1] == "stopped"
    assert nothing_is_left(demo)


def test_a_kill_leaves_no_process(stack: ExitStack) -> None:
    demo = start(stack)
    demo.wait_for("parts")
    assert len(demo.left_processes()) == 9  # itself, the engine, its four containers, and the three parts
    os.kill(demo.pid, signal.SIGKILL)
    until(lambda: not demo.left_processes(), why="everything to end")


def test_an_interrupt_leaves_no_container_on_somebody_elses_engine(
    stack: ExitStack, docker_engine: DockerEngine
) -> None:
    images = {tag for image in docker_engine.client.images.list() for tag in image.tags}
    demo = start(stack, "--docker", DOCKER_HOST=docker_engine.url)
    demo.wait_for("shop")
    assert len(docker_engine.client.containers.list()) == 4
    os.kill(demo.pid, signal.SIGINT)
    assert demo.wait() == 130
    assert docker_engine.client.containers.list(all=True) == []
    assert docker_engine.client.networks.list(names=["shop_default"]) == []
    assert {tag for image in docker_engine.client.images.list() for tag in image.tags} <= images
    assert nothing_is_left(demo)


def test_a_shop_that_is_there_already_is_not_touched(stack: ExitStack, docker_engine: DockerEngine) -> None:
    theirs = docker_engine.run(name="theirs", labels={"com.docker.compose.project": "shop"})
    demo = start(stack, "--docker", DOCKER_HOST=docker_engine.url)
    assert demo.wait() == 1
    assert 'already has containers of a project "shop"' in demo.tail()
    theirs.reload()
    assert theirs.status == "running"


def test_a_part_that_dies_is_named(stack: ExitStack) -> None:
    demo = start(stack)
    demo.wait_for("parts")
    (alertmanager,) = [pid for pid, command in demo.left_processes().items() if "alertmanager.yml" in command]
    os.kill(alertmanager, signal.SIGKILL)
    assert demo.wait() == 1
    assert "alertmanager ended with code -9" in demo.tail()
    assert nothing_is_left(demo)


def test_an_engine_that_does_not_answer_is_named() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "demo", "--docker"],
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        timeout=STORY,
        check=False,
    )
    assert done.returncode == 1
    assert "no Docker Engine answers at DOCKER_HOST=unix:///nowhere/docker.sock" in done.stdout + done.stderr


def test_a_program_that_does_not_start_is_named(stack: ExitStack) -> None:
    demo = start(stack, PROMETHEUS="/bin/false")
    assert demo.wait() == 1
    assert "history ended with code 1" in demo.tail()
    assert nothing_is_left(demo)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "flood"], "invalid choice: 'flood'"),
        (["--base-image", "python:3.11"], "--base-image goes with --docker"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments: list[str], said: str) -> None:
    done = subprocess.run([ROOT / "scripts" / "demo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
