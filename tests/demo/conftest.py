"""The demo's engine as a process of its own, and the real docker client in front of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
PORT = 8000


@dataclass(frozen=True)
class Bed:
    """An engine to talk to, with its socket and its files."""

    client: docker.DockerClient
    process: subprocess.Popen[bytes]
    socket: Path
    state: Path


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    images = tmp_path / "images.json"
    images.write_text(
        json.dumps(
            {
                "shop:1.0.0": {"Env": [f"PATH={path}", f"SHOP_PORT={PORT}"], "WorkingDir": str(DEMO)},
                "shop:1.1.0": {
                    "Env": [f"PATH={path}", f"SHOP_PORT={PORT}", 'SHOP_FAULTS={"errors": 1}'],
                    "WorkingDir": str(DEMO),
                },
            }
        )
    )
    socket = tmp_path / "engine.sock"
    argv = ["-m", "engine", "--socket", str(socket), "--images", str(images), "--state", str(tmp_path)]
    with (tmp_path / "engine.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *argv], cwd=DEMO, stdout=log, stderr=log)
    try:
        wait_until(socket.exists, what="the engine's socket")
        client = docker.DockerClient(base_url=f"unix://{socket}", version="auto", timeout=20)
        yield Bed(client, process, socket, tmp_path)
        client.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


@pytest.fixture
def client(bed: Bed) -> docker.DockerClient:
    return bed.client


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False
