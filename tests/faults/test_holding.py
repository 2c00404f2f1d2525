"""What ends, is silenced or paused before a run starts is not acted on, also while it waits (promise 13)."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bed.alertmanager import Alertmanager, amtool, to_webhook
from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import until
from tests.bed.receiver import Receiver, alert

CALL = """
playbooks:
- name: call
  mode: enforce
  matchers: ['alertname="Broken"']
  max_attempts: {{count: 9}}
  cooldown: 0s
  {more}
  steps:
  - http: {{url: "{url}/{{{{ labels.service }}}}"}}
"""

BROKEN = {"alertname": "Broken", "service": "orders"}


def receiver(tmp_path: Path, recorder: HttpRecorder, *, more: str = "", **settings: Any) -> Receiver:
    playbooks = CALL.format(url=recorder.url, more=more)
    return Receiver(tmp_path, playbooks=playbooks, outbound={"allow_hosts": ["127.0.0.1"]}, **settings)


def reason(amend: Receiver, wanted: str) -> None:
    until(lambda: amend.runs(reason=wanted), why=f"no run is {wanted}: {amend.runs()}")


def silence(alertmanager: Alertmanager) -> str:
    url = f"--alertmanager.url={alertmanager.url}"
    return amtool("silence", "add", url, "--author=anna", "--comment=known", "--duration=1h", "service=orders").strip()


@pytest.fixture
def alertmanager(tmp_path: Path, running: ExitStack) -> Alertmanager:
    """One that sends nothing by itself: the tests deliver what they like."""
    return running.enter_context(Alertmanager(tmp_path, to_webhook("http://127.0.0.1:9/")))


def test_a_pause_holds_what_waits_for_people_and_what_comes_and_survives_a_kill(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder, more="approval: {}"))
    amend.post(alert("Broken", service="orders"))
    waiting = amend.run("waiting_approval")
    assert amend.ask("POST", "/api/v1/pause", json={"comment": "deploying"}).json()["changed"]
    assert amend.ask("POST", f"/api/v1/runs/{waiting['id']}/approve").status_code == 200
    reason(amend, "paused")
    amend.kill9()
    amend.start()
    assert amend.get("status")["paused"]["why"] == "deploying"
    amend.post(alert("Broken", service="users"))
    until(lambda: len(amend.runs(reason="paused")) == 2, why="the second is not held")
    assert recorder.requests == []
    amend.ask("POST", "/api/v1/resume")
    assert recorder.wait_for(1)[0].path == "/orders", "what was agreed to goes on, the other is asked about"
    until(lambda: amend.runs(status="waiting_approval", label="service=users"), why="users is not asked about")
    assert len(recorder.requests) == 1


def test_a_silence_holds_what_comes_and_what_was_agreed_to(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, alertmanager: Alertmanager
) -> None:
    settings = {"alertmanager": {"url": alertmanager.url}}
    amend = running.enter_context(receiver(tmp_path, recorder, more="approval: {}", **settings))
    amend.post(alert("Broken", service="orders"))
    waiting = amend.run("waiting_approval")
    ours = silence(alertmanager)
    amend.ask("POST", f"/api/v1/runs/{waiting['id']}/approve")
    reason(amend, "silenced")
    assert "known" in amend.run("skipped")["detail"]
    assert recorder.requests == []

    alertmanager.post_alerts({"labels": BROKEN})  # it still fires
    amtool("silence", "expire", f"--alertmanager.url={alertmanager.url}", ours)
    amend.post(alert("Broken", service="orders"))
    recorder.wait_for(1)


def test_an_alertmanager_that_is_away_lets_nothing_through(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, alertmanager: Alertmanager
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder, alertmanager={"url": alertmanager.url}))
    alertmanager.terminate()
    amend.post(alert("Broken", service="orders"))
    reason(amend, "guard_error")
    assert recorder.requests == []


def test_what_ends_while_people_are_asked_is_not_done_whatever_they_say(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder, more="approval: {}"))
    fired = alert("Broken", service="orders")
    amend.post(fired)
    waiting = amend.run("waiting_approval")
    amend.post({**fired, "status": "resolved", "endsAt": fired["startsAt"]})
    reason(amend, "resolved")
    assert amend.ask("POST", f"/api/v1/runs/{waiting['id']}/approve").status_code == 409
    assert recorder.requests == []
