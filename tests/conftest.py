"""Fixtures on real parts, and what CI adds: a test that is skipped has failed.

pytest calls the hooks; a test asks for a fixture, or opens a part of tests/bed in `running` or a `with` of its own.
"""

import os
import signal
import ssl
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.bed.docker_engine import DockerEngine
from tests.bed.http_recorder import HttpRecorder
from tests.bed.metrics_target import MetricsTarget
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import logs


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """`running.enter_context(Prometheus(…))`: it runs until the test ends, and parts end in reverse order."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def target() -> Iterator[MetricsTarget]:
    with MetricsTarget() as target:
        yield target


@pytest.fixture
def recorder() -> Iterator[HttpRecorder]:
    with HttpRecorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def dockerd() -> Iterator[DockerEngine]:
    """The one engine of the run; fixtures that build images ask for it, tests ask for `docker_engine`."""
    with DockerEngine() as engine:
        yield engine


@pytest.fixture
def docker_engine(dockerd: DockerEngine) -> Iterator[DockerEngine]:
    """The run's engine, which a test leaves without containers."""
    yield dockerd
    dockerd.clean()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """The one server of the run: a test asks it for a database of its own."""
    with PostgreSql() as server:
        yield server


IMAGES = ("tests/deploy/test_image.py", "tests/deploy/test_compose.py", "tests/demo/test_image.py")
LONGEST = (
    *IMAGES,
    "tests/demo/test_demo",
    "tests/faults/",
    "tests/flows/",
    "tests/benchmarks/",
    "tests/rulegen/test_live",
)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file stays in one process, as its tests may share a Docker Engine; those with the big images share one, too."""

    def _split_scope(self, nodeid: str) -> str:
        return "images" if nodeid.startswith(IMAGES) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then those of many tests: in the end nobody waits for one that was begun late."""
    tests = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int]:
        long = [number for number, start in enumerate(LONGEST) if item.nodeid.startswith(start)]
        return min(long, default=len(LONGEST)), -tests[item.path]

    items.sort(key=place)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-rounds", type=int, default=20, help="How often tests/faults kills what it kills (20).")


def pytest_configure() -> None:
    # As Ctrl-C does: by default SIGTERM ends pytest on the spot, and what it started would run on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Every HTTP client reads all certificates of the authorities: 20 ms of work, at each look whether a part is ready.
    ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
    # An example that is slow is one on a busy machine.
    settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(logs())
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a part that is missing is a failure, as are tests that nobody ran."""
    if "CI" in os.environ and isinstance(report.longrepr, tuple):  # only a skip tells its place as a tuple
        path, line, why = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {why}, and CI skips nothing"
