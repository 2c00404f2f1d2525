"""kill -9 between the 2xx and the action, and in the middle of the action: acted on once, or told to be unknown."""

import random
import sqlite3
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.bed.docker_engine import DockerEngine
from tests.bed.http_recorder import HttpRecorder
from tests.bed.metrics_target import MetricsTarget
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus
from tests.bed.proxy import Proxy
from tests.bed.receiver import Receiver, alert

CALL = """
playbooks:
- name: call
  mode: enforce
  matchers: ['alertname="Broken"']
  {only_if}
  steps:
  - http: {{url: "{url}/remedy/{{{{ labels.service }}}}"}}
    timeout: 60s
"""


def test_an_alert_whose_receiver_died_before_acting_is_acted_on_once(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, target: MetricsTarget
) -> None:
    target.set("enough", 0)
    prometheus = running.enter_context(Prometheus(tmp_path, scrape={"shop": target.address}))
    until(lambda: prometheus.value("enough") == 0, why="the first scrape")
    playbook = CALL.format(only_if="only_if: enough > 0", url=recorder.url)
    amend = running.enter_context(_receiver(tmp_path, playbook, prometheus=prometheus.url))

    assert amend.post(alert("Broken", service="orders")).status_code == 200
    assert amend.run("skipped")["reason"] == "condition_false"  # held back, so that we can kill it before it acts
    amend.kill9()
    target.set("enough", 1)
    until(lambda: prometheus.value("enough") == 1, why="the condition")
    amend.start()

    assert amend.run("done")["outcome"] == "none"
    assert [request.path for request in recorder.requests] == ["/remedy/orders"]


def test_nothing_that_got_a_2xx_is_lost_when_it_dies_at_any_moment(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    playbook = CALL.format(only_if="max_targets: {count: 1000, within: 1h}", url=recorder.url)
    amend = running.enter_context(_receiver(tmp_path, playbook, limits={"actions_per_minute": 10_000}))
    chance = random.Random(7)
    stored: list[int] = []

    def deliver() -> None:
        answer = amend.post(alert("Broken", service=f"s{len(stored)}"))
        assert answer.status_code == 200
        stored.append(answer.json()["delivery"])

    for _ in range(5):
        deliver()
        killer = threading.Timer(chance.uniform(0.0, 0.15), amend.kill9)
        killer.start()
        with suppress(httpx.TransportError):
            while True:
                deliver()
        killer.join()
        amend.start()

    with sqlite3.connect(amend.database) as books:
        kept = {row[0] for row in books.execute("select id from deliveries")}
        assert set(stored) <= kept
        assert books.execute("pragma integrity_check").fetchone() == ("ok",)


def test_an_action_that_was_cut_off_is_unknown_and_not_done_again(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(_receiver(tmp_path, CALL.format(only_if="", url=recorder.url)))
    recorder.stall()
    amend.post(alert("Broken", service="orders"))
    recorder.wait_for(1)
    amend.kill9()
    recorder.release()
    amend.start()

    run = amend.run("done")
    assert run["outcome"] == "unknown"
    assert "cut off" in run["detail"]
    assert [step["status"] for step in run["steps"]] == ["unknown"]
    kinds = [row["kind"] for row in amend.get("audit", run=str(run["id"]))["audit"]]
    assert kinds == ["finished", "interrupted", "intent"]
    assert len(recorder.requests) == 1


@pytest.mark.timeout(300)
def test_a_container_restart_that_was_cut_off_is_verified_and_not_repeated(
    tmp_path: Path, running: ExitStack, docker_engine: DockerEngine
) -> None:
    # It ignores SIGTERM, so that restarting it takes until its grace time is over.
    docker_engine.run(
        "sh", "-c", "trap '' TERM; while :; do sleep 0.2; done", name="stubborn", labels={"amend.enable": "true"}
    )
    proxy = running.enter_context(Proxy(docker_engine.socket, docker_engine.directory / "proxy.sock"))
    amend = running.enter_context(
        Receiver(
            tmp_path,
            playbooks="""
playbooks:
- name: restart
  mode: enforce
  matchers: ['alertname="Broken"']
  target: {docker: {container: "{{ labels.container }}"}}
  steps:
  - restart: {}
    timeout: 60s
  verify: {healthy: true, absent_for: 2s}
""",
            platforms={"docker": [{"name": "local", "url": proxy.url}]},
        )
    )
    amend.post(alert("Broken", container="stubborn"))
    until(lambda: proxy.changes, why="the restart is sent")
    amend.kill9()
    amend.start()

    run = amend.run("done")
    assert run["outcome"] == "unknown"
    assert "healthy" in run["detail"]
    assert len(proxy.changes) == 1


def _receiver(tmp_path: Path, playbooks: str, *, prometheus: str = "", **settings: object) -> Receiver:
    asks = {"prometheus": {"url": prometheus}} if prometheus else {}
    return Receiver(tmp_path, playbooks=playbooks, outbound={"allow_hosts": ["127.0.0.1"]}, **asks, **settings)
