"""Alerts that a person makes up: a trial tells what would be done and leaves no trace; the other kind is answered."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.alerts import Alert
from receiver.approval import Answer
from receiver.audit import Kind
from receiver.pipeline import Pipeline
from receiver.run import MADE_UP, Outcome, Reason, Status
from receiver.trigger import Trial, Trigger
from tests.workbench import RESTART, START, Bench, Quiet

ASKS = RESTART + "  approval: {approvers: [team-shop]}\n"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def trigger(bench: Bench) -> Trigger:
    pipeline: Pipeline = bench.worker.pipeline
    return Trigger(pipeline.world, pipeline.judgement, lambda: list(bench.playbooks.values()), lambda: None)


def made_up(bench: Bench, status: str = "firing", **labels: str) -> Alert:
    ended = {"endsAt": bench.now.isoformat()} if status == "resolved" else {}
    named = {"alertname": "Slow", "service": "orders", **labels}
    return Alert.model_validate({"labels": named, "status": status, "startsAt": bench.now.isoformat(), **ended})


def tried(bench: Bench, **labels: str) -> Trial:
    [trial] = bench.do(trigger(bench).tried(made_up(bench, **labels)))
    return trial


def test_a_trial_tells_the_target_and_the_steps_and_does_nothing(bench: Bench) -> None:
    trial = tried(bench)
    assert trial.would == "act"
    assert trial.target
    assert trial.target["key"] == "docker/local/container/orders"
    assert [step["verb"] for step in trial.steps] == ["restart"]
    assert "target" in trial.passed
    assert (bench.calls, bench.runs(), bench.audit()) == ([], [], [])


def test_a_trial_tells_the_first_no(bench: Bench) -> None:
    bench.fire()
    bench.wait(minutes=1)
    trial = tried(bench)
    assert trial.would == "skip"
    assert trial.refusal
    assert trial.refusal.reason is Reason.COOLDOWN
    assert len(bench.runs()) == 1


def test_a_trial_tells_what_would_follow_upon_a_no_that_gives_up(bench: Bench) -> None:
    bench.write_playbooks(
        RESTART.replace("mode: enforce", "mode: enforce\n  cooldown: 0s")
        + "  on_failure:\n  - stop: {}\n  - notify: {receiver: pager, message: '{{ run.reason }}'}\n"
    )
    assert tried(bench).on_failure == []
    bench.fire()
    bench.resolve()
    bench.wait(minutes=20)
    trial = tried(bench)
    assert trial.refusal
    assert trial.refusal.reason is Reason.MAX_ATTEMPTS
    assert [step["arguments"] for step in trial.on_failure] == [{"receiver": "pager", "message": "max_attempts"}]
    assert len(bench.runs()) == 1


def test_a_trial_tells_that_people_would_be_asked_and_asks_nobody(bench: Bench) -> None:
    bench.write_playbooks(ASKS)
    trial = tried(bench)
    assert (trial.would, trial.asks) == ("ask", "the playbook always asks")
    assert bench.audit() == []


def test_a_playbook_that_observes_would_only_observe(bench: Bench) -> None:
    bench.write_playbooks(RESTART.replace("mode: enforce", "mode: observe"))
    assert tried(bench).would == "observe"


def test_an_alert_that_no_playbook_answers_has_no_trial(bench: Bench) -> None:
    assert bench.do(trigger(bench).tried(made_up(bench, alertname="Other"))) == []


def test_a_label_that_the_target_lacks_is_told(bench: Bench) -> None:
    bench.write_playbooks(RESTART.replace("labels.service", "labels.pod"))
    trial = tried(bench)
    assert trial.refusal
    assert trial.refusal.reason is Reason.NO_TARGET


def test_one_that_is_to_be_answered_is_answered_and_says_who_made_it_up(bench: Bench) -> None:
    bench.do(trigger(bench).send(made_up(bench), by="anna"))
    bench.work()
    assert bench.calls == [("restart", "orders")]
    assert bench.run().outcome is Outcome.NONE
    [row] = [entry for entry in bench.audit() if entry.kind == Kind.TRIGGERED]
    assert (row.actor, row.data["labels"]["service"]) == ("anna", "orders")


def test_it_is_never_the_same_alert_as_one_that_was_delivered(bench: Bench) -> None:
    bench.fire()
    bench.do(trigger(bench).send(made_up(bench), by="anna"))
    bench.work()
    assert [episode.source for episode in bench.episodes()] == ["default", MADE_UP]
    assert bench.runs()[1].reason is Reason.COOLDOWN
    bench.do(trigger(bench).send(made_up(bench, "resolved"), by="anna"))
    bench.work()
    assert [episode.open for episode in bench.episodes()] == [True, False]


def test_an_alertmanager_that_never_heard_of_it_does_not_end_it(tmp_path: Path) -> None:
    with Quiet() as alertmanager, Bench(tmp_path, ASKS, alertmanager=alertmanager.url) as bench:
        bench.do(trigger(bench).send(made_up(bench), by="anna"))
        bench.work()
        assert bench.run().status is Status.WAITING
        bench.now = START + timedelta(minutes=5)
        bench.do(bench.approvals.answer(1, Answer.APPROVED, by="anna"))
        bench.work()
        assert bench.calls == [("restart", "orders")]
