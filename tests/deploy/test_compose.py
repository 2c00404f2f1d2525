"""deploy/compose, brought up by Compose on a real engine, with local images in place of those it would pull."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bed.docker_engine import DockerEngine
from tests.bed.parts import ROOT, program
from tests.bed.processes import answers, free_port, until
from tests.bed.prometheus import promtool

pytestmark = pytest.mark.timeout(600)

FILES = ROOT / "deploy" / "compose"
TEMPLATES = Path("/usr/share/prometheus/alertmanager")  # Debian's Alertmanager needs its own

# As the public images are: the same path, an unprivileged user who owns the data.
STAND_IN = """
ARG BASE
FROM ${{BASE}}
RUN mkdir -p {data} && chown 65534 {data}
COPY program {program}
COPY templates {templates}
USER 65534
ENTRYPOINT ["{program}"]
"""
PROXY = """
ARG BASE
FROM ${BASE}
COPY socket_proxy.py /
ENTRYPOINT ["python3", "/socket_proxy.py"]
"""


class Loop:
    """The Compose project: what a user does to it, and what can be seen of it from outside."""

    def __init__(self, engine: DockerEngine, environment: dict[str, str]) -> None:
        self.engine = engine
        self.environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": engine.url, **environment}

    def compose(self, *words: str) -> str:
        done = subprocess.run(
            [program("docker-compose"), "--file", str(FILES / "compose.yml"), *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"docker-compose {' '.join(words)}\n{done.stdout}"
        return done.stdout

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.environment[f'{service.upper()}_PORT']}"

    def started(self, service: str) -> str:
        """When the service's container was last started, which may be stopping right now."""
        (container,) = self.engine.client.containers.list(
            all=True, filters={"label": f"com.docker.compose.service={service}"}
        )
        return str(container.attrs["State"]["StartedAt"])

    def counted(self, metric: str) -> bool:
        """Whether Amend's metrics have this line."""
        return metric in httpx.get(f"{self.url('amend')}/metrics", timeout=60, trust_env=False).text.splitlines()


def stand_in(engine: DockerEngine, directory: Path, name: str, data: str) -> str:
    context = directory / name
    (context / "templates").mkdir(parents=True)
    shutil.copy(program(name), context / "program")
    if TEMPLATES.exists():
        shutil.copytree(TEMPLATES, context / "templates", dirs_exist_ok=True)
    dockerfile = STAND_IN.format(program=f"/bin/{name}", data=data, templates=TEMPLATES)
    (context / "Dockerfile").write_text(dockerfile)
    return engine.build(context, tag=f"amend-bed/{name}:latest", BASE=engine.python_base)


def proxy_stand_in(engine: DockerEngine, directory: Path) -> str:
    context = directory / "proxy"
    context.mkdir()
    shutil.copy(Path(__file__).with_name("socket_proxy.py"), context)
    (context / "Dockerfile").write_text(PROXY)
    return engine.build(context, tag="amend-bed/docker-proxy:latest", BASE=engine.python_base)


@pytest.fixture
def loop(docker_engine: DockerEngine, image: str, tmp_path: Path) -> Iterator[Loop]:
    kept = tmp_path / "secrets"
    kept.mkdir()
    (kept / "webhook.token").write_text(secrets.token_hex(32))
    for path in (*kept.parents, kept):  # containers read it as users of their own
        if path.is_relative_to(tmp_path.parents[1]):
            path.chmod(0o755)
    loop = Loop(
        docker_engine,
        {
            "AMEND_IMAGE": image,
            "PROMETHEUS_IMAGE": stand_in(docker_engine, tmp_path, "prometheus", "/prometheus"),
            "ALERTMANAGER_IMAGE": stand_in(docker_engine, tmp_path, "alertmanager", "/alertmanager"),
            "DOCKER_PROXY_IMAGE": proxy_stand_in(docker_engine, tmp_path),
            "DOCKER_SOCKET": str(docker_engine.socket),
            "SECRETS": str(kept),
            **{f"{name}_PORT": str(free_port()) for name in ("AMEND", "PROMETHEUS", "ALERTMANAGER", "SHOP")},
        },
    )
    loop.compose("up", "--detach", "--no-build")
    yield loop
    loop.compose("down", "--volumes")


def test_a_leak_is_seen_answered_by_a_restart_and_verified(loop: Loop) -> None:
    until(lambda: answers(f"{loop.url('amend')}/-/ready"), why="Amend is ready")
    until(lambda: answers(f"{loop.url('shop')}/health"), why="the shop is up")
    before = loop.started("shop")

    httpx.post(f"{loop.url('shop')}/faults", json={"leak": 20}, timeout=60, trust_env=False).raise_for_status()

    until(lambda: loop.started("shop") > before, why="the shop is restarted", every=0.5)
    until(lambda: answers(f"{loop.url('shop')}/health"), why="the shop is up again")
    fixed = 'amend_runs_total{outcome="fixed",playbook="restart-leaking-shop"} 1.0'
    until(lambda: loop.counted(fixed), why="the run is fixed", every=0.5)
    assert "serving" in loop.compose("logs", "amend")


def test_the_rules_of_the_loop_are_sound() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", FILES / "shop.rules.yml")
