"""A real Docker Engine of the test run's own, with images made here: nothing is pulled, no other engine is touched.

It changes nothing of the host's network: containers reach one another on networks that a test makes, and published
ports are forwarded by Docker's own proxy.
"""

import fcntl
import io
import os
import random
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import httpx
from docker.errors import BuildError
from docker.models.containers import Container
from docker.models.services import Service
from docker.types import ServiceMode, UpdateConfig

from tests.bed.parts import CACHE, needs_root, program
from tests.bed.processes import Process, until

APPLETS = ("cat", "false", "httpd", "id", "ls", "nc", "sh", "sleep", "test", "touch", "true", "wget")

# What the public Python images bring and a bare Debian does not.
PYTHON_PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SWARMS = "com.docker.swarm.task"  #: the label of a container that a Swarm has made
QUICK = 100_000_000  #: nanoseconds for which a Swarm watches what it has updated
PROXIES = ("http_proxy", "https_proxy", "no_proxy")  #: arguments that every Dockerfile has
UNNEEDED = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*", "./usr/share/doc/*", "./usr/share/locale/*")


class DockerEngine(Process):
    """An engine at `url`, which `client` speaks to."""

    name = "dockerd"

    def __init__(self) -> None:
        needs_root("a Docker Engine of our own cannot be started")
        # Straight under the temporary directory: a socket's path may have 107 bytes, and pytest's paths are long.
        self.directory = Path(tempfile.mkdtemp(prefix="amend-docker-"))
        self.socket = self.directory / "docker.sock"
        self.url = f"unix://{self.socket}"
        super().__init__(
            [
                program("dockerd"),
                f"--host={self.url}",
                f"--data-root={self.directory}/data",
                f"--exec-root={self.directory}/exec",
                f"--pidfile={self.directory}/pid",
                "--log-level=warn",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ],
            log=self.directory / "log",
        )

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.clean()
            self.client.close()
        self.terminate()
        remove(self.directory)

    def ready(self) -> bool:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), timeout=10) as client:
                return client.get("http://docker/_ping").status_code == 200
        except httpx.TransportError:
            return False

    @cached_property
    def client(self) -> docker.DockerClient:
        """A client that agrees on the API's version with the engine, so only once it runs."""
        return docker.DockerClient(self.url, timeout=120)

    @cached_property
    def busybox(self) -> str:
        """An image of a static busybox, which sleeps."""
        tree = io.BytesIO()
        with tarfile.open(fileobj=tree, mode="w") as tar:
            tar.add(program("busybox"), "bin/busybox")
            for applet in APPLETS:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        self.client.api.import_image_from_data(
            tree.getvalue(), repository="amend-bed/busybox", tag="latest", changes=['CMD ["/bin/sleep", "86400"]']
        )
        return "amend-bed/busybox:latest"

    @cached_property
    def python_base(self) -> str:
        """An image of Debian with python3, as the base of images that are built here.

        It trusts whom this machine trusts and asks the package index that this machine asks: Dockerfiles name neither.
        """
        environment = {"PIP_CERT": str(CERTIFICATES)}
        environment |= {name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_TRUSTED_HOST") if name in os.environ}
        self.client.api.import_image_from_file(
            str(python_tree()),
            repository="amend-bed/python",
            tag="latest",
            changes=[f"ENV {name}={value}" for name, value in environment.items()],
        )
        return "amend-bed/python:latest"

    def build(self, context: Path, *, tag: str, **arguments: str) -> str:
        """An image from the Dockerfile in `context`, with build arguments; its packages come as on this machine."""
        proxies = {name: value for name, value in os.environ.items() if name.lower() in PROXIES}
        try:
            self.client.images.build(
                path=str(context), tag=tag, buildargs=proxies | arguments, network_mode="host", rm=True, forcerm=True
            )
        except BuildError as error:
            said = "".join(str(line.get("stream", "")) for line in error.build_log)
            raise AssertionError(f"{error}\n{said[-4000:]}") from error
        return tag

    def run(
        self, *command: str, name: str, labels: Mapping[str, str] | None = None, image: str = "", **options: Any
    ) -> Container:
        """A container that runs: busybox, asleep and alone, unless told otherwise; docker-py's options are taken."""
        options = {"network_mode": "none", "init": True, **options} if "network" not in options else options
        return self.client.containers.run(
            image or self.busybox, list(command) or None, name=name, labels=dict(labels or {}), detach=True, **options
        )

    @contextmanager
    def swarm(self) -> Iterator[None]:
        """It manages a Swarm of its own for as long as the block lasts; services end with it."""
        # Every engine has an address of its own, as the ports of a Swarm are the same everywhere.
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self.client.swarm.init(advertise_addr=address, listen_addr=f"{address}:2377")
        try:
            yield
        finally:
            self.end_services()
            self.client.swarm.leave(force=True)

    def service(
        self, *command: str, name: str, labels: Mapping[str, str] | None = None, replicas: int = 2, **options: Any
    ) -> Service:
        """A service of busybox, asleep; docker-py's options are taken."""
        quick = UpdateConfig(parallelism=0, monitor=QUICK, failure_action="pause")
        options = {
            "mode": ServiceMode("replicated", replicas),
            "stop_grace_period": 0,
            "update_config": quick,
            "rollback_config": quick,
            **options,
        }
        image = options.pop("image", self.busybox)
        made: Service = self.client.services.create(  # type: ignore[no-untyped-call]
            image, list(command) or None, name=name, labels=dict(labels or {}), **options
        )
        return made

    def end_services(self) -> None:
        """Take away every service, and wait until its containers are gone: the Swarm alone removes them."""
        for service in self.client.services.list():
            service.remove()  # type: ignore[no-untyped-call]
        listed = self.client.api.containers
        until(lambda: not listed(all=True, filters={"label": [SWARMS]}), why="the services' containers to go")

    def clean(self) -> None:
        """Take away every container and every network that a test made; a service's are the Swarm's."""
        for container in self.client.containers.list(all=True, ignore_removed=True):
            if SWARMS not in container.labels:
                container.remove(force=True, v=True)
        self.client.networks.prune()


def python_tree() -> Path:
    """A tar of a minimal Debian with python3; it takes a minute to make and is kept in the checkout's cache."""
    kept = CACHE / "python-bookworm.tar"
    if kept.exists():
        return kept
    needs_root("debootstrap cannot run")
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(), _scratch() as scratch:
        if kept.exists():  # made while we waited
            return kept
        root = scratch / "root"
        _run(program("debootstrap"), "--variant=minbase", f"--include={PYTHON_PACKAGES}", "bookworm", str(root))
        if CERTIFICATES.exists():
            shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        excluded = [f"--exclude={pattern}" for pattern in UNNEEDED]
        _run("tar", "--numeric-owner", "-C", str(root), *excluded, "-cf", str(scratch / "tar"), ".")
        (scratch / "tar").rename(kept)  # all or nothing
    return kept


def remove(directory: Path) -> None:
    """Delete a directory that programs may have mounted things in, and never anything that is mounted."""
    directory = directory.resolve()
    for place in reversed(_mounts()):  # deepest first
        if place.is_relative_to(directory):
            _run("umount", str(place))
    assert not any(place.is_relative_to(directory) for place in _mounts()), f"something is mounted below {directory}"
    _run("rm", "--recursive", "--force", "--one-file-system", str(directory))


def _mounts() -> list[Path]:
    # proc(5): space, tab, newline and backslash stand there as octal
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), place)) for place in places]


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time: several that make the same thing at once take longer than one."""
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _scratch() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        yield directory
    finally:
        remove(directory)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-4000:]}"
