"""Faults are what the demo breaks the shop with: each must break it, and each must be mended by asking."""

from collections.abc import Iterator

import pytest
import requests

from tests.bed.processes import answers, until
from tests.demo.conftest import NETWORK, Engine, ProcessEngine, address


@pytest.fixture
def users(process_engine: ProcessEngine) -> Iterator[str]:
    """The URL of one service of the shop."""
    client = process_engine.connect()
    client.networks.create(NETWORK)
    container = Engine(client).create("python3", "-m", "shop.users", name="users")
    container.start()
    url = address(container)
    until(lambda: answers(f"{url}/health"), why="users does not answer")
    yield url
    client.close()


def inject(users: str, faults: object) -> requests.Response:
    return requests.post(f"{users}/faults", json=faults, timeout=60)


def sample(users: str, name: str) -> float:
    lines = requests.get(f"{users}/metrics", timeout=60).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_latency_is_felt_and_measured(users: str) -> None:
    inject(users, {"latency": 0.4})
    answer = requests.get(f"{users}/users/1", timeout=60)
    assert answer.elapsed.total_seconds() > 0.3
    assert sample(users, "http_request_duration_seconds_sum") > 0.3
    assert sample(users, 'http_requests_total{code="200"}') == 1


def test_errors_strike_as_often_as_asked_and_stop_when_asked(users: str) -> None:
    inject(users, {"errors": 1})
    assert requests.get(f"{users}/users/1", timeout=60).status_code == 500
    assert sample(users, 'http_requests_total{code="500"}') == 1
    inject(users, {"errors": 0})
    assert requests.get(f"{users}/users/1", timeout=60).status_code == 200


def test_a_leak_grows_the_resident_memory(users: str) -> None:
    before = sample(users, "process_resident_memory_bytes ")
    inject(users, {"leak": 50})
    enough = before + 20 * 1024 * 1024
    until(lambda: sample(users, "process_resident_memory_bytes ") > enough, why="it does not grow")


def test_scrapes_and_health_checks_are_no_business_requests(users: str) -> None:
    assert answers(f"{users}/metrics")
    assert answers(f"{users}/health")
    assert sample(users, "http_requests_total{") == 0


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"latncy": 1}, "unknown fault 'latncy'; there are latency, errors, leak"),
        ({"latency": "slow"}, "latency: a number from 0 is wanted, not 'slow'"),
        ({"errors": -1}, "errors: a number from 0 is wanted, not -1"),
        ([1], 'an object such as {"latency": 0.5} is wanted, not [1]'),
    ],
)
def test_a_wrong_fault_is_refused_and_changes_nothing(users: str, faults: object, said: str) -> None:
    answer = inject(users, faults)
    assert (answer.status_code, answer.json()["error"]) == (400, said)
    assert set(inject(users, {}).json().values()) == {0.0}
