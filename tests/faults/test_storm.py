"""Alerts about thousands of targets at three replicas: no limit is passed, and each alert is decided (promise 10)."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import pytest

from tests.bed.http_recorder import HttpRecorder, Request
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import until
from tests.bed.receiver import alert
from tests.faults.altered import ANYWHERE
from tests.faults.books import Books
from tests.faults.conftest import Rounds
from tests.faults.replicas import Replicas

ALERTS = 10_000  #: in the long version; each takes some milliseconds of the replicas' time to be decided
GROUP = 100  #: alerts in one delivery

PLAYBOOKS = """
playbooks:
- name: few
  mode: enforce
  matchers: ['alertname="Broken"', 'kind="few"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  max_targets: {{count: 2, within: 10m}}
  max_age: 1h
  steps:
  - http: {{url: "{url}/few/{{{{ labels.service }}}}"}}
- name: many
  mode: enforce
  matchers: ['alertname="Broken"', 'kind="many"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  max_age: 1h
  steps:
  - http: {{url: "{url}/many/{{{{ labels.service }}}}"}}
  - http: {{url: "{url}/many/{{{{ labels.service }}}}/again"}}
"""


SOME = {"actions_per_minute": 9, "targets_per_10m": 1000}
FEW = {"actions_per_minute": 1000, "targets_per_10m": 6}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("limits", [SOME, FEW], ids=["actions", "targets"])
def test_no_limit_is_passed_in_a_storm(
    limits: dict[str, int], tmp_path: Path, recorder: HttpRecorder, postgresql: PostgreSql, rounds: Rounds
) -> None:
    url = postgresql.database()
    alerts = min(ALERTS, 50 * rounds.count)
    groups = [
        [
            alert("Broken", service=f"s{number}", kind="many" if number % 2 else "few")
            for number in range(first, first + GROUP)
        ]
        for first in range(0, alerts, GROUP)
    ]
    with Replicas(
        tmp_path,
        store=url,
        altered={"crowd": "local"},
        playbooks=PLAYBOOKS.format(url=recorder.url),
        limits=limits,
        **ANYWHERE,
    ) as replicas:
        with ThreadPoolExecutor(3) as senders:
            answers = list(senders.map(lambda each: each[0].post(*each[1]), zip(cycle(replicas), groups, strict=False)))
        assert [answer.status_code for answer in answers] == [200] * len(groups)
        books = Books(url)
        until(lambda: books.undecided() == 0, why="not all alerts are decided", within=900, every=0.5)
        calls = list(recorder.requests)

    worst = max(_within_a_minute(call, calls) for call in calls)
    touched = {_target(call) for call in calls}
    few = {_target(call) for call in calls if call.path.startswith("/few/")}
    rounds.tell(alerts=alerts, **limits, calls_in_a_minute=worst, targets=len(touched), of_the_few=len(few))
    assert worst <= limits["actions_per_minute"]
    assert len(touched) <= limits["targets_per_10m"]
    assert len(few) <= 2
    assert len(books.deeds()) == alerts
    books.insist_on_integrity()


def _target(call: Request) -> str:
    return call.path.split("/")[2]


def _within_a_minute(first: Request, calls: list[Request]) -> int:
    """How many calls were made in the minute that begins with this one."""
    return sum(first.at <= call.at < first.at + 60 for call in calls)
