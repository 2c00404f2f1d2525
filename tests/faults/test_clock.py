"""What holds an action back is in the books: neither kill -9 nor a clock that is set lets it through (promise 9)."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.run import Reason
from receiver.settings.limits import Limits
from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import until
from tests.bed.receiver import alert
from tests.faults.altered import ANYWHERE, Altered
from tests.faults.books import Books
from tests.workbench import RESTART, START, Bench

HOUR = timedelta(hours=1)

OFTEN = f"{RESTART}  cooldown: 5m\n  max_attempts: {{count: 9, within: 1h}}\n"

CALL = """
playbooks:
- name: call
  mode: enforce
  matchers: ['alertname="Broken"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  max_attempts: {{count: 9, within: 1h}}
  steps:
  - http: {{url: "{url}/{{{{ labels.service }}}}"}}
"""


def test_a_clock_that_is_set_back_ends_no_cooldown_early(tmp_path: Path) -> None:
    with Bench(tmp_path, OFTEN) as bench:
        bench.fire()
        bench.now -= HOUR
        bench.fire(instance="another")
        assert bench.run().reason is Reason.COOLDOWN
        bench.wait(hours=1, minutes=4, seconds=59)
        assert len(bench.calls) == 1
        bench.wait(seconds=2)
        assert len(bench.calls) == 2


def test_a_clock_that_was_ahead_for_a_while_ends_no_cooldown_early(tmp_path: Path) -> None:
    with Bench(tmp_path, OFTEN) as bench:
        bench.now += HOUR
        bench.fire()
        bench.now -= HOUR
        bench.fire(instance="another")
        bench.wait(hours=1, minutes=4)
        assert len(bench.calls) == 1
        bench.wait(minutes=1)
        assert len(bench.calls) == 2


@pytest.mark.parametrize(
    ("limits", "window"),
    [
        (Limits(actions_per_minute=2), timedelta(minutes=1)),
        (Limits(targets_per_10m=2), timedelta(minutes=10)),
    ],
    ids=["actions", "targets"],
)
def test_a_clock_that_is_set_back_makes_no_room_in_the_limits(
    limits: Limits, window: timedelta, tmp_path: Path
) -> None:
    with Bench(tmp_path, OFTEN, limits=limits) as bench:
        bench.fire(service="orders")
        bench.fire(service="users")
        bench.now -= HOUR
        bench.fire(service="payments")
        assert bench.run().reason is Reason.RATE_LIMITED
        bench.wait(seconds=(START + window - bench.now).total_seconds() - 1)
        assert len(bench.calls) == 2
        bench.wait(seconds=1)
        assert len(bench.calls) == 3


def test_neither_kill_9_nor_a_clock_that_is_set_lets_an_action_through(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, store: str
) -> None:
    amend = running.enter_context(
        Altered(
            tmp_path,
            altered={"crowd": "local"},
            playbooks=CALL.format(url=recorder.url),
            store={"url": store},
            **ANYWHERE,
            limits={"actions_per_minute": 9, "targets_per_10m": 3},
        )
    )
    books = Books(store)

    def decided(service: str, instance: str = "one") -> str:
        """Deliver an alert, wait until it is answered, and kill; why it was held back."""
        amend.post(alert("Broken", service=service, instance=instance))
        until(lambda: not books.undecided() and books.deeds()[-1].status != "acting", why="it is not decided")
        amend.kill9()
        return books.deeds()[-1].reason

    def start(clock: int) -> None:
        amend.alter(crowd="local", clock=clock)
        amend.start()

    assert decided("orders") == ""
    start(clock=-3600)
    assert decided("orders", "another") == "cooldown"
    for service in ("users", "payments"):
        start(clock=0)
        assert decided(service) == ""
    start(clock=-3600)
    assert decided("mail") == "rate_limited"
    start(clock=0)
    assert decided("search") == "rate_limited"
    assert [request.path for request in recorder.requests] == ["/orders", "/users", "/payments"]
    books.insist_on_integrity()


def decided_run(amend: Altered, service: str) -> dict[str, Any]:
    """The run of a service's alert, once it was done or refused."""

    def found() -> dict[str, Any] | None:
        runs = amend.runs(label=f"service={service}")
        return runs[0] if runs and runs[0]["status"] in ("skipped", "done") else None

    run = until(found, why=f"{service} is not decided")
    assert run
    return run


def test_a_breaker_stays_open_over_kills_and_a_clock_that_is_set_back(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, store: str
) -> None:
    recorder.answer(400)
    amend = running.enter_context(
        Altered(
            tmp_path,
            altered={"crowd": "local"},
            playbooks=CALL.format(url=recorder.url).replace("count: 9", "count: 1"),
            store={"url": store},
            **ANYWHERE,
            limits={"targets_per_10m": 99, "breaker": {"failures": 2, "within": "10m", "storm_cooldown": "20m"}},
        )
    )
    for clock, service, decided in (
        (0, "orders", "failed"),
        (0, "users", "failed"),
        (-3600, "payments", "breaker_open"),
        (0, "mail", "breaker_open"),
        (19 * 60, "search", "breaker_open"),
        (21 * 60, "cart", "done"),
    ):
        if decided == "done":
            recorder.answer(200)  # for those that waited, too, and all go on at once
        amend.kill9()
        amend.alter(crowd="local", clock=clock)
        amend.start()
        amend.post(alert("Broken", service=service))
        run = decided_run(amend, service)
        assert decided in (run["reason"], run["outcome"], run["status"]), f"{service}: {run}"
    first = [request.path for request in recorder.requests][:2]
    assert first == ["/orders", "/users"]
