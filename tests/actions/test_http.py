"""`http` sends one request: what a playbook wrote, with an alert's labels as data in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.run import Outcome, Reason, StepStatus
from tests.bed.http_recorder import HttpRecorder
from tests.workbench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def calls(url: str, more: str = "") -> str:
    return f"""
- name: call
  mode: enforce
  matchers: ['alertname="Slow"']
  steps:
  - http: {{url: "{url}"{more}}}
"""


HOSTILE = {
    "../admin": "..%2Fadmin",
    "a/b": "a%2Fb",
    "a?b=c&d": "a%3Fb%3Dc%26d",
    "a#b": "a%23b",
    "a@evil.example": "a%40evil.example",
    "%2e%2e": "%252e%252e",
    "a\r\nX-Other: b": "a%0D%0AX-Other%3A%20b",
    "{{ labels.alertname }}": "%7B%7B%20labels.alertname%20%7D%7D",
    "ünï": "%C3%BCn%C3%AF",
}


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_stays_one_piece_of_the_path(bench: Bench, recorder: HttpRecorder, label: str) -> None:
    bench.write_playbooks(calls(f"{recorder.url}/restart/{{{{ labels.service }}}}/now?by={{{{ labels.service }}}}"))
    bench.fire(service=label)
    assert [request.path for request in recorder.requests] == [f"/restart/{HOSTILE[label]}/now?by={HOSTILE[label]}"]


@pytest.mark.parametrize("label", [".", ".."])
def test_a_label_cannot_step_back_in_the_path(bench: Bench, recorder: HttpRecorder, label: str) -> None:
    bench.write_playbooks(calls(f"{recorder.url}/services/{{{{ labels.service }}}}/restart"))
    bench.fire(service=label)
    assert recorder.requests == []
    assert bench.run().reason is Reason.GUARD_ERROR


@pytest.mark.parametrize("url", ["http://{{ labels.host }}/", "http://a.{{ labels.host }}/", "{{ labels.url }}", "//a"])
def test_a_host_is_no_template(bench: Bench, url: str) -> None:
    with pytest.raises(ConfigErrors, match="a host that is no template"):
        bench.write_playbooks(calls(url))


def test_a_body_is_json_with_the_labels_as_texts(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(calls(recorder.url, ', body: {name: "{{ labels.service }}", count: 2, force: true}'))
    bench.fire(service='or"ders')
    (request,) = recorder.requests
    assert request.json() == {"name": 'or"ders', "count": 2, "force": True}
    assert request.headers["content-type"] == "application/json"


def test_method_headers_and_plain_body_are_as_written(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(
        calls(recorder.url, ', method: PUT, body: "{{ labels.service }}", headers: {X-Service: "{{ labels.service }}"}')
    )
    bench.fire()
    (request,) = recorder.requests
    assert (request.method, request.body, request.headers["x-service"]) == ("PUT", b"orders", "orders")


def test_a_headers_value_is_sent_and_stands_in_no_record(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(calls(recorder.url, ', headers: {Authorization: "Bearer s3cret {{ labels.service }}"}'))
    bench.fire()
    assert recorder.requests[0].headers["authorization"] == "Bearer s3cret orders"
    assert bench.run().steps[0].arguments["headers"] == {"Authorization": "(20 characters)"}
    told = [json.dumps(entry.as_json()) for entry in bench.audit()]
    assert any('"Authorization": "(20 characters)"' in entry for entry in told)
    assert "s3cret" not in "".join(told)


def test_a_label_cannot_add_a_header(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(calls(recorder.url, ', headers: {X-Service: "{{ labels.service }}"}'))
    bench.fire(service="a\r\nX-Other: b")
    assert recorder.requests == []
    assert bench.run().outcome is Outcome.FAILED


def test_a_host_that_is_not_allowed_is_not_asked(bench: Bench, recorder: HttpRecorder) -> None:
    bench.write_playbooks(calls(recorder.url.replace("127.0.0.1", "localhost")))
    bench.fire()
    assert recorder.requests == []
    assert bench.run().detail == (
        'http: the host "localhost" is not allowed; add it to outbound.allow_hosts in amend.yml'
    )


@pytest.mark.parametrize(
    ("status", "expect", "outcome"),
    [
        (200, "", Outcome.NONE),
        (204, "", Outcome.NONE),
        (302, "", Outcome.FAILED),
        (404, "", Outcome.FAILED),
        (503, "", Outcome.FAILED),
        (404, ", expect: [404, 410]", Outcome.NONE),
        (200, ", expect: [202]", Outcome.FAILED),
    ],
)
def test_what_counts_as_done(bench: Bench, recorder: HttpRecorder, status: int, expect: str, outcome: Outcome) -> None:
    recorder.answer(status)
    bench.write_playbooks(calls(recorder.url, expect))
    bench.fire()
    assert bench.run().outcome is outcome
    assert len(recorder.requests) == 1


def test_of_a_long_answer_an_error_quotes_one_short_line(bench: Bench, recorder: HttpRecorder) -> None:
    recorder.answer(500, b"<html>\r\n<head>\n\n" + b"no " * 1000)
    bench.write_playbooks(calls(recorder.url))
    bench.fire()
    quoted = bench.run().steps[0].error.partition("answered 500: ")[2]
    assert quoted.startswith("<html> <head> no no ")
    assert len(quoted) == 120


def test_a_lost_answer_is_unknown_and_not_asked_for_again(bench: Bench, recorder: HttpRecorder) -> None:
    recorder.drop()
    bench.write_playbooks(calls(recorder.url))
    bench.fire()
    assert bench.run().outcome is Outcome.UNKNOWN
    assert bench.run().steps[0].status is StepStatus.UNKNOWN
    assert len(recorder.requests) == 1
