"""What holds a run still: the pause switch, the breaker, the playbook's calendar, a silence."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from receiver import metrics
from receiver.decision import Decision, Judgement
from receiver.errors import Permanent, Temporary
from receiver.run import Outcome, Reason, Status
from receiver.settings.limits import Breaker, Limits
from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import free_port
from tests.workbench import RESTART, START, Bench, Quiet, workload

RULE = Breaker(failures=2, within=timedelta(minutes=30), storm_cooldown=timedelta(minutes=10))

STEPS = """
- name: calls
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  steps:
  - restart: {{}}
  - http: {{url: "{url}/second"}}
  on_failure:
  - http: {{url: "{url}/failed"}}
  - scale: {{by: 1}}
"""

DAYTIME = """
time_intervals:
- name: daytime
  time_intervals:
  - {times: [{start_time: "08:00", end_time: "18:00"}]}
- name: lunch
  time_intervals:
  - {times: [{start_time: "12:00", end_time: "13:00"}]}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, limits=Limits(breaker=RULE, actions_per_minute=100, targets_per_10m=100)) as bench:
        yield bench


def pause(bench: Bench) -> None:
    assert bench.do(bench.standstill.pause("anna", "deploying"))


def resume(bench: Bench) -> None:
    assert bench.do(bench.standstill.resume("ben", ""))


# ── the pause switch ──


def test_while_paused_nothing_is_begun_and_what_waited_goes_on_afterwards(bench: Bench) -> None:
    pause(bench)
    bench.fire()
    run = bench.run()
    assert (run.status, run.reason) == (Status.SKIPPED, Reason.PAUSED)
    assert run.detail == "paused by anna since 2026-03-02 10:00:00 UTC: deploying"
    bench.wait(hours=1)
    assert bench.calls == []
    resume(bench)
    bench.work()
    assert bench.calls == [("restart", "orders")]


def test_a_pause_is_in_the_books_with_who_and_why_and_in_a_metric(bench: Bench) -> None:
    pause(bench)
    assert metrics.PAUSED._value.get() == 1
    assert not bench.do(bench.standstill.pause("carl", "again")), "it is paused already, and stays anna's"
    resume(bench)
    assert metrics.PAUSED._value.get() == 0
    rows = [(entry.kind, entry.actor, entry.data) for entry in bench.audit()]
    assert rows == [("paused", "anna", {"why": "deploying"}), ("resumed", "ben", {"why": ""})]


def test_what_ended_while_paused_is_not_acted_on(bench: Bench) -> None:
    pause(bench)
    bench.fire()
    bench.now += timedelta(minutes=1)
    bench.resolve()
    resume(bench)
    bench.work()
    assert bench.calls == []


def test_a_pause_stops_a_run_before_its_next_step(tmp_path: Path, bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(STEPS.format(url=recorder.url))

    async def somebody_pauses() -> None:
        await bench.standstill.pause("anna", "")

    bench.platform.meanwhile = somebody_pauses
    bench.fire()
    run = bench.run()
    assert (run.outcome, run.detail.partition(" since")[0]) == (Outcome.FAILED, "http: paused by anna")
    assert recorder.requests == [], "neither the second step nor those of on_failure that act"
    refused = [entry.data["reason"] for entry in bench.audit() if entry.kind == "step_failed"]
    assert refused == ["paused", "paused"]


# ── the breaker ──


def fail(bench: Bench, *services: str) -> None:
    bench.platform.failing = Permanent("broken")
    for service in services:
        bench.fire(service=service)
    bench.platform.failing = None


def test_too_many_failures_hold_everything_still_until_few_are_left(bench: Bench) -> None:
    fail(bench, "orders", "users")
    bench.fire(service="payments")
    run = bench.run()
    assert (run.reason, run.wake_at) == (Reason.BREAKER_OPEN, START + timedelta(minutes=30))
    bench.wait(minutes=29, seconds=59)
    assert len(bench.calls) == 2
    bench.wait(seconds=1)
    assert bench.calls[2:] == [("restart", "payments")]


def test_a_breaker_that_opened_and_closed_is_told_once(bench: Bench) -> None:
    fail(bench, "orders", "users")
    for minutes in (0, 1, 31, 32):
        bench.now = START + timedelta(minutes=minutes)
        bench.do(bench.standstill.look())
        assert metrics.BREAKER_OPEN._value.get() == (minutes < 30)
    told = [entry for entry in bench.audit() if entry.kind.startswith("breaker")]
    assert [entry.kind for entry in told] == ["breaker_opened", "breaker_closed"]
    assert told[0].data["why"] == "2 runs within 0:30:00 did not help; everything holds still until 10:30:00 UTC"


def test_resuming_forgives_failures(bench: Bench) -> None:
    fail(bench, "orders", "users")
    bench.fire(service="payments")
    bench.now += timedelta(seconds=1)
    resume(bench)
    bench.work()
    assert bench.calls[2:] == [("restart", "payments")]


def test_a_failure_is_followed_by_no_action_of_on_failure_while_the_breaker_is_open(
    bench: Bench, recorder: HttpRecorder
) -> None:
    bench.write_playbooks(STEPS.format(url=recorder.url))
    bench.platform.workloads["users"] = workload("users", replicas=2, ready=2)
    fail(bench, "orders", "payments")
    before = [entry.data.get("reason") for entry in bench.audit() if entry.kind == "step_failed"]
    assert Reason.BREAKER_OPEN not in before, "a run's own failure does not count before it is over"
    bench.fire(service="users")
    assert bench.run().reason is Reason.BREAKER_OPEN


# ── the calendar ──


def test_outside_of_its_hours_a_playbook_waits_for_them(bench: Bench) -> None:
    bench.write_playbooks(RESTART + "  active_time_intervals: [daytime]\n" + DAYTIME)
    bench.now = START.replace(hour=19)
    bench.fire()
    run = bench.run()
    assert (run.reason, run.detail) == (Reason.OUTSIDE_TIME_INTERVAL, "it is not daytime")
    assert run.wake_at == START.replace(hour=8) + timedelta(days=1)
    bench.wait(hours=13)
    assert bench.calls == [("restart", "orders")]


def test_a_playbook_that_is_mute_waits_for_the_end_of_it(bench: Bench) -> None:
    bench.write_playbooks(RESTART + "  mute_time_intervals: [lunch]\n" + DAYTIME)
    bench.now = START.replace(hour=12, minute=30)
    bench.fire()
    assert bench.run().detail == "it is lunch, when the playbook is mute"
    assert bench.run().wake_at == START.replace(hour=13)


# ── silences ──


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    with Quiet() as quiet:
        yield quiet


@pytest.fixture
def bench_beside(tmp_path: Path, quiet: Quiet) -> Iterator[Bench]:
    with Bench(tmp_path, alertmanager=quiet.url) as bench:
        yield bench


def test_what_is_silenced_is_not_acted_on_until_the_silence_is_over(bench_beside: Bench, quiet: Quiet) -> None:
    quiet.silenced_until = START + timedelta(hours=1)
    bench_beside.fire()
    run = bench_beside.run()
    assert (run.reason, run.wake_at) == (Reason.SILENCED, START + timedelta(hours=1))
    assert run.detail == "silenced by anna until 2026-03-02 11:00:00 UTC: known"
    bench_beside.fire(service="users")
    assert bench_beside.calls == [("restart", "users")]
    quiet.silenced_until, quiet.alerts = None, [dict(bench_beside.episodes()[0].labels)]
    bench_beside.wait(hours=1)
    assert bench_beside.calls[1:] == [("restart", "orders")]


def test_what_ended_while_it_was_silenced_is_left_alone(bench_beside: Bench, quiet: Quiet) -> None:
    quiet.silenced_until = START + timedelta(hours=1)
    bench_beside.fire()
    quiet.silenced_until = None
    bench_beside.wait(hours=1)
    assert (bench_beside.run().reason, bench_beside.calls) == (Reason.RESOLVED, [])


def test_without_an_answer_about_silences_nothing_is_done(tmp_path: Path) -> None:
    with Bench(tmp_path, alertmanager=f"http://127.0.0.1:{free_port()}") as bench:
        bench.fire()
        assert (bench.run().reason, bench.calls) == (Reason.GUARD_ERROR, [])
        assert bench.run().detail.startswith("silence: Alertmanager at")


# ── what comes between ──


def test_what_ended_while_silenced_is_left_alone_after_alertmanager_was_away(tmp_path: Path, quiet: Quiet) -> None:
    with Bench(tmp_path, alertmanager=quiet.url) as bench:
        quiet.silenced_until = START + timedelta(hours=1)
        bench.fire()
        quiet.silenced_until = None  # and the alert is over: it lists none
        bench.now = START + timedelta(hours=1)
        with bench.away():
            bench.work()
        assert bench.run().reason is Reason.GUARD_ERROR
        bench.wait(minutes=1)
        assert (bench.run().reason, bench.calls) == (Reason.RESOLVED, [])


def test_what_ended_while_silenced_is_left_alone_after_a_pause(tmp_path: Path, quiet: Quiet) -> None:
    with Bench(tmp_path, alertmanager=quiet.url) as bench:
        quiet.silenced_until = START + timedelta(hours=1)
        bench.fire()
        bench.do(bench.standstill.pause("anna", ""))
        quiet.silenced_until = None
        bench.now = START + timedelta(hours=1)
        bench.work()
        assert bench.run().reason is Reason.PAUSED
        bench.do(bench.standstill.resume("anna", ""))
        bench.work()
        assert (bench.run().reason, bench.calls) == (Reason.RESOLVED, [])


def test_what_ended_in_a_silence_while_it_waited_for_something_else(tmp_path: Path, quiet: Quiet) -> None:
    """It waits for its hours; is silenced meanwhile, ends, and the silence ends before the hours begin."""
    with Bench(tmp_path, alertmanager=quiet.url) as bench:
        bench.write_playbooks(RESTART + "  active_time_intervals: [daytime]\n" + DAYTIME)
        bench.now = START.replace(hour=19)
        bench.fire()
        bench.wait(hours=13)  # no `resolved` came: it was silenced when it ended; and Alertmanager lists nothing
        assert bench.calls == []


def test_resuming_after_a_clock_that_was_ahead_does_not_switch_the_breaker_off(bench: Bench) -> None:
    bench.write_playbooks(RESTART)
    bench.now = START + timedelta(days=30)
    fail(bench, "orders")
    bench.now = START
    bench.do(bench.standstill.resume("anna", ""))
    bench.now += timedelta(hours=1)
    fail(bench, "users", "payments")
    assert bench.read(bench.standstill.standing).breaker_open_until is not None


def test_a_pause_does_not_open_a_breaker_that_was_forgiven(bench: Bench) -> None:
    bench.write_playbooks(RESTART)
    fail(bench, "orders", "users")
    bench.now += timedelta(minutes=1)
    bench.do(bench.standstill.resume("anna", ""))
    assert metrics.BREAKER_OPEN._value.get() == 0
    bench.do(bench.standstill.pause("anna", ""))
    bench.do(bench.standstill.look())
    assert metrics.BREAKER_OPEN._value.get() == 0
    assert "breaker_opened" not in bench.kinds()


def test_a_restart_that_takes_long_does_not_lose_what_a_pause_holds(bench: Bench) -> None:
    bench.write_playbooks(RESTART)
    bench.do(bench.standstill.pause("anna", ""))
    bench.fire()
    bench.now += timedelta(minutes=30)  # the process was stopped
    bench.work()
    assert bench.run().reason is Reason.PAUSED
    bench.do(bench.standstill.resume("anna", ""))
    bench.work()
    assert bench.calls == [("restart", "orders")]


def test_resuming_while_a_run_is_being_refused_does_not_leave_it_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write_playbooks(RESTART)
    fail(bench, "users", "payments")
    judgement = type(bench.worker.pipeline.judgement)
    allow = judgement._allow

    async def resumed_in_between(self: Judgement, decision: Decision) -> None:
        monkeypatch.setattr(judgement, "_allow", allow)
        try:
            await allow(self, decision)
        finally:
            await bench.standstill.resume("anna", "")

    bench.now += timedelta(seconds=1)
    monkeypatch.setattr(judgement, "_allow", resumed_in_between)
    bench.fire(service="orders")
    bench.wait(seconds=30)
    assert ("restart", "orders") in bench.calls, (bench.run().reason, bench.run().wake_at)


def test_a_paused_retry_sends_nothing_more(bench: Bench) -> None:
    bench.write_playbooks(RESTART)

    async def paused_and_away() -> None:
        await bench.standstill.pause("anna", "")
        raise Temporary("nothing was sent")

    bench.platform.meanwhile = paused_and_away
    bench.fire()
    assert len(bench.calls) == 1
    assert "before it was tried again" in bench.run().detail
