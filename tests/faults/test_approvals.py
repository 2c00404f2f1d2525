"""What waits for people: asked once, answered once, by anybody of those asked and through any replica (promise 20).

Real receivers are killed in between, and what counts is how often the target was called.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.bed.http_recorder import HttpRecorder
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import until
from tests.bed.receiver import Receiver, alert
from tests.faults.altered import ANYWHERE
from tests.faults.books import Books
from tests.faults.replicas import Replicas

ASKS = """
playbooks:
- name: call
  mode: enforce
  matchers: ['alertname="Broken"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  approval: {{timeout: {timeout}}}
  steps:
  - http: {{url: "{url}/{{{{ labels.service }}}}"}}
"""


def waiting(amend: Receiver) -> int:
    return int(amend.run("waiting_approval")["id"])


def link(amend: Receiver) -> str:
    """To the one request, as the page shows it."""
    page = amend.ask("GET", "/approvals").text
    (address,) = re.findall(r'href="(/approvals/[^"]+)"', page)
    return str(address)


def test_a_question_survives_who_asked_it_and_is_answered_once(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, postgresql: PostgreSql
) -> None:
    url = postgresql.database()
    playbooks = ASKS.format(url=recorder.url, timeout="10m")
    replicas = Replicas(tmp_path, store=url, count=2, altered={"crowd": "local"}, playbooks=playbooks, **ANYWHERE)
    running.enter_context(replicas)
    replicas.post_to_all(alert("Broken", service="orders"))
    run_id = waiting(replicas[0])
    address = link(replicas[0])
    assert address == link(replicas[1]), "any of them signs for all"
    for _ in range(50):
        assert replicas[1].ask("GET", address).status_code == 200
    assert replicas[1].ask("GET", f"{address[:-1]}{'A' if address[-1] != 'A' else 'B'}").status_code == 404
    replicas[0].kill9()
    assert recorder.requests == []
    replicas[0].start()

    def agree(number: int) -> httpx.Response:
        return replicas[number % 2].ask("POST", f"/api/v1/runs/{run_id}/approve", json={"comment": str(number)})

    with ThreadPoolExecutor(10) as at_once:
        answers = list(at_once.map(agree, range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    recorder.wait_for(1)
    books = Books(url)
    until(lambda: not books.unfinished(), why="the run does not come to its end")
    assert [request.path for request in recorder.requests] == ["/orders"]
    kinds = [entry.kind for entry in books.audit(run_id)]
    assert kinds.count("approval_asked") == kinds.count("approved") == kinds.count("intent") == 1
    assert kinds.index("approved") < kinds.index("intent")
    books.insist_on_integrity()


def test_what_nobody_agrees_to_in_time_is_never_done(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, store: str
) -> None:
    amend = running.enter_context(_alone(tmp_path, recorder, store, timeout="1s"))
    amend.post(alert("Broken", service="orders"))
    until(lambda: amend.runs(reason="approval_timeout"), why="it does not give up asking")
    late = amend.ask("POST", "/api/v1/runs/1/approve")
    assert (late.status_code, recorder.requests) == (409, [])


def test_what_was_agreed_to_is_done_by_whoever_is_there_after_a_kill(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, store: str
) -> None:
    amend = running.enter_context(_alone(tmp_path, recorder, store, timeout="10m"))
    amend.post(alert("Broken", service="orders"))
    run_id = waiting(amend)
    amend.kill9()
    amend.start()
    assert amend.ask("POST", f"/api/v1/runs/{run_id}/approve").status_code == 200
    amend.kill9()
    amend.start()
    recorder.wait_for(1)
    assert amend.run("done")["attempt"] == 1
    assert len(recorder.requests) == 1
    Books(store).insist_on_integrity()


def _alone(tmp_path: Path, recorder: HttpRecorder, store: str, *, timeout: str) -> Receiver:
    playbooks = ASKS.format(url=recorder.url, timeout=timeout).replace(
        '  target: {docker: {container: "{{ labels.service }}"}}\n', ""
    )
    outbound = {"allow_hosts": ["127.0.0.1"]}
    return Receiver(tmp_path, playbooks=playbooks, store={"url": store}, outbound=outbound)
