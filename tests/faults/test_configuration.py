"""Replicas that are reloaded through one of them, and one that runs on something else, which shows."""

import re
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.bed.http_recorder import HttpRecorder
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import until
from tests.bed.receiver import alert
from tests.faults.altered import Altered
from tests.faults.replicas import Replicas

CALL = """
playbooks:
- name: {name}
  mode: enforce
  matchers: ['alertname="Broken"']
  cooldown: 0s
  steps:
  - http: {{url: "{url}/{name}"}}
"""


def test_a_reload_of_one_replica_reaches_all_and_one_that_differs_shows(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, postgresql: PostgreSql
) -> None:
    old, new = (CALL.format(name=name, url=recorder.url) for name in ("old", "new"))
    allowed = {"allow_hosts": ["127.0.0.1"]}
    replicas = Replicas(tmp_path, store=postgresql.database(), playbooks=old, outbound=allowed)
    running.enter_context(replicas)
    until(lambda: [_metric(each, "replicas") for each in replicas] == [3] * 3, why="they do not know each other")
    assert [_metric(each, "replicas_differing") for each in replicas] == [0] * 3
    before = replicas[0].get("status")["config_hash"]

    replicas[0].playbook_file.write_text(new)
    assert replicas[0].reload().status_code == 200
    after = replicas[0].get("status")["config_hash"]
    assert after != before
    until(lambda: {each.get("status")["config_hash"] for each in replicas} == {after}, why="not all were reloaded")
    until(lambda: all(_listed(each) == [after] * 3 for each in replicas), why="they do not tell of it")
    for number, each in enumerate(replicas):
        each.post(alert("Broken", service=f"s{number}"))
        recorder.wait_for(number + 1)
    assert [request.path for request in recorder.requests] == ["/new"] * 3

    # One is started again on other files: all three show that there is one that differs.
    other = tmp_path / "other.yml"
    other.write_text(old)
    replicas[2].config.write_text(replicas[2].config.read_text().replace(str(replicas[2].playbook_file), str(other)))
    replicas[2].restart()
    until(lambda: [_metric(each, "replicas_differing") for each in replicas] == [1, 1, 2], why="nobody notices")
    assert [_metric(each, "replicas") for each in replicas] == [3, 3, 3]


def _listed(amend: Altered) -> list[str]:
    """The configuration of each replica that this one lists."""
    return [each["config_hash"] for each in amend.get("status")["replicas"]]


def _metric(amend: Altered, name: str) -> float:
    text = httpx.get(f"{amend.url}/metrics", trust_env=False).text
    found = re.search(rf"^amend_{name} (.+)$", text, re.MULTILINE)
    assert found, f"no amend_{name} is exposed"
    return float(found[1])
