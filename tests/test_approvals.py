"""People are asked before a run acts: once, in time, and about exactly what will be done."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.approval import Answer, Approval
from receiver.approvals import NotAsked, Unanswerable, Unapproved, Unknown
from receiver.asking import Asking
from receiver.case import Case
from receiver.errors import Permanent
from receiver.run import Outcome, Reason, Status
from receiver.settings.receivers import Receiver
from receiver.store import approvals, runs
from receiver.workload import Workload
from tests.bed.http_recorder import HttpRecorder
from tests.bed.receiver import alert
from tests.workbench import START, Bench, Quiet, workload

ASKS = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  max_attempts: {count: 9}
  approval: {approvers: [team-shop], timeout: 10m}
  steps:
  - restart: {}
  on_failure:
  - scale: {by: 1}
  - notify: {receiver: team-shop, message: "it is {{ run.outcome }}"}
"""


@pytest.fixture
def bench(tmp_path: Path, recorder: HttpRecorder) -> Iterator[Bench]:
    team = Receiver.model_validate({"name": "team-shop", "webhook": {"url": f"{recorder.url}/told"}})
    with Bench(tmp_path, ASKS, receivers=[team]) as bench:
        yield bench


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    with Quiet() as quiet:
        yield quiet


def asked(bench: Bench) -> Approval:
    """The newest question."""
    run_id = bench.run().id
    found = bench.read(lambda c: approvals.latest(c, run_id))
    assert found
    return found


def answer(
    bench: Bench, said: Answer = Answer.APPROVED, *, by: str = "anna", comment: str = "", digest: str | None = None
) -> None:
    bench.do(bench.approvals.answer(bench.run().id, said, by=by, comment=comment, digest=digest))
    bench.work()


# ── asking ──


def test_a_run_that_needs_an_approval_waits_and_shows_what_it_would_do(bench: Bench, recorder: HttpRecorder) -> None:
    bench.fire()
    run = bench.run()
    assert (run.status, run.detail) == (Status.WAITING, "the playbook always asks")
    assert run.wake_at == START + timedelta(minutes=10)
    assert bench.calls == []
    assert asked(bench).shown == {
        "target": {"key": "docker/local/container/orders", "name": "container/orders", "uid": "uid-orders"},
        "steps": [{"verb": "restart", "arguments": {}}],
        "on_failure": [{"verb": "scale", "arguments": {"by": 1}}, {"verb": "notify"}],
    }
    (told,) = recorder.requests
    assert told.json()["message"] == (
        "run 1 (Slow): may restart do restart on docker/local/container/orders? "
        "Answer until 10:10:00 UTC; the playbook always asks"
    )
    assert told.json()["link"].startswith("http://amend.test/approvals/")


def test_further_deliveries_ask_no_second_time(bench: Bench, recorder: HttpRecorder) -> None:
    bench.fire()
    for _ in range(3):
        bench.now += timedelta(minutes=1)
        bench.fire(started=START)
    assert len(recorder.requests) == 1
    assert bench.kinds().count("approval_asked") == 1


def test_people_who_cannot_be_told_do_not_keep_the_run_from_waiting(bench: Bench, recorder: HttpRecorder) -> None:
    recorder.answer(500)
    bench.fire()
    assert bench.run().wake_at == START + timedelta(minutes=10)
    answer(bench)
    assert bench.calls == [("restart", "orders")]


def test_who_died_before_people_were_told_is_followed_by_one_who_tells_them(
    bench: Bench, recorder: HttpRecorder
) -> None:
    recorder.answer(500)
    bench.fire()
    run = bench.run()
    bench.write(lambda c: _forget(c, run.id))
    recorder.answer(200)
    bench.now += timedelta(seconds=16)
    bench.work(bench.another_worker("second"))
    assert len([each for each in recorder.requests if each.json()["link"]]) >= 2
    assert bench.kinds().count("approval_asked") == 1


def _forget(connection: sa.Connection, run_id: int) -> None:
    run = runs.get(connection, run_id)
    assert run
    kept = {name: value for name, value in run.state.items() if name != "told"}
    runs.change(connection, run, at=START, wake_at=START, state=kept)


def test_observe_mode_asks_nobody_and_says_that_it_would(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(ASKS.replace("mode: enforce", "mode: observe"))
    bench.fire()
    assert bench.run().detail == "would have asked people (the playbook always asks), then would have done: restart"
    assert recorder.requests == []


@pytest.mark.parametrize(("hour", "waits"), [(9, True), (20, False)])
def test_who_asks_by_day_acts_alone_at_night(bench: Bench, *, hour: int, waits: bool) -> None:
    rule = "approval: {required: when_active, active_time_intervals: [daytime], approvers: [team-shop]"
    day = 'time_intervals:\n- name: daytime\n  time_intervals: [{times: [{start_time: "08:00", end_time: "18:00"}]}]\n'
    bench.write_playbooks(ASKS.replace("approval: {approvers: [team-shop]", rule) + day)
    bench.now = START.replace(hour=hour)
    bench.fire()
    assert bench.run().status is (Status.WAITING if waits else Status.DONE)


def test_who_was_asked_by_day_is_waited_for_when_the_day_is_over(bench: Bench) -> None:
    rule = "approval: {required: when_active, active_time_intervals: [daytime], approvers: [team-shop]"
    day = 'time_intervals:\n- name: daytime\n  time_intervals: [{times: [{start_time: "08:00", end_time: "18:00"}]}]\n'
    bench.write_playbooks(ASKS.replace("approval: {approvers: [team-shop]", rule) + day)
    bench.now = START.replace(hour=17, minute=55)
    bench.fire()
    bench.wait(minutes=11)
    assert bench.run().reason is Reason.APPROVAL_TIMEOUT, "silence never lets it run"
    assert bench.calls == []


# ── answers ──


def test_once_approved_it_acts_once(bench: Bench) -> None:
    bench.fire()
    answer(bench, comment="go on")
    assert bench.calls == [("restart", "orders")]
    assert asked(bench).used_at == START
    rows = {entry.kind: entry for entry in bench.audit()}
    assert (rows["approved"].actor, rows["approved"].data["comment"]) == ("anna", "go on")
    assert rows["approved"].seq < rows["intent"].seq


def test_a_rejection_ends_it_and_only_tells_people(bench: Bench, recorder: HttpRecorder) -> None:
    bench.fire()
    answer(bench, Answer.REJECTED, comment="not now")
    run = bench.run()
    assert (run.status, run.reason) == (Status.SKIPPED, Reason.APPROVAL_REJECTED)
    assert run.detail == "rejected by anna: not now"
    assert bench.calls == [], "scale of on_failure needs an approval as well"
    assert recorder.requests[-1].json()["message"] == "it is none"
    bench.now += timedelta(hours=1)
    bench.fire(started=START)
    assert bench.calls == []


@pytest.mark.parametrize("escalates", [True, False])
def test_when_nobody_answers_in_time_it_never_runs(bench: Bench, recorder: HttpRecorder, *, escalates: bool) -> None:
    if not escalates:
        bench.write_playbooks(ASKS.replace("timeout: 10m", "timeout: 10m, on_timeout: skip"))
    bench.fire()
    bench.wait(minutes=10)
    assert (bench.run().reason, bench.calls) == (Reason.APPROVAL_TIMEOUT, [])
    assert asked(bench).decision is Answer.EXPIRED
    assert len(recorder.requests) == (2 if escalates else 1)
    with pytest.raises(Unanswerable, match="the time to decide was over at 2026-03-02 10:10:00 UTC"):
        answer(bench)


def test_an_answer_counts_once(bench: Bench) -> None:
    bench.fire()
    answer(bench)
    with pytest.raises(Unanswerable, match="it was approved already, by anna"):
        answer(bench, Answer.REJECTED)
    assert bench.calls == [("restart", "orders")]


def test_of_fifty_who_agree_at_once_one_is_heard(bench: Bench) -> None:
    bench.fire()
    run_id = bench.run().id

    async def all_at_once() -> list[object]:
        agree = [bench.approvals.answer(run_id, Answer.APPROVED, by="anna") for _ in range(50)]
        return list(await asyncio.gather(*agree, return_exceptions=True))

    said = bench.do(all_at_once())
    assert sum(each is None for each in said) == 1
    bench.work()
    assert bench.calls == [("restart", "orders")]


def test_who_is_in_none_of_the_teams_is_not_heard(bench: Bench) -> None:
    bench.fire()
    with pytest.raises(NotAsked, match='"ben" is in none of the teams that were asked: team-shop'):
        answer(bench, by="ben")
    assert bench.calls == []


def test_nobody_can_agree_to_a_run_that_asks_nobody(bench: Bench) -> None:
    bench.write_playbooks(ASKS.replace("  approval: {approvers: [team-shop], timeout: 10m}\n", ""))
    bench.fire()
    for run_id, said in ((1, "nobody is asked about run 1, which is done"), (7, "there is no run 7")):
        with pytest.raises(Unknown, match=said):
            bench.do(bench.approvals.answer(run_id, Answer.APPROVED, by="anna"))


# ── what was shown is what is done ──


def test_what_was_shown_is_what_counts(bench: Bench) -> None:
    bench.fire()
    with pytest.raises(Unanswerable, match="what is asked has changed"):
        answer(bench, digest="of something else")
    answer(bench, digest=asked(bench).digest)
    assert bench.calls == [("restart", "orders")]


def test_another_container_of_that_name_is_another_question(bench: Bench, recorder: HttpRecorder) -> None:
    bench.fire()
    first = asked(bench)
    bench.platform.workloads["orders"] = workload("orders")
    object.__setattr__(bench.platform.workloads["orders"], "uid", "a new one")
    answer(bench)
    assert (bench.run().status, bench.calls) == (Status.WAITING, [])
    second = asked(bench)
    assert second.id != first.id
    assert second.shown["target"]["uid"] == "a new one"
    assert len(recorder.requests) == 2
    answer(bench)
    assert bench.calls == [("restart", "orders")]


def test_a_playbook_that_was_changed_meanwhile_asks_again(bench: Bench) -> None:
    bench.fire()
    bench.write_playbooks(ASKS.replace("  - restart: {}\n", "  - scale: {to: 3}\n"))
    answer(bench)
    assert (bench.run().status, bench.calls) == (Status.WAITING, [])
    assert asked(bench).shown["steps"] == [{"verb": "scale", "arguments": {"to": 3}}]


def test_new_numbers_in_what_tells_people_are_no_other_question(bench: Bench) -> None:
    tells = '  steps:\n  - notify: {receiver: team-shop, message: "{{ value }}"}\n'
    bench.write_playbooks(ASKS.replace("  steps:\n", tells))
    bench.fire(annotations={"value": "1"})
    bench.now += timedelta(minutes=1)
    bench.fire(started=START, annotations={"value": "2"})
    answer(bench)
    assert bench.calls == [("restart", "orders")]


# ── what comes between ──


def test_an_alert_that_ends_withdraws_the_question(bench: Bench) -> None:
    bench.fire()
    bench.now += timedelta(minutes=1)
    bench.resolve()
    assert (bench.run().reason, asked(bench).decision) == (Reason.RESOLVED, Answer.WITHDRAWN)
    with pytest.raises(Unanswerable, match="nothing is asked any more"):
        answer(bench)


def test_an_alert_that_fires_again_is_asked_about_again(bench: Bench) -> None:
    bench.fire()
    bench.now += timedelta(minutes=1)
    bench.resolve()
    bench.now += timedelta(minutes=1)
    bench.fire()
    assert bench.run().status is Status.WAITING
    answer(bench)
    assert bench.calls == [("restart", "orders")]


def test_a_pause_during_the_wait_holds_what_was_approved(bench: Bench) -> None:
    bench.fire()
    bench.do(bench.standstill.pause("anna", ""))
    answer(bench)
    assert (bench.run().reason, bench.calls) == (Reason.PAUSED, [])
    bench.now += timedelta(minutes=2)
    bench.do(bench.standstill.resume("anna", ""))
    bench.work()
    assert bench.calls == [("restart", "orders")], "what was agreed to holds for as long as one may answer"


def test_what_was_agreed_to_long_ago_is_asked_again(bench: Bench) -> None:
    bench.fire()
    bench.do(bench.standstill.pause("anna", ""))
    answer(bench)
    bench.now += timedelta(minutes=11)
    bench.do(bench.standstill.resume("anna", ""))
    bench.work()
    assert (bench.run().status, bench.calls) == (Status.WAITING, [])
    assert bench.run().detail == "the playbook always asks; what anna agreed to is too old"


def test_an_answer_that_comes_while_people_are_told_is_heard_at_once(bench: Bench, recorder: HttpRecorder) -> None:
    recorder.stall()
    bench.store(alert("Slow", service="orders", started=START))

    async def answer_quickly() -> None:
        await bench.worker._turn()
        await asyncio.to_thread(recorder.wait_for, 1)
        await bench.approvals.answer(1, Answer.APPROVED, by="anna")
        recorder.release()

    bench.do(answer_quickly())
    bench.work()
    assert bench.calls == [("restart", "orders")]


def test_a_second_attempt_is_a_second_question(bench: Bench) -> None:
    bench.platform.failing = ValueError("a fault of ours")
    bench.fire()
    answer(bench)
    assert len(bench.calls) == 1
    bench.platform.failing = None
    bench.resolve(started=START)
    bench.now += timedelta(hours=1)
    bench.fire()
    assert bench.run().status is Status.WAITING


# ── on_failure ──


def test_on_failure_may_change_what_was_shown_and_agreed_to(bench: Bench) -> None:
    bench.write_playbooks(ASKS.replace("max_attempts: {count: 9}", "max_attempts: {count: 1}"))
    bench.platform.workloads["orders"] = workload("orders", replicas=1, ready=1)
    bench.platform.failing = Permanent("broken")
    bench.fire()
    answer(bench)
    assert bench.calls == [("restart", "orders"), ("scale to 2", "orders")]
    assert bench.run().outcome is Outcome.FAILED


# ── autonomy ──


def test_a_playbook_acts_alone_once_it_has_earned_it(bench: Bench) -> None:
    earn = "approval: {required: low_confidence}\n  autonomy: {min_runs: 2, min_success: 60%}"
    verified = ASKS.replace("approval: {approvers: [team-shop], timeout: 10m}", earn)
    bench.write_playbooks(verified.replace("  on_failure:", "  verify: {healthy: true}\n  on_failure:"))
    for service in ("orders", "users", "payments"):
        bench.platform.workloads[service] = workload(service, replicas=1, ready=1, healthy=True)
    for service, says in (("orders", "0 runs acted so far"), ("users", "1 runs acted so far")):
        bench.fire(service=service)
        assert bench.run().detail == f"{says}; autonomy.min_runs asks for 2"
        answer(bench)
        bench.wait(minutes=6)
        assert bench.run().outcome is Outcome.FIXED
    bench.fire(service="payments")
    assert bench.calls[2:] == [("restart", "payments")]


def test_a_playbook_without_approval_that_has_not_earned_it_does_not_act(bench: Bench) -> None:
    bench.write_playbooks(ASKS.replace("approval: {approvers: [team-shop], timeout: 10m}", "autonomy: {}"))
    bench.fire()
    assert (bench.run().reason, bench.calls) == (Reason.LOW_CONFIDENCE, [])


# ── cancelling ──


def test_a_run_that_waits_can_be_cancelled_for_good(bench: Bench) -> None:
    bench.fire()
    bench.do(bench.approvals.cancel(bench.run().id, by="anna", comment="by hand"))
    assert (bench.run().status, bench.run().detail) == (Status.CANCELLED, "by anna: by hand")
    with pytest.raises(Unanswerable):
        answer(bench)
    bench.now += timedelta(minutes=5)
    bench.fire(started=START)
    assert bench.calls == []
    assert [entry.actor for entry in bench.audit() if entry.kind == "cancelled"] == ["anna"]


def test_what_has_begun_cannot_be_cancelled(bench: Bench) -> None:
    bench.fire()
    answer(bench)
    with pytest.raises(Unanswerable, match="run 1 is done; only what has not begun can be cancelled"):
        bench.do(bench.approvals.cancel(1, by="anna"))
    with pytest.raises(Unknown):
        bench.do(bench.approvals.cancel(9, by="anna"))


# ── links ──


def test_a_link_is_about_one_request_and_no_letter_of_it_can_be_changed(bench: Bench) -> None:
    bench.fire()
    request = asked(bench)
    token = bench.signer.approval(request)
    assert bench.do(bench.approvals.signed(token)) == request
    for position in range(len(token)):
        altered = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(Unknown):
            bench.do(bench.approvals.signed(altered))


# ── what comes between, and is easily missed ──


def test_what_ended_in_a_silence_while_people_were_asked(tmp_path: Path, quiet: Quiet) -> None:
    with Bench(tmp_path, ASKS, alertmanager=quiet.url) as bench:
        bench.fire()
        bench.now += timedelta(minutes=5)
        answer(bench)  # silenced and over and no more silenced since; Alertmanager lists nothing
        assert bench.calls == []


def test_a_playbook_that_becomes_observe_closes_its_question(bench: Bench) -> None:
    bench.fire()
    bench.write_playbooks(ASKS.replace("mode: enforce", "mode: observe"))
    run_id = bench.run().id
    bench.write(lambda c: runs.wake(c, [run_id], at=bench.now))
    bench.work()
    assert (bench.run().outcome, bench.calls, pending(bench)) == (Outcome.OBSERVED, [], 0)


def test_an_alert_that_ends_while_people_are_told_withdraws_the_question(bench: Bench, recorder: HttpRecorder) -> None:
    recorder.stall()
    bench.store(alert("Slow", service="orders", started=START))

    async def end_quickly() -> None:
        await bench.worker._turn()
        await asyncio.to_thread(recorder.wait_for, 1)

    bench.do(end_quickly())
    bench.now += timedelta(seconds=5)
    bench.store(alert("Slow", service="orders", started=START, ended=bench.now))

    async def close() -> None:
        await bench.worker._turn()
        recorder.release()

    bench.do(close())
    bench.work()
    assert (bench.run().reason, pending(bench)) == (Reason.RESOLVED, 0)


def test_a_refire_while_a_resolved_playbook_asks(bench: Bench) -> None:
    bench.write_playbooks(ASKS.replace("  target:", "  on: resolved\n  target:"))
    bench.fire()
    bench.now += timedelta(minutes=1)
    bench.resolve()
    assert bench.run().status is Status.WAITING
    bench.now += timedelta(minutes=1)
    bench.fire()
    assert pending(bench) == 0


def test_a_no_is_a_no_although_the_container_was_replaced_meanwhile(bench: Bench) -> None:
    bench.fire()
    bench.platform.workloads["orders"] = another("orders")
    answer(bench, Answer.REJECTED)
    assert bench.run().reason is Reason.APPROVAL_REJECTED


def test_a_question_that_changes_escalates_in_time(bench: Bench) -> None:
    bench.fire()
    for number in range(6):
        bench.platform.workloads["orders"] = another("orders", number)
        bench.wait(minutes=10)
    assert bench.run().reason is Reason.APPROVAL_TIMEOUT, bench.run().detail


def test_a_further_step_acts_on_the_container_that_was_shown(bench: Bench) -> None:
    bench.write_playbooks(ASKS.replace("  - restart: {}\n", "  - restart: {}\n  - scale: {by: 1}\n"))
    bench.platform.workloads["orders"] = workload("orders", replicas=1, ready=1)
    bench.fire()

    async def replaced() -> None:
        bench.platform.workloads["orders"] = another("orders")

    bench.platform.meanwhile = replaced
    answer(bench)
    assert bench.calls == [("restart", "orders")]


def test_on_failure_acts_on_the_container_that_was_shown(bench: Bench) -> None:
    bench.write_playbooks(ASKS.replace("max_attempts: {count: 9}", "max_attempts: {count: 1}"))
    bench.platform.workloads["orders"] = workload("orders", replicas=1, ready=1)
    bench.fire()

    async def replaced() -> None:
        bench.platform.workloads["orders"] = another("orders")

    bench.platform.meanwhile, bench.platform.failing = replaced, Permanent("broken")
    answer(bench)
    assert bench.calls == [("restart", "orders")]


def test_an_old_yes_is_not_for_an_alert_that_fires_again(bench: Bench) -> None:
    bench.fire()
    bench.do(bench.standstill.pause("anna", ""))
    answer(bench)
    bench.now += timedelta(minutes=1)
    bench.resolve()
    bench.do(bench.standstill.resume("anna", ""))
    bench.work()
    bench.now += timedelta(minutes=1)
    bench.fire()
    assert (bench.calls, bench.run().status) == ([], Status.WAITING)


def test_a_no_that_comes_while_the_run_is_looked_at_again_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fire()
    run_id = bench.run().id
    bench.write(lambda c: runs.wake(c, [run_id], at=bench.now))
    ask = Asking.ask

    async def answered_first(self: Asking, case: Case, unapproved: Unapproved, *, passed: list[str]) -> None:
        monkeypatch.setattr(Asking, "ask", ask)
        await bench.approvals.answer(run_id, Answer.REJECTED, by="anna")
        await ask(self, case, unapproved, passed=passed)

    monkeypatch.setattr(Asking, "ask", answered_first)
    bench.work()
    assert bench.run().reason is Reason.APPROVAL_REJECTED


def test_expiry_while_alertmanager_is_away_is_a_timeout(tmp_path: Path, quiet: Quiet) -> None:
    with Bench(tmp_path, ASKS, alertmanager=quiet.url) as bench:
        bench.fire()
        quiet.alerts = [dict(bench.episodes()[0].labels)]
        bench.now += timedelta(minutes=10)
        with bench.away():
            bench.work()
        bench.wait(minutes=2)
        assert bench.run().reason is Reason.APPROVAL_TIMEOUT


def pending(bench: Bench) -> int:
    return bench.read(approvals.count_pending)


def another(name: str, number: int = 0) -> Workload:
    """A workload of the same name that is not the same."""
    return replace(workload(name, replicas=1, ready=1), uid=f"another-{name}-{number}")
