"""A run's way from its match to its end, also when actions fail, processes die and alerts come and go."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
from prometheus_client import REGISTRY

from receiver import execution
from receiver.case import Case
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.plan import plan
from receiver.run import Outcome, Phase, Reason, Refusal, Run, Status, StepStatus
from receiver.settings.receivers import Receiver as Place
from receiver.settings.receivers import Webhook
from receiver.store.runs import change, next_wake
from receiver.store.steps import Superseded
from receiver.worker import LEASE
from tests.bed.http_recorder import HttpRecorder
from tests.bed.receiver import alert
from tests.workbench import RESTART, START, Answers, Bench, workload

RULE = {"type": "alerting", "name": "Slow", "query": "latency > 1", "labels": {}, "duration": 0}

ENDED = "the alert's expression is false, with samples behind it"
LASTS = "the alert's expression is still true"

VERIFIED = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  cooldown: 5m
  max_attempts: {count: 2, within: 1h}
  steps:
  - restart: {}
  verify: {resolved_within: 40s, absent_for: 20s}
  on_failure:
  - notify: {receiver: pager}
"""


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers() as answers:
        answers.rules = [RULE]
        well(answers)
        yield answers


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    """Retries as in earnest, but at once."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def bench(tmp_path: Path, answers: Answers, recorder: HttpRecorder) -> Iterator[Bench]:
    pager = Place(name="pager", webhook=Webhook.model_validate({"url": f"{recorder.url}/page"}))
    with Bench(tmp_path, VERIFIED, prometheus=answers.url, receivers=[pager]) as bench:
        yield bench


def well(answers: Answers) -> None:
    """The rule's expression is false, with samples behind it."""
    scraped = {f"count by ({labels}) (latency{{}})": 1.0 for labels in ("service", "service,severity")}
    answers.values = {"latency": 0.2, **scraped}


def ill(answers: Answers) -> None:
    answers.values = {"latency > 1": 9}


def outcomes(bench: Bench) -> list[Outcome]:
    return [run.outcome for run in bench.runs()]


def steps(run: Run) -> list[tuple[str, str, StepStatus]]:
    return [(step.phase, step.verb, step.status) for step in run.steps]


# ── acting ──


def test_a_fixed_run_tells_its_whole_story(bench: Bench) -> None:
    bench.fire()
    bench.wait(seconds=21)
    run = bench.run()
    assert (run.status, run.outcome, run.detail) == (Status.DONE, Outcome.FIXED, ENDED)
    assert run.finished_at == START + timedelta(seconds=21)
    assert bench.kinds() == ["episode_opened", "intent", "step_done", "verifying", "finished"]
    (step,) = run.steps
    assert (step.verb, step.status, step.result) == ("restart", StepStatus.DONE, {"before": 0})


def test_the_first_failure_stops_the_steps(bench: Bench) -> None:
    bench.write_playbooks(RESTART + "  - scale: {by: 1}\n")
    bench.platform.failing = Permanent("no such image")
    bench.fire()
    run = bench.run()
    assert (run.outcome, run.detail) == (Outcome.FAILED, "restart: no such image")
    assert bench.calls == [("restart", "orders")]


def test_all_arguments_are_filled_in_before_the_first_step(bench: Bench) -> None:
    bench.write_playbooks(RESTART + '  - notify: {receiver: pager, message: "{{ labels.nobody }}"}\n')
    bench.fire()
    assert (bench.run().status, bench.run().reason) == (Status.SKIPPED, Reason.GUARD_ERROR)
    assert bench.calls == []


def test_what_was_certainly_not_sent_is_tried_again(bench: Bench) -> None:
    bench.platform.failing = Temporary("connection refused")
    bench.fire()
    assert len(bench.calls) == 4
    assert bench.runs()[0].outcome is Outcome.FAILED


def test_a_lost_answer_is_never_sent_again_and_never_taken_for_success(bench: Bench) -> None:
    bench.platform.failing = Uncertain("sent, and no answer")
    bench.fire()
    assert bench.run().status is Status.VERIFYING
    bench.wait(seconds=21)
    run = bench.runs()[0]
    assert run.outcome is Outcome.UNKNOWN
    assert run.detail == f"restart: sent, and no answer; since then fixed: {ENDED}"
    assert bench.calls == [("restart", "orders")]
    assert len(bench.runs()) == 1  # what has ended by itself needs no further attempt


def test_an_action_that_hangs_is_unknown_after_its_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "SETTLE", 0.1)
    bench.write_playbooks(RESTART + "    timeout: 100ms\n")
    bench.platform.gate = asyncio.Event()
    bench.fire()
    assert (bench.run().outcome, bench.run().detail) == (Outcome.UNKNOWN, "restart: no answer within 0.1s")


def test_a_further_try_has_the_time_that_is_left_and_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[timedelta] = []

    async def busy(_: object, *, within: timedelta) -> None:
        given.append(within)
        await asyncio.sleep(0.2)
        raise Temporary("no answer; nothing was sent")

    monkeypatch.setattr(bench.platform, "restart", busy)
    bench.write_playbooks(RESTART + "    timeout: 5s\n")
    bench.fire()
    assert given[0] == timedelta(seconds=5)
    assert [span < timedelta(seconds=5 - 0.2 * place) for place, span in enumerate(given[1:], 1)] == [True] * 3


def test_what_is_cut_off_between_two_tries_was_certainly_not_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "SETTLE", 0.1)
    bench.write_playbooks(RESTART + "    timeout: 200ms\n")
    bench.platform.failing = Temporary("the server is busy; nothing was done", delay=60)
    stamina.set_testing(False)  # which a fixture has set, and ends: waits are real
    bench.fire()
    assert bench.calls == [("restart", "orders")]
    assert (bench.runs()[0].outcome, bench.runs()[0].detail) == (
        Outcome.FAILED,
        "restart: the server is busy; nothing was done",
    )


def test_people_are_told_once_more_rather_than_not_at_all(bench: Bench, recorder: HttpRecorder) -> None:
    recorder.drop()
    bench.write_playbooks(RESTART.replace("restart: {}", "notify: {receiver: pager}"))
    bench.fire()
    assert len(recorder.requests) == 4
    assert steps(bench.run()) == [("steps", "notify", StepStatus.UNKNOWN)]


# ── attempts, and on_failure ──


def test_the_next_attempt_follows_not_fixed_and_the_cooldown(bench: Bench, answers: Answers) -> None:
    ill(answers)
    bench.fire()
    bench.wait(seconds=75)
    first, second = bench.runs()
    assert (first.outcome, first.detail) == (Outcome.NOT_FIXED, LASTS)
    assert first.finished_at
    assert (second.attempt, second.status) == (2, Status.MATCHED)
    assert second.wake_at == first.finished_at + timedelta(minutes=5)
    well(answers)
    bench.wait(minutes=6)
    assert outcomes(bench) == [Outcome.NOT_FIXED, Outcome.FIXED]
    assert len(bench.calls) == 2


def test_no_attempt_follows_when_the_alert_is_over_by_then(bench: Bench, answers: Answers) -> None:
    ill(answers)
    bench.fire()
    bench.wait(seconds=75)
    bench.resolve()
    bench.wait(minutes=6)
    assert len(bench.calls) == 1
    assert (bench.run().status, bench.run().reason) == (Status.SKIPPED, Reason.RESOLVED)


def test_on_failure_follows_the_last_attempt_once(bench: Bench, answers: Answers, recorder: HttpRecorder) -> None:
    ill(answers)
    bench.fire()
    bench.wait(minutes=10)
    assert outcomes(bench) == [Outcome.NOT_FIXED, Outcome.NOT_FIXED]
    assert len(recorder.requests) == 1
    assert recorder.requests[0].json()["run"]["attempt"] == 2
    assert steps(bench.run())[-1] == ("on_failure", "notify", StepStatus.DONE)
    bench.fire(started=START)
    bench.wait(minutes=10)
    assert (len(recorder.requests), len(bench.runs())) == (1, 2)


def test_attempts_used_up_by_an_earlier_episode_call_on_failure_once_per_episode(
    bench: Bench, answers: Answers, recorder: HttpRecorder
) -> None:
    bench.write_playbooks(VERIFIED.replace("count: 2", "count: 1").replace("cooldown: 5m", "cooldown: 1s"))
    bench.fire()
    bench.wait(seconds=25)
    bench.fire(severity="high")
    assert (bench.run().status, bench.run().reason) == (Status.SKIPPED, Reason.MAX_ATTEMPTS)
    assert len(recorder.requests) == 1
    for _ in range(3):
        bench.fire(severity="high", started=bench.now)
        bench.wait(minutes=1)
    assert (len(recorder.requests), len(bench.calls)) == (1, 1)


def test_two_playbooks_of_one_episode_call_on_failure_once(
    bench: Bench, answers: Answers, recorder: HttpRecorder
) -> None:
    ill(answers)
    once = VERIFIED.replace("count: 2", "count: 1")
    bench.write_playbooks(once + once.replace("name: restart", "name: other"))
    bench.fire()
    bench.wait(minutes=5)
    assert outcomes(bench) == [Outcome.NOT_FIXED, Outcome.NOT_FIXED]
    assert len(recorder.requests) == 1


def test_a_failed_step_of_on_failure_keeps_none_of_the_others_from_being_done(
    bench: Bench, answers: Answers, recorder: HttpRecorder
) -> None:
    ill(answers)
    bench.write_playbooks(
        VERIFIED.replace("count: 2", "count: 1")
        + '  - notify: {receiver: pager, message: "{{ labels.nobody }}"}\n'
        + "  - notify: {receiver: nobody}\n"
        + '  - notify: {receiver: pager, message: "the last"}\n'
    )
    bench.fire()
    bench.wait(minutes=2)
    assert [request.json()["message"] for request in recorder.requests][-1] == "the last"
    assert len(recorder.requests) == 2
    told = [entry.data["error"] for entry in bench.audit() if entry.kind == "step_failed"]
    assert ["nobody" in told[0], told[1]] == [True, "there is no such receiver in amend.yml"]
    assert bench.run().status is Status.DONE


def test_a_step_of_on_failure_that_changes_the_workload_passes_the_limits(bench: Bench, answers: Answers) -> None:
    ill(answers)
    bench.write_playbooks(
        VERIFIED.replace("count: 2", "count: 1").replace("- notify: {receiver: pager}", "- scale: {by: 1}")
        + "  min_healthy: 100%\n"
    )
    bench.platform.workloads["orders"] = workload("orders", ready=1)
    bench.fire()
    bench.platform.workloads["orders"] = workload("orders", ready=0)
    bench.wait(minutes=2)
    assert bench.calls == [("restart", "orders")]
    assert [entry.data["reason"] for entry in bench.audit() if entry.kind == "step_failed"] == ["min_healthy"]


# ── alerts that come back ──


def test_a_fixed_alert_that_is_only_told_again_is_left_alone(
    bench: Bench, answers: Answers, recorder: HttpRecorder
) -> None:
    bench.write_playbooks(VERIFIED.replace("count: 2", "count: 1"))
    bench.fire()
    bench.wait(minutes=8)
    bench.fire(started=START)  # keep_firing_for holds it up
    bench.wait(minutes=8)
    assert outcomes(bench) == [Outcome.FIXED]
    assert recorder.requests == []


def test_a_fixed_alert_that_comes_back_is_answered_again_after_the_cooldown(bench: Bench) -> None:
    bench.fire()
    bench.wait(minutes=1)
    bench.resolve()
    bench.wait(minutes=1)
    bench.fire()
    assert len(bench.episodes()) == 1
    assert (bench.run().attempt, bench.run().reason) == (2, Reason.COOLDOWN)
    bench.wait(minutes=6)
    assert outcomes(bench) == [Outcome.FIXED, Outcome.FIXED]


def test_the_end_of_the_alert_has_the_verification_look_at_once(bench: Bench, answers: Answers) -> None:
    ill(answers)
    bench.write_playbooks(VERIFIED.replace("absent_for: 20s", "absent_for: 4m"))
    bench.fire()
    bench.wait(seconds=1)
    asked = len(answers.asked)
    bench.now += timedelta(seconds=1)
    bench.resolve()
    assert len(answers.asked) > asked


# ── health ──


@pytest.mark.parametrize(("healthy", "outcome"), [(True, Outcome.FIXED), (False, Outcome.NOT_FIXED)])
def test_health_is_the_platforms_own_judgement(bench: Bench, *, healthy: bool, outcome: Outcome) -> None:
    bench.write_playbooks(RESTART + "  verify: {healthy: true, absent_for: 1m}\n")
    bench.platform.workloads["orders"] = workload("orders", healthy=healthy, why="it restarts all the time")
    bench.fire()
    bench.wait(minutes=7)
    assert bench.run().outcome is outcome
    assert "healthy" in bench.run().detail


def test_a_workload_that_is_gone_is_neither_healthy_nor_still_in_progress(bench: Bench) -> None:
    bench.write_playbooks(RESTART + "  verify: {healthy: true, absent_for: 1m}\n")
    bench.fire()
    labels = {"playbook": "restart", "target": "docker/local/container/orders"}
    assert REGISTRY.get_sample_value("amend_remediation_in_progress", labels) == 1
    bench.platform.silent = Refusal(Reason.NO_TARGET, "it is gone")
    bench.wait(minutes=7)
    assert (bench.run().outcome, bench.run().detail) == (Outcome.UNKNOWN, "the workload cannot be looked at")
    assert REGISTRY.get_sample_value("amend_remediation_in_progress", labels) is None


# ── processes that die, or sleep ──


def asleep(bench: Bench) -> None:
    """The first process is in the middle of its step, and its lease runs out."""
    bench.platform.gate = asyncio.Event()
    bench.store(alert("Slow", service="orders", started=START))
    bench.begin()
    bench.now += LEASE + timedelta(seconds=1)


def wakes(bench: Bench) -> None:
    """The first process goes on where it was."""
    assert bench.platform.gate
    bench.platform.gate.set()
    bench.work()


def test_a_run_found_acting_is_unknown_and_never_repeated(bench: Bench) -> None:
    asleep(bench)
    bench.worker = bench.another_worker("second")
    bench.work()
    assert (bench.run().status, steps(bench.run())) == (
        Status.VERIFYING,
        [("steps", "restart", StepStatus.UNKNOWN)],
    )
    assert bench.kinds()[-2:] == ["interrupted", "verifying"]
    bench.wait(seconds=21)
    assert (bench.run().outcome, len(bench.calls)) == (Outcome.UNKNOWN, 1)
    assert bench.run().detail.startswith("cut off: the process that acted is gone; since then fixed")


def test_a_run_is_left_to_its_claimant_until_the_lease_is_over(bench: Bench) -> None:
    asleep(bench)
    bench.now -= timedelta(seconds=2)
    bench.do(bench.another_worker("second")._turn())
    assert bench.run().status is Status.ACTING


def test_nobody_looks_for_a_run_that_is_worked_on_before_its_lease_ends(bench: Bench) -> None:
    asleep(bench)
    assert bench.read(next_wake) == START + LEASE


def test_a_claimant_that_slept_too_long_cannot_record_over_its_successor(bench: Bench) -> None:
    asleep(bench)
    bench.work(bench.another_worker("second"))
    taken_over = bench.run()
    wakes(bench)
    assert bench.run() == taken_over
    (late,) = [entry for entry in bench.audit() if entry.kind == "late_effect"]
    assert (late.data["verb"], late.data["status"], late.run_id) == ("restart", "done", taken_over.id)


def test_a_claimant_that_slept_too_long_between_two_steps_does_not_begin_the_next(bench: Bench) -> None:
    bench.write_playbooks(RESTART + "  - scale: {by: 1}\n")
    asleep(bench)
    mine = bench.run()
    bench.work(bench.another_worker("second"))
    case = Case(mine, bench.episodes()[0], bench.playbooks["restart"], bench.now)
    (_, following) = plan(case, case.playbook.steps, phase=Phase.STEPS)
    with pytest.raises(Superseded):
        bench.do(bench.worker.pipeline.execution.carry_out(mine, case, following))
    assert bench.calls == [("restart", "orders")]
    assert "late_effect" not in bench.kinds()  # nothing was done


def test_on_failure_goes_on_after_a_crash_with_what_was_not_begun(
    bench: Bench, answers: Answers, recorder: HttpRecorder
) -> None:
    ill(answers)
    bench.write_playbooks(
        VERIFIED.replace("count: 2", "count: 1").replace("- notify:", "- scale: {by: 1}\n  - notify:")
    )
    bench.fire()
    bench.platform.calls.clear()
    bench.platform.gate = asyncio.Event()
    bench.now += timedelta(minutes=2)
    bench.begin()
    assert bench.calls == [("scale to 2", "orders")]
    bench.now += LEASE + timedelta(seconds=1)
    bench.work(bench.another_worker("second"))
    assert steps(bench.run())[1:] == [
        ("on_failure", "scale", StepStatus.UNKNOWN),
        ("on_failure", "notify", StepStatus.DONE),
    ]
    assert (bench.run().status, bench.run().outcome) == (Status.DONE, Outcome.NOT_FIXED)
    wakes(bench)
    assert (len(bench.calls), len(recorder.requests)) == (1, 1)


def test_on_failure_of_a_refused_run_goes_on_after_a_crash(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(
        VERIFIED.replace("count: 2", "count: 1").replace("cooldown: 5m", "cooldown: 1s")
        + '  - notify: {receiver: pager, message: "the last"}\n'
    )
    bench.fire()
    bench.wait(seconds=25)
    recorder.stall()
    bench.store(alert("Slow", service="orders", severity="high", started=bench.now))
    bench.do(bench.worker._turn())
    bench.do(asyncio.to_thread(recorder.wait_for, 1))
    bench.kill()
    recorder.release()
    bench.now += LEASE + timedelta(seconds=1)
    bench.work(bench.another_worker("second"))
    assert steps(bench.run()) == [
        ("on_failure", "notify", StepStatus.UNKNOWN),
        ("on_failure", "notify", StepStatus.DONE),
    ]
    assert (bench.run().status, bench.run().reason) == (Status.SKIPPED, Reason.MAX_ATTEMPTS)


def test_what_was_seen_before_a_long_absence_proves_nothing(bench: Bench) -> None:
    bench.write_playbooks(VERIFIED.replace("absent_for: 20s", "absent_for: 4m"))
    bench.fire()
    bench.wait(minutes=3)
    bench.now += timedelta(minutes=20)  # stopped, and started again
    bench.work()
    assert bench.runs()[0].outcome is Outcome.UNKNOWN


# ── what is no longer there, or was never right ──


def test_a_playbook_that_is_gone_ends_its_runs_without_a_claim(bench: Bench) -> None:
    bench.fire()
    bench.write_playbooks(RESTART.replace("name: restart", "name: other"))
    bench.wait(seconds=2)
    (run,) = bench.runs(playbook="restart")
    assert (run.status, run.outcome) == (Status.DONE, Outcome.UNKNOWN)
    assert run.detail == 'the playbook "restart" is no longer in force'


def test_a_fault_of_our_own_ends_the_run_as_unknown_and_is_in_the_books(bench: Bench) -> None:
    bench.platform.failing = ZeroDivisionError("a bug")
    bench.fire()
    run = bench.run()
    assert (run.status, run.outcome) == (Status.DONE, Outcome.UNKNOWN)
    assert run.detail == "a fault of amend's own: ZeroDivisionError: a bug"
    assert steps(run) == [("steps", "restart", StepStatus.UNKNOWN)]
    assert bench.kinds()[-1] == "finished"
    assert bench.audit()[-1].data["detail"] == run.detail


def test_a_fault_of_our_own_before_the_action_is_tried_again_later(bench: Bench) -> None:
    bench.platform.silent = ZeroDivisionError("a bug")
    bench.fire()
    assert (bench.run().reason, bench.run().wake_at) == (Reason.GUARD_ERROR, START + timedelta(seconds=30))
    bench.platform.silent = None
    bench.wait(seconds=30)
    assert bench.calls == [("restart", "orders")]


# ── what follows when the files have changed meanwhile ──


def test_a_playbook_that_was_put_back_to_observe_touches_nothing_more(bench: Bench) -> None:
    failing = (
        RESTART
        + "  on_failure:\n  - scale: {by: 1}\n  verify: {healthy: true, absent_for: 10s, resolved_within: 10s}\n"
    )
    bench.write_playbooks(failing)
    bench.fire()
    assert bench.run().status is Status.VERIFYING
    bench.write_playbooks(failing.replace("mode: enforce", "mode: observe"))
    bench.wait(minutes=5)
    assert bench.run().status is Status.DONE
    assert bench.calls == [("restart", "orders")]


def test_a_crash_after_the_last_result_is_verified_as_ever(bench: Bench) -> None:
    bench.fire()
    run = bench.run()
    assert [step.status for step in run.steps] == [StepStatus.DONE]
    asleep_after_all(bench, run)
    bench.work(bench.another_worker("second"))
    assert bench.run().outcome is Outcome.NONE
    assert "interrupted" not in bench.kinds()
    assert bench.calls == [("restart", "orders")]


def asleep_after_all(bench: Bench, run: Run) -> None:
    """Put the run back to where a process left it that died between the last result and what follows."""
    left: dict[str, Any] = {"status": Status.ACTING, "outcome": Outcome.NONE, "finished_at": None, "wake_at": bench.now}
    bench.write(lambda connection: change(connection, run, at=bench.now, **left))
