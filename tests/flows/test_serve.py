"""The receiver as a process: it stops in order, reloads without losing what is in force, and answers Alertmanager."""

import os
import signal
import sqlite3
import threading
from contextlib import ExitStack
from pathlib import Path

from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import until
from tests.bed.receiver import Receiver, alert

CALL = """
playbooks:
- name: {name}
  mode: enforce
  matchers: ['alertname="Broken"']
  cooldown: 0s
  steps:
  - http: {{url: "{url}/{name}/{{{{ labels.service }}}}"}}
"""


def _receiver(tmp_path: Path, recorder: HttpRecorder) -> Receiver:
    return Receiver(
        tmp_path,
        playbooks=CALL.format(name="first", url=recorder.url),
        outbound={"allow_hosts": ["127.0.0.1"]},
    )


def test_a_stop_waits_for_the_action_in_progress_and_records_it(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(_receiver(tmp_path, recorder))
    recorder.stall()
    amend.post(alert("Broken", service="orders"))
    recorder.wait_for(1)
    threading.Timer(2, recorder.release).start()
    assert amend.terminate() == 0
    amend.start()
    run = amend.run("done")
    assert [step["status"] for step in run["steps"]] == ["done"]
    assert run["outcome"] == "none"
    assert len(recorder.requests) == 1


def test_a_bad_reload_keeps_the_playbooks_that_are_in_force(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(_receiver(tmp_path, recorder))
    for bad in ("playbooks:\n- nmae: typo\n", "a: &a [x, x]\nb: *a\n", "a: 1\na: 2\n", "playbooks: [{name: half"):
        amend.playbook_file.write_text(bad)
        answer = amend.reload()
        assert answer.status_code == 400
        assert str(amend.playbook_file) in answer.text
    amend.post(alert("Broken", service="one"))
    assert recorder.wait_for(1)[0].path == "/first/one"

    amend.playbook_file.write_text(CALL.format(name="second", url=recorder.url))
    os.kill(amend.pid, signal.SIGHUP)
    until(
        lambda: [each["name"] for each in amend.get("playbooks")["playbooks"]] == ["second"],
        why="the new playbook",
    )
    amend.post(alert("Broken", service="two"))
    assert recorder.wait_for(2)[1].path == "/second/two"
    kinds = [row["kind"] for row in amend.get("audit", kind="reload_refused")["audit"]]
    assert len(kinds) == 4


def test_repeats_of_alertmanager_and_its_death_cause_no_second_action(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(_receiver(tmp_path, recorder))
    config = to_webhook(amend.webhook_url, token_file=amend.token_file, repeat_interval="1s")
    alertmanager = running.enter_context(Alertmanager(tmp_path, config))
    fired = {"labels": {"alertname": "Broken", "service": "orders"}}
    alertmanager.post_alerts(fired)
    recorder.wait_for(1)
    _deliveries(amend, 3)
    alertmanager.kill9()
    alertmanager.start()
    seen = _count(amend)
    alertmanager.post_alerts(fired)
    _deliveries(amend, seen + 2)
    assert [request.path for request in recorder.requests] == ["/first/orders"]
    assert len(amend.get("episodes")["episodes"]) == 1


def test_a_burst_of_alerts_is_all_decided_and_acted_on_once_each(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(
        Receiver(
            tmp_path,
            playbooks=CALL.format(name="first", url=recorder.url),
            outbound={"allow_hosts": ["127.0.0.1"]},
            limits={"actions_per_minute": 1000},
        )
    )
    services = [f"s{number}" for number in range(40)]
    assert amend.post(*(alert("Broken", service=service) for service in services)).status_code == 200
    recorder.wait_for(40)
    until(lambda: len(amend.runs(status="done", limit="100")) == 40, why="all runs are done")
    assert sorted(request.path for request in recorder.requests) == sorted(f"/first/{each}" for each in services)


def _count(amend: Receiver) -> int:
    with sqlite3.connect(f"file:{amend.database}?mode=ro", uri=True) as books:
        count: int = books.execute("select count(*) from deliveries").fetchone()[0]
        return count


def _deliveries(amend: Receiver, count: int) -> None:
    until(lambda: _count(amend) >= count, why=f"{count} deliveries")


def test_a_reload_says_that_other_settings_count_after_a_restart(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(_receiver(tmp_path, recorder))
    before = amend.get("status")["config_hash"]
    amend.config.write_text(f"{amend.config.read_text()}limits: {{actions_per_minute: 3}}\n")
    assert amend.reload().status_code == 200
    (row,) = amend.get("audit", kind="reloaded")["audit"]
    assert row["data"]["restart_needed"] is True
    assert amend.get("status")["config_hash"] == before
    amend.restart()
    assert amend.get("status")["config_hash"] != before
