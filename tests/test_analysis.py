"""`analyze`: always advice, in one form and in time, from a model or by thumb; and never more than advice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver.analysis.advice import LONGEST, Advice
from receiver.analysis.situation import Deployed, Past, Situation
from receiver.analysis.thumb import advise
from receiver.marker import MarkerStatus
from receiver.run import Outcome
from receiver.settings.analyze import Analyze
from receiver.settings.receivers import Receiver
from tests.bed.http_recorder import HttpRecorder
from tests.workbench import RESTART, Bench

PLAYBOOK = """
- name: think
  mode: enforce
  matchers: ['alertname="Slow"']
  steps:
  - analyze: {receiver: team-shop, logs: {app: "{{ labels.service }}"}, lines: 2}
    timeout: 20s
"""

SAID = {
    "root_cause": {"description": "the pool is exhausted", "confidence": 0.8, "reasoning": "the log says so"},
    "recommended_actions": [
        {"action": "scale", "reasoning": "more connections", "risk": "low", "priority": 2},
        {"action": "restart", "reasoning": "frees them", "risk": "low", "priority": 1},
    ],
    "severity": "high",
    "estimated_customer_impact": "one in ten carts fails",
}


@pytest.fixture
def people() -> Iterator[HttpRecorder]:
    with HttpRecorder() as people:
        yield people


@pytest.fixture
def model() -> Iterator[HttpRecorder]:
    with HttpRecorder() as model:
        says(model, SAID)
        yield model


@pytest.fixture
def bench(tmp_path: Path, people: HttpRecorder, model: HttpRecorder) -> Iterator[Bench]:
    receiver = Receiver.model_validate({"name": "team-shop", "webhook": {"url": people.url}})
    with Bench(tmp_path, PLAYBOOK, receivers=[receiver]) as bench:
        bench.model = Analyze.model_validate({"url": model.url, "model": "llama3.2", "timeout": "10s"})
        bench.worker = bench.another_worker("with a model")
        yield bench


def says(model: HttpRecorder, advice: Any) -> None:
    content = advice if isinstance(advice, str) else json.dumps(advice)
    model.answer(200, json.dumps({"message": {"role": "assistant", "content": content}}).encode())


def result(bench: Bench) -> Any:
    return bench.run().steps[-1].result


def test_the_model_is_asked_once_in_a_form_and_its_advice_is_kept_and_told(
    bench: Bench, model: HttpRecorder, people: HttpRecorder
) -> None:
    bench.fire(value="0.9", z_score="5")
    [asked] = model.requests
    assert asked.path == "/api/chat"
    body = asked.json()
    assert (body["model"], body["stream"], body["format"]["type"]) == ("llama3.2", False, "object")
    situation = json.loads(body["messages"][1]["content"])
    assert (situation["alertname"], situation["labels"]["service"]) == ("Slow", "orders")
    assert result(bench)["by"] == "llama3.2"
    assert {name: result(bench)[name] for name in SAID} == SAID
    told = people.requests[0].json()["message"]
    assert told.splitlines()[:2] == [
        "Slow: Probable cause (80%, by llama3.2): the pool is exhausted",
        "1. restart (low risk): frees them",
    ]
    assert told.endswith("nothing of it was carried out.")


def test_nothing_that_a_model_says_is_carried_out(bench: Bench, model: HttpRecorder) -> None:
    says(model, {**SAID, "steps": [{"restart": {}}], "recommended_actions": []})
    bench.fire()
    assert bench.calls == []
    assert [step.verb for step in bench.run().steps] == ["analyze"]


@pytest.mark.parametrize(
    "wrong",
    [
        "I think you should restart it.",
        "{}",
        "[]",
        "null",
        '{"root_cause": ' * 5000,
        json.dumps({**SAID, "severity": "apocalyptic"}),
        json.dumps({**SAID, "root_cause": {**SAID["root_cause"], "confidence": 7}}),  # type: ignore[dict-item]
        json.dumps({**SAID, "recommended_actions": [SAID["recommended_actions"][0]] * 11}),  # type: ignore[index]
    ],
)
def test_a_model_that_keeps_not_to_the_form_is_left_out(bench: Bench, model: HttpRecorder, wrong: str) -> None:
    says(model, wrong)
    bench.fire()
    assert result(bench)["by"] == "rules of thumb"
    assert result(bench)["notes"][-1].startswith("llama3.2 ")
    assert bench.run().outcome is Outcome.NONE


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[" * 100_000, b'{"message": 1}', b'{"error": "no such model"}'])
def test_an_answer_of_another_form_is_no_advice(bench: Bench, model: HttpRecorder, answer: bytes) -> None:
    model.answer(200, answer)
    bench.fire()
    assert result(bench)["by"] == "rules of thumb"


def test_a_model_that_is_missing_is_told(bench: Bench, model: HttpRecorder) -> None:
    model.answer(404, b'{"error": "model llama3.2 not found"}')
    bench.fire()
    assert result(bench)["notes"][-1] == 'llama3.2 answered 404: {"error": "model llama3.2 not found"}'


def test_a_model_that_is_slow_is_not_waited_for(bench: Bench, model: HttpRecorder) -> None:
    bench.model = Analyze.model_validate({"url": model.url, "model": "llama3.2", "timeout": "300ms"})
    bench.worker = bench.another_worker("in a hurry")
    model.stall()
    bench.fire()
    assert result(bench)["by"] == "rules of thumb"
    assert result(bench)["notes"][-1].startswith("llama3.2 did not answer within") or "no answer" in str(result(bench))


def test_people_who_cannot_be_told_do_not_cost_the_advice(bench: Bench, people: HttpRecorder) -> None:
    people.answer(404)
    bench.fire()
    assert result(bench)["root_cause"]["description"] == "the pool is exhausted"
    assert result(bench)["not_told"].startswith("team-shop: ")


# ── log lines ──


def test_log_lines_are_asked_for_by_labels_and_shown_to_the_model(bench: Bench, model: HttpRecorder) -> None:
    with HttpRecorder() as loki:
        bench.loki = loki.url
        bench.worker = bench.another_worker("with logs")
        values = [["2", "later"], ["1", "earlier"]]
        loki.answer(200, json.dumps({"data": {"result": [{"values": values}, {"values": [["3", "last"]]}]}}).encode())
        bench.fire(service='or"d\\ers"} |= "')
        asked = loki.requests[0].path
    assert asked.startswith(
        "/loki/api/v1/query_range?query=%7Bapp%3D%22or%5C%22d%5C%5Cers%5C%22%7D+%7C%3D+%5C%22%22%7D&"
    )
    assert json.loads(model.requests[0].json()["messages"][1]["content"])["logs"] == ["later", "last"]


@pytest.mark.parametrize(
    "answer", [(500, b"busy"), (200, b"<html>"), (200, b'{"data": {"result": [{"values": [1]}]}}')]
)
def test_a_loki_that_does_not_tell_is_left_out(bench: Bench, answer: tuple[int, bytes]) -> None:
    with HttpRecorder() as loki:
        bench.loki = loki.url
        bench.worker = bench.another_worker("with logs")
        loki.answer(*answer)
        bench.fire()
    assert result(bench)["by"] == "llama3.2"
    assert result(bench)["notes"][0].startswith("without log lines: Loki ")


def test_a_loki_that_hangs_leaves_time_for_advice(tmp_path: Path, model: HttpRecorder) -> None:
    hurried = PLAYBOOK.replace("receiver: team-shop, ", "").replace("timeout: 20s", "timeout: 4s")
    with HttpRecorder() as loki, Bench(tmp_path, hurried) as bench:
        bench.model = Analyze.model_validate({"url": model.url, "model": "llama3.2"})
        bench.loki = loki.url
        bench.worker = bench.another_worker("with a Loki that hangs")
        loki.stall()
        bench.fire()
        assert bench.run().steps[0].error == ""
        assert result(bench)["by"] == "llama3.2"
        assert result(bench)["notes"] == ["without log lines: Loki did not answer within 1.28s"]


def test_logs_without_a_loki_are_told_to_be_missing(bench: Bench) -> None:
    bench.fire()
    assert result(bench)["notes"] == ["no Loki is configured; add loki: {url: …} to amend.yml"]


# ── by thumb ──


def test_what_helped_the_last_time_is_recommended(tmp_path: Path) -> None:
    both = RESTART + "  verify: {healthy: true, absent_for: 0s}\n" + PLAYBOOK.replace("receiver: team-shop, ", "")
    with Bench(tmp_path, both) as bench:
        bench.platform.workloads["orders"] = bench.platform.workloads["orders"].__class__(
            **{**vars(bench.platform.workloads["orders"]), "healthy": True, "ready": 1}
        )
        bench.fire()
        bench.wait(minutes=5)
        bench.resolve()
        bench.wait(hours=2)
        bench.fire()
        thought = next(run for run in reversed(bench.runs()) if run.playbook == "think")
    assert thought.steps[0].result["recommended_actions"][0]["action"] == "restart"


def situation(**known: Any) -> Situation:
    nothing: dict[str, Any] = {"labels": {}, "annotations": {}, "numbers": {}, "deployments": (), "runs": ()}
    return Situation(alertname="Slow", firing_since="", target=None, **{**nothing, **known})


def deployed(minutes: int, status: str = "succeeded") -> Deployed:
    return Deployed(service="orders", version="1.2", status=status, minutes_before_the_alert=minutes)


@pytest.mark.parametrize(("minutes", "suspected"), [(10, True), (-3, True), (-10, False), (61, False)])
def test_a_deployment_just_before_the_alert_is_suspected(minutes: int, *, suspected: bool) -> None:
    advice = advise(situation(deployments=(deployed(minutes),)))
    assert (advice.recommended_actions[0].action == "rollback") == suspected


def test_what_was_rolled_back_already_is_not_suspected() -> None:
    assert advise(situation(deployments=(deployed(10, "rolled_back"),))).root_cause.description == "unknown"


def test_where_nothing_stands_out_confidence_is_low() -> None:
    assert advise(situation()).root_cause.confidence <= 0.1


def test_the_severity_is_the_alerts() -> None:
    assert advise(situation(labels={"severity": "critical"})).severity == "critical"
    assert advise(situation(labels={"severity": "P1!"})).severity == "medium"


RUNS = st.builds(
    Past,
    playbook=st.just("a"),
    did=st.lists(st.sampled_from(["restart", "scale", "notify", "http", "unheard-of"]), min_size=1, max_size=3).map(
        tuple
    ),
    outcome=st.sampled_from([*Outcome]),
    target=st.none(),
    at=st.just(""),
)
DEPLOYMENTS = st.builds(
    Deployed,
    service=st.text(max_size=5),
    version=st.text(max_size=5),
    status=st.sampled_from([*MarkerStatus]),
    minutes_before_the_alert=st.integers(-100_000, 100_000),
)


@given(
    runs=st.lists(RUNS, max_size=10).map(tuple),
    deployments=st.lists(DEPLOYMENTS, max_size=5).map(tuple),
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_the_thumb_always_has_advice_in_the_same_form(runs: Any, deployments: Any, labels: Any) -> None:
    advice = advise(situation(runs=runs, deployments=deployments, labels=labels))
    assert Advice.model_validate_json(advice.model_dump_json()) == advice
    assert advice.told(by="rules of thumb").startswith("Probable cause (")


@given(st.text(max_size=3 * LONGEST))
def test_no_text_of_a_model_breaks_a_line_or_runs_on(text: str) -> None:
    try:
        advice = Advice.model_validate({**SAID, "estimated_customer_impact": text})
    except ValidationError:
        return
    assert len(advice.estimated_customer_impact) <= LONGEST
    assert len(advice.told(by="a").splitlines()) == 5
