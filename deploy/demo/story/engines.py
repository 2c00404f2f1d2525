"""Engines for the shop: child processes by default, a real Docker Engine with --docker.

The stage enters one of them and gets a URL where the shop's images are there, and the port that the shop listens on.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from story import image
from story.part import PATIENCE, Broken, running, wait_until
from story.parts import DEMO
from story.versions import BAD, ENVIRONMENTS, GOOD, tag

SOCKET = "unix:///var/run/docker.sock"
PORT = 8000  # each container has a network of its own


@dataclass(frozen=True)
class Engine:
    what: str  #: in words
    url: str
    port: int


@contextmanager
def processes(root: Path) -> Iterator[Engine]:
    """The demo's own engine, whose containers are child processes."""
    port = _free_everywhere()
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    images = root / "images.json"
    images.write_text(json.dumps({tag(version): _image(version, path=path) for version in ENVIRONMENTS}))
    state = root / "engine"
    state.mkdir()
    at = root / "engine.sock"
    argv = [sys.executable, "-m", "engine", f"--socket={at}", f"--images={images}", f"--state={state}"]
    with running("engine", argv, logs=root, cwd=DEMO) as part:

        def listening() -> bool:
            part.check()
            return at.exists()

        wait_until(listening, what="the engine's socket")
        yield Engine("child processes behind the Docker API", f"unix://{at}", port)


def _image(version: str, *, path: str) -> dict[str, Any]:
    environment = {"PATH": path, **ENVIRONMENTS[version]}
    return {"Env": [f"{name}={value}" for name, value in environment.items()], "WorkingDir": str(DEMO)}


@contextmanager
def containers(root: Path, *, base: str | None) -> Iterator[Engine]:
    """The Docker Engine of this machine, or, when none answers, one of the demo's own."""
    url = os.environ.get("DOCKER_HOST", SOCKET)
    if _version(url):
        with _with_images(url, base=base) as engine:
            yield engine
        return
    if "DOCKER_HOST" in os.environ:
        raise Broken(f"no Docker Engine answers at DOCKER_HOST={url}; start it, or unset DOCKER_HOST")
    with _own(root) as url, _with_images(url, base=base) as engine:
        yield engine


@contextmanager
def _with_images(url: str, *, base: str | None) -> Iterator[Engine]:
    with closing(docker.DockerClient(base_url=url, version="auto", timeout=PATIENCE)) as client:
        image.make(client, tag(GOOD), base=base, environment=ENVIRONMENTS[GOOD])
        image.derive(client, tag(BAD), model=tag(GOOD), environment=ENVIRONMENTS[BAD])
        try:
            yield Engine(f"containers of Docker Engine {_version(url)}", url, PORT)
        finally:
            for version in (BAD, GOOD):  # what is made of the other one goes first
                client.images.remove(tag(version), force=True)


@contextmanager
def _own(root: Path) -> Iterator[str]:
    """A Docker Engine that changes nothing of the host's network: no default bridge, no firewall rules."""
    dockerd = shutil.which("dockerd")
    if dockerd is None or os.geteuid() != 0:
        raise Broken(
            f"no Docker Engine answers at {SOCKET}, and one of its own the demo can start only as root with dockerd "
            "installed; set DOCKER_HOST, or leave --docker away"
        )
    url = f"unix://{root / 'docker.sock'}"
    argv = [
        dockerd,
        f"--host={url}",
        f"--data-root={root / 'docker'}",
        f"--exec-root={root / 'docker-exec'}",
        f"--pidfile={root / 'docker.pid'}",
        "--log-level=warn",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]
    try:
        # Asked to end, even when we die without a word, so that it stops containerd and its containers first.
        with running("dockerd", argv, logs=root, grace=60, orphaned=signal.SIGTERM) as part:

            def answering() -> bool:
                part.check()
                return bool(_version(url))

            wait_until(answering, what="dockerd")
            yield url
    finally:
        _unmount_below(root)


def _version(url: str) -> str:
    """Empty when no engine answers there."""
    try:
        with closing(docker.DockerClient(base_url=url, version="auto", timeout=30)) as client:
            version: str = client.version()["Version"]
            return version
    except (DockerException, RequestException):
        return ""


def _unmount_below(root: Path) -> None:
    """dockerd leaves the mount of a network namespace behind, which would hold the folder."""
    places = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed(places):
        if place.is_relative_to(root):
            subprocess.run(["umount", str(place)], check=False)


def _free_everywhere() -> int:
    """A port that is free on every loopback address, as each child listens on its own."""
    with socket.socket() as probe:
        probe.bind(("", 0))  # bound and never listening: nobody outside can reach it
        port: int = probe.getsockname()[1]
        return port
