"""Three replicas on one store: together they do what one would do, whatever becomes of each (promises 3, 8, 24)."""

import os
import signal
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bed.http_recorder import HttpRecorder
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import until
from tests.bed.receiver import alert
from tests.faults.altered import ANYWHERE, Altered
from tests.faults.books import Books, Deed
from tests.faults.replicas import Replicas

ON_EACH = """
playbooks:
- name: call
  mode: enforce
  matchers: ['alertname="Broken"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  steps:
  - http: {{url: "{url}/first/{{{{ labels.service }}}}"}}
  - http: {{url: "{url}/second/{{{{ labels.service }}}}"}}
"""

UNLIMITED = {**ANYWHERE, "limits": {"actions_per_minute": 1_000_000, "targets_per_10m": 1_000_000}}


def test_an_alert_that_reaches_all_replicas_is_acted_on_once(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, postgresql: PostgreSql
) -> None:
    url = postgresql.database()
    playbooks = ON_EACH.format(url=recorder.url)
    replicas = Replicas(tmp_path, store=url, altered={"crowd": "local"}, playbooks=playbooks, **UNLIMITED)
    running.enter_context(replicas)
    services = [f"s{number}" for number in range(60)]
    for first in range(0, len(services), 6):
        group = [alert("Broken", service=service) for service in services[first : first + 6]]
        assert [answer.status_code for answer in replicas.post_to_all(*group)] == [200] * 3
    books = Books(url)
    until(lambda: not books.unfinished(), why="not all runs come to their end")

    calls = Counter(request.path for request in recorder.requests)
    assert calls == {f"/{step}/{service}": 1 for step in ("first", "second") for service in services}
    assert {(deed.attempt, deed.outcome, deed.steps) for deed in books.deeds()} == {(1, "none", ("done", "done"))}
    assert len(books.deeds()) == len(services)
    books.insist_on_integrity()


ACT_AND_LOOK = """
playbooks:
- name: act
  mode: enforce
  matchers: ['alertname="Broken"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  steps:
  - http: {{url: "{url}/{{{{ labels.service }}}}"}}
    timeout: 10m
- name: look
  mode: enforce
  matchers: ['alertname="Mended"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  steps:
  - notify: {{receiver: people, message: it is mended}}
  verify: {{healthy: true, absent_for: 5s}}
"""


def test_what_a_dead_and_a_paused_replica_did_is_taken_over_and_not_recorded_over(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, store: str
) -> None:
    people = running.enter_context(HttpRecorder())
    receivers = [{"name": "people", "webhook": {"url": people.url}}]
    playbooks = ACT_AND_LOOK.format(url=recorder.url)
    replicas = Replicas(
        tmp_path, store=store, altered={"crowd": "local"}, playbooks=playbooks, receivers=receivers, **UNLIMITED
    )
    running.enter_context(replicas)
    books = Books(store)
    recorder.stall()

    dead = _acting_on("dies", replicas, books, recorder)
    dead.post(alert("Mended", service="shop"))
    until(lambda: _deed("shop", books).status == "verifying", why="nothing is verified")
    name = replicas.name(dead)
    dead.kill9()
    killed_at = datetime.now(UTC)
    paused = _acting_on("pauses", replicas, books, recorder)
    paused_name = replicas.name(paused)
    os.kill(paused.pid, signal.SIGSTOP)
    running.callback(os.kill, paused.pid, signal.SIGCONT)  # before it is told to end
    until(lambda: {_deed(service, books).status for service in ("dies", "pauses", "shop")} == {"done"}, why="the end")

    assert _story("dies", books) == ["intent", "interrupted", "finished"]
    interrupted = books.audit(run=_deed("dies", books).id)[1]
    assert interrupted.at - killed_at < timedelta(seconds=30)
    assert interrupted.actor != name
    assert _deed("shop", books).outcome == "fixed"
    assert _story("pauses", books) == ["intent", "interrupted", "finished"]

    before = _deed("pauses", books)
    assert (before.outcome, before.steps) == ("unknown", ("unknown",))
    os.kill(paused.pid, signal.SIGCONT)
    recorder.release()
    until(lambda: len(_story("pauses", books)) > 3, why="nothing is told of what the paused one did")
    told = books.audit(run=before.id)
    assert [str(entry.kind) for entry in told] == ["intent", "interrupted", "finished", "late_effect"]
    assert [entry.actor == paused_name for entry in told] == [True, False, False, True]
    assert told[-1].data["status"] == "done"
    assert _deed("pauses", books) == before
    assert sorted(request.path for request in recorder.requests) == ["/dies", "/pauses"]
    assert len(people.requests) == 1
    books.insist_on_integrity()


def _acting_on(service: str, replicas: Replicas, books: Books, recorder: HttpRecorder) -> Altered:
    """Have one of those that run act on something that does not answer; which of them does."""
    alive = [each for each in replicas if each.running]
    alive[0].post(alert("Broken", service=service))
    until(lambda: f"/{service}" in [request.path for request in recorder.requests], why=f"nobody acts on {service}")
    actor = books.audit(run=_deed(service, books).id)[0].actor
    return next(each for each in alive if replicas.name(each) == actor)


def _deed(service: str, books: Books) -> Deed:
    """The run about a service, as soon as there is one."""
    found = until(lambda: [deed for deed in books.deeds() if deed.service == service], why=f"no run about {service}")
    return found[0]


def _story(service: str, books: Books) -> list[str]:
    return [str(entry.kind) for entry in books.audit(run=_deed(service, books).id)]
