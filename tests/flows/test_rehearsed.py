"""A real story, played again: a rehearsal of what was delivered writes the same rows as the receiver that lived it.

The story is of a real Prometheus, Alertmanager, Docker Engine and receiver; the rehearsal gets the deliveries that the
receiver's store kept, and the same playbooks.
"""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.actions import VERBS
from receiver.playbook import read
from receiver.rehearsal.history import Event, of_store
from receiver.rehearsal.rehearsal import Rehearsal
from receiver.rehearsal.script import State
from receiver.settings.limits import Limits
from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.docker_engine import DockerEngine
from tests.bed.http_recorder import HttpRecorder
from tests.bed.metrics_target import MetricsTarget
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus
from tests.bed.receiver import Receiver
from tests.targets.conftest import compose_container

RULES = """
groups:
- name: shop
  rules:
  - alert: Slow
    expr: latency > 5
    labels: {severity: high}
    annotations: {z_score: "{{ $value }}"}
"""

# what is absent for long is still watched when the end of the alert has arrived
PLAYBOOKS = """
playbooks:
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  condition: z_score > 3
  target: {docker: {host: local, compose: {project: shop, service: "{{ labels.service }}"}}}
  min_healthy: 51%
  steps:
  - restart: {}
    timeout: 1m
  - notify: {receiver: chat, message: "restarted {{ target.name }}, {{ labels.service }} was at {{ z_score }}"}
  verify: {resolved_within: 5m, absent_for: 10s, healthy: true}
  on_failure:
  - notify: {receiver: chat, message: "{{ run.outcome }}"}
- name: only-when-worse
  mode: enforce
  matchers: ['alertname="Slow"']
  condition: z_score > 100
  steps:
  - notify: {receiver: chat}
- name: afterwards
  mode: enforce
  on: resolved
  matchers: ['alertname="Slow"']
  steps:
  - notify: {receiver: chat, message: "over: {{ labels.service }}"}
"""

TIMES = {"at", "until", "retry_at", "starts_at", "ends_at"}
OF_THE_REAL_THING = {"uid", "version", "result", "evidence", "replica"}
"""What a container's id, and what an engine or a person answered, is only in life."""


def rows(database: Path) -> list[tuple[str, Any]]:
    """Of the audit log, in order: what each row tells, without when."""
    with sqlite3.connect(database) as books:
        found = books.execute("select kind, run_id, data from audit order by seq").fetchall()
    return [(f"{kind} of run {run}", _timeless(json.loads(data))) for kind, run, data in found if kind != "started"]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES | OF_THE_REAL_THING}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
def lived(docker_engine: DockerEngine, tmp_path: Path, running: ExitStack) -> Receiver:
    """A receiver that has seen a service get slow, restarted it, and saw that it helped."""
    for place in (1, 2):
        compose_container(docker_engine, place)
    target, chat = running.enter_context(MetricsTarget()), running.enter_context(HttpRecorder())
    (tmp_path / "rules.yml").write_text(RULES)
    target.set("latency", 9, service="orders")
    receiver = Receiver(
        tmp_path,
        playbooks=PLAYBOOKS,
        platforms={"docker": [{"name": "local", "url": docker_engine.url}]},
        receivers=[{"name": "chat", "webhook": {"url": chat.url}}],
        prometheus={"url": "http://127.0.0.1:9"},
        alertmanager={"url": "http://127.0.0.1:10"},
    )
    config = to_webhook(receiver.webhook_url, token_file=receiver.token_file)
    alertmanager = running.enter_context(Alertmanager(tmp_path, config))
    prometheus = Prometheus(
        tmp_path,
        scrape={"shop": target.address},
        rules=[tmp_path / "rules.yml"],
        alertmanagers=[alertmanager.address],
    )
    written = receiver.config.read_text()
    written = written.replace("http://127.0.0.1:9\n", f"{prometheus.url}\n")
    receiver.config.write_text(written.replace("http://127.0.0.1:10\n", f"{alertmanager.url}\n"))
    running.enter_context(receiver)
    running.enter_context(prometheus)
    receiver.run("verifying", playbook="restart")
    target.set("latency", 1, service="orders")
    assert receiver.run(playbook="restart")["outcome"] == "fixed"
    receiver.run(playbook="afterwards")
    receiver.run("skipped", playbook="only-when-worse")
    until(lambda: len(chat.requests) >= 2, why="both messages are told")
    return receiver


def rehearsed(directory: Path, playbooks: Path, events: Sequence[Event]) -> Path:
    """The ledger of a rehearsal to which the same was delivered."""

    async def play() -> None:
        known = {playbook.name: playbook for playbook in read(playbooks, VERBS)}
        rehearsal = Rehearsal(known, directory, start=events[0].at, limits=Limits())
        rehearsal.outside.workloads["docker", "compose/shop/orders"] = State(replicas=2)
        try:
            for event in events:
                await rehearsal.go_on(event.at)
                await rehearsal.deliver(event.as_alert(), firing=event.firing)
            await rehearsal.go_on(events[-1].at + timedelta(minutes=10))
        finally:
            await rehearsal.close()

    asyncio.run(play())
    return directory / "rehearsal.db"


def test_a_rehearsal_of_what_was_delivered_writes_the_rows_that_the_real_receiver_wrote(
    lived: Receiver, tmp_path: Path
) -> None:
    events, _ = of_store(f"sqlite:///{lived.database}", since=datetime(2020, 1, 1, tzinfo=UTC))
    assert {event.firing for event in events} == {True, False}
    told = rows(rehearsed(tmp_path, lived.playbook_file, events))
    real = rows(lived.database)
    assert [each for each, _ in told] == [each for each, _ in real]
    assert told == real
