"""Both platforms in front of something real: a Docker Engine, and a Kubernetes API server that speaks real HTTP.

Each stands behind a proxy that records what is sent and can lose or hold back the answers.
"""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from docker.models.services import Service

from receiver.settings import platforms
from receiver.targets import Platform
from receiver.targets.docker.host import DockerHost
from receiver.targets.kubernetes.cluster import Cluster
from receiver.workload import Selector, Workload
from tests.bed.docker_engine import DockerEngine
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import daemon_set, deployment, stateful_set
from tests.bed.processes import until
from tests.bed.proxy import Proxy

Result = TypeVar("Result")

HASTE = timedelta(seconds=1)
NOTICED = 0.8  #: seconds for which a loop stands still before people notice
TICK = 0.02  #: seconds
Make = Callable[..., dict[str, Any]]
EVERY_KIND = pytest.mark.parametrize("make", [deployment, stateful_set, daemon_set])

ALLOWED = {"amend.enable": "true"}


@dataclass(frozen=True)
class Subject:
    """One platform with a workload of two replicas that is well, in front of a proxy."""

    platform: Platform
    hasty: Platform  #: the same, and soon tired of waiting for an answer
    proxy: Proxy
    selector: Selector
    key: str
    forbidden: Selector  #: exists, and may not be touched
    replace: Callable[[], object]  #: by another one of the same name
    changes_per_restart: int
    unreachable: Platform  #: the same, where nobody listens


@pytest.fixture
def docker_proxy(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(docker_engine.socket, Path(tempfile.mkdtemp(dir=docker_engine.directory)) / "proxy.sock") as proxy:
        yield proxy


@pytest.fixture
def host(docker_proxy: Proxy) -> DockerHost:
    return DockerHost(platforms.Docker(name="local", url=docker_proxy.url))


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as api:
        yield api


@pytest.fixture
def cluster(api: KubernetesApi, tmp_path: Path) -> Cluster:
    return Cluster(platforms.Kubernetes(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"), namespaces=("shop",)))


@pytest.fixture(scope="module")
def managing(dockerd: DockerEngine) -> Iterator[None]:
    """The run's engine manages a Swarm while this file's tests run."""
    with dockerd.swarm():
        yield


@pytest.fixture
def swarm(docker_engine: DockerEngine, managing: None) -> DockerEngine:
    """An engine that manages a Swarm: services stay until the file ends, as they take their time to go."""
    return docker_engine


@pytest.fixture(params=["docker", "swarm", "kubernetes"])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(f"{request.param}_subject")
    return found


@pytest.fixture
def docker_subject(docker_engine: DockerEngine, docker_proxy: Proxy, tmp_path: Path) -> Subject:
    for place in (1, 2):
        compose_container(docker_engine, place)
    docker_engine.run(name="stranger")

    def replace() -> None:
        docker_engine.client.containers.get("shop-orders-2").remove(force=True)
        compose_container(docker_engine, 2)

    return Subject(
        platform=DockerHost(platforms.Docker(url=docker_proxy.url)),
        hasty=DockerHost(platforms.Docker(url=docker_proxy.url), patience=HASTE),
        proxy=docker_proxy,
        selector=docker_selector("compose", "orders", scope="shop"),
        key="docker/local/compose/shop/orders",
        forbidden=docker_selector("container", "stranger"),
        replace=replace,
        changes_per_restart=2,
        unreachable=DockerHost(platforms.Docker(url=f"unix://{tmp_path}/nobody.sock")),
    )


@pytest.fixture
def swarm_subject(swarm: DockerEngine, docker_proxy: Proxy, tmp_path: Path) -> Subject:
    if not swarm.client.services.list(filters={"name": "orders"}):
        swarm_service(swarm, "orders")
        swarm.service(name="stranger", replicas=0)
    until(lambda: at_rest(_orders(swarm)), every=0.05, why="the last test's changes")

    def replace() -> None:
        _orders(swarm).remove()  # type: ignore[no-untyped-call]
        swarm_service(swarm, "orders")

    return Subject(
        platform=DockerHost(platforms.Docker(url=docker_proxy.url)),
        hasty=DockerHost(platforms.Docker(url=docker_proxy.url), patience=HASTE),
        proxy=docker_proxy,
        selector=docker_selector("service", "orders"),
        key="docker/local/service/orders",
        forbidden=docker_selector("service", "stranger"),
        replace=replace,
        changes_per_restart=1,
        unreachable=DockerHost(platforms.Docker(url=f"unix://{tmp_path}/nobody.sock")),
    )


@pytest.fixture
def kubernetes_subject(api: KubernetesApi, tmp_path: Path) -> Iterator[Subject]:
    wanted = deployment("cart", replicas=2)
    first = api.add(wanted)
    api.add(deployment("cart", namespace="other"))

    def replace() -> None:
        api.remove(first)
        api.add(wanted)

    host, port = api.address.split(":")
    with Proxy((host, int(port))) as proxy:
        through_proxy = platforms.Kubernetes(
            kubeconfig=api.kubeconfig(tmp_path / "through-proxy", server=proxy.url), namespaces=("shop",)
        )
        to_nobody = platforms.Kubernetes(
            kubeconfig=api.kubeconfig(tmp_path / "to-nobody", server="http://127.0.0.1:1"), namespaces=("shop",)
        )
        yield Subject(
            platform=Cluster(through_proxy),
            hasty=Cluster(through_proxy, patience=HASTE),
            proxy=proxy,
            selector=kubernetes_selector("Deployment", "cart"),
            key="kubernetes/default/shop/Deployment/cart",
            forbidden=kubernetes_selector("Deployment", "cart", scope="other"),
            replace=replace,
            changes_per_restart=1,
            unreachable=Cluster(to_nobody),
        )


def compose_container(engine: DockerEngine, place: int, *command: str, service: str = "orders", **options: Any) -> Any:
    """A container as Compose makes it."""
    labels = ALLOWED | {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": str(place),
        "com.docker.compose.oneoff": "False",
        **options.pop("labels", {}),
    }
    name = options.pop("name", f"shop-{service}-{place}")
    return engine.run(*command, name=name, labels=labels, **options)


def swarm_service(engine: DockerEngine, name: str, *command: str, replicas: int = 2, **options: Any) -> Service:
    """A service whose tasks all run."""
    service = engine.service(*command, name=name, labels=options.pop("labels", ALLOWED), replicas=replicas, **options)
    until(lambda: at_rest(service, replicas), every=0.05, why=f"the tasks of {name}")
    return service


def _orders(engine: DockerEngine) -> Service:
    return engine.client.services.get("orders")  # type: ignore[no-untyped-call, no-any-return]


def at_rest(service: Service, replicas: int = 2) -> bool:
    """So many tasks run, and no update is under way."""
    service.reload()
    tasks: list[dict[str, Any]] = service.tasks(filters={"desired-state": "running"})  # type: ignore[no-untyped-call]
    running = [task for task in tasks if task["Status"]["State"] == "running"]
    return len(running) == replicas and (service.attrs.get("UpdateStatus") or {}).get("State") != "updating"


def docker_selector(kind: str, name: str, *, scope: str | None = None) -> Selector:
    return Selector(platform="docker", instance=None, kind=kind, name=name, scope=scope)


def kubernetes_selector(kind: str, name: str, *, scope: str | None = "shop") -> Selector:
    return Selector(platform="kubernetes", instance=None, kind=kind, name=name, scope=scope)


def resolve(cluster: Cluster, found: dict[str, Any]) -> Workload:
    """What is in the API server, as the platform finds it."""
    return run(cluster.resolve(kubernetes_selector(found["kind"], found["metadata"]["name"])))


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """To its end, and nothing may hold up the loop meanwhile for as long as people notice."""

    async def watched() -> Result:
        loop, ended = asyncio.get_running_loop(), threading.Event()
        still = longest = 0

        def turn() -> None:
            nonlocal still
            still = 0
            loop.call_later(TICK, turn)

        def count() -> None:
            # Counted by a thread's own ticks, which come late when it is the machine that is busy, and not the loop.
            nonlocal still, longest
            while not ended.wait(TICK):
                still += 1
                longest = max(longest, still)

        turn()
        counting = threading.Thread(target=count)
        counting.start()
        try:
            return await work
        finally:
            ended.set()
            counting.join()
            assert longest < NOTICED / TICK, f"the event loop stood still for {longest * TICK:.2f} s"

    return asyncio.run(watched())
