"""People are told of a run with all that a good message shows, and whoever does not listen holds nothing up."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receiver import telling
from receiver.run import Status
from receiver.settings.receivers import Receiver
from receiver.store import runs
from tests.bed.http_recorder import HttpRecorder
from tests.workbench import Bench

TELLS = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  max_attempts: {count: 9, within: 1d}
  cooldown: 1s
  steps:
  - restart: {}
  - notify: {receiver: team-shop, message: "restarted {{ target.name }}"}
    timeout: 1s
"""

ASKS = TELLS.replace("  steps:\n", "  approval: {approvers: [team-shop]}\n  steps:\n")


def team(recorder: HttpRecorder, **more: Any) -> Receiver:
    return Receiver.model_validate({"name": "team-shop", "webhook": {"url": f"{recorder.url}/told"}, **more})


@pytest.fixture
def bench(tmp_path: Path, recorder: HttpRecorder) -> Iterator[Bench]:
    with Bench(tmp_path, TELLS, receivers=[team(recorder)]) as bench:
        yield bench


def test_a_message_has_the_alert_its_numbers_and_what_was_done(bench: Bench, recorder: HttpRecorder) -> None:
    bench.fire(annotations={"summary": "orders is slow", "value": "0.9", "z_score": "4.2"})
    (request,) = recorder.requests
    told = request.json()
    assert told["message"] == "restarted orders"
    assert told["run"] == {"id": 1, "playbook": "restart", "attempt": 1, "target": "docker/local/container/orders"}
    assert (told["kind"], told["alert"], told["summary"]) == ("told", "Slow", "orders is slow")
    assert told["title"] == "Slow: restart on docker/local/container/orders"
    assert told["numbers"] == {"value": "0.9", "z_score": "4.2"}
    assert told["done"] == [{"verb": "restart", "status": "done", "said": "before: 0"}]
    assert told["key"].startswith("amend/")
    assert told["key"].endswith("/1")


def test_a_step_says_that_its_message_was_gathered(tmp_path: Path, recorder: HttpRecorder) -> None:
    with Bench(tmp_path, TELLS, receivers=[team(recorder, max_per_minute=1)]) as bench:
        bench.fire()
        bench.fire(service="users")
        found = [bench.read(partial(runs.get, run_id=run.id)) for run in bench.runs()]
        assert [run.steps[1].result for run in found if run] == [{"webhook": {"status": 200}}, {"gathered": 1}]
        assert [run.status for run in bench.runs()] == [Status.DONE] * 2
        bench.do(bench.receivers.close())
        assert [each.json()["message"] for each in recorder.requests] == ["restarted orders", "restarted users"]


def test_a_receiver_that_hangs_holds_its_step_no_longer_than_the_step_may_take(
    bench: Bench, recorder: HttpRecorder
) -> None:
    recorder.stall()
    began = time.monotonic()
    bench.fire()
    assert time.monotonic() - began < 10
    assert bench.run().status is Status.DONE
    assert bench.calls == [("restart", "orders")]


def test_who_is_asked_and_hangs_does_not_keep_the_run_from_waiting(
    bench: Bench, recorder: HttpRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "ASK_WITHIN", 0.5)
    bench.write_playbooks(ASKS)
    recorder.stall()
    began = time.monotonic()
    bench.fire()
    assert time.monotonic() - began < 10
    assert bench.run().status is Status.WAITING


def test_a_question_is_put_again_where_it_was_not_taken(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(ASKS)
    recorder.answer(503)
    recorder.before_answer = lambda _: recorder.answer(200) if len(recorder.requests) > 1 else None
    bench.fire()
    asked = [each.json()["question"]["digest"] for each in recorder.requests]
    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_a_question_says_what_would_be_done_and_until_when(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(ASKS)
    bench.fire()
    told = recorder.requests[0].json()
    assert told["kind"] == "asked"
    assert told["question"]["steps"] == [
        "restart",
        "notify (receiver: team-shop, message: restarted orders)",
    ]
    assert told["question"]["until"] == "2026-03-02T10:10:00+00:00"
    assert told["question"]["why"] == "the playbook always asks"
    assert "token" not in told["question"]
