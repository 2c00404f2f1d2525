"""`silence` has Alertmanager tell nobody for a while, and says who did that."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.errors import ConfigErrors
from receiver.run import Outcome
from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.processes import free_port
from tests.workbench import Bench

PLAYBOOK = """
- name: hush
  mode: enforce
  matchers: ['alertname="Slow"']
  steps:
  - silence: {for: 1h}
"""


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    config = to_webhook("http://127.0.0.1:9/")
    with Alertmanager(tmp_path_factory.mktemp("alertmanager"), config) as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, alertmanager: Alertmanager) -> Iterator[Bench]:
    with Bench(tmp_path, PLAYBOOK, alertmanager=alertmanager.url) as bench:
        bench.now = datetime.now(UTC)  # the real one compares with its own clock
        yield bench


def silences(alertmanager: Alertmanager) -> list[dict[str, Any]]:
    found = httpx.get(f"{alertmanager.url}/api/v2/silences", timeout=60, trust_env=False).json()
    return [each for each in found if each["status"]["state"] == "active"]


def of(alertmanager: Alertmanager, run: Any) -> dict[str, Any]:
    [found] = [each for each in silences(alertmanager) if each["id"] == run.steps[0].result["silence"]]
    return found


def test_the_silence_is_for_this_alert_and_names_its_run(bench: Bench, alertmanager: Alertmanager) -> None:
    bench.fire(service="orders")
    made = of(alertmanager, bench.run())
    assert {each["name"]: each["value"] for each in made["matchers"]}["service"] == "orders"
    assert (made["createdBy"], made["comment"]) == ("amend", "run 1 of hush")
    ends = datetime.fromisoformat(made["endsAt"])
    assert abs(ends - bench.now - timedelta(hours=1)) < timedelta(seconds=1)


def test_an_alert_that_is_silenced_is_left_alone_afterwards(bench: Bench) -> None:
    bench.fire(service="payments")
    bench.wait(minutes=6)
    bench.fire(service="payments", started=bench.now)
    assert len(bench.runs()) == 1 or "silenced by amend" in bench.run().detail


def test_by_some_labels_it_silences_all_that_share_them(bench: Bench, alertmanager: Alertmanager) -> None:
    bench.write_playbooks(PLAYBOOK.replace("for: 1h", "for: 1h, by: [alertname, cluster]"))
    bench.fire(service="users", cluster="a")
    made = of(alertmanager, bench.run())
    assert {each["name"] for each in made["matchers"]} == {"alertname", "cluster"}


def test_a_label_that_the_alert_lacks_silences_nothing(bench: Bench, alertmanager: Alertmanager) -> None:
    before = len(silences(alertmanager))
    bench.write_playbooks(PLAYBOOK.replace("for: 1h", "for: 1h, by: [alertname, datacenter]"))
    bench.fire(service="nobody")
    assert bench.run().detail == "silence: the alert has no label datacenter to silence it by"
    assert len(silences(alertmanager)) == before


@pytest.mark.parametrize("hostile", ['a"b\\c', "}{", "a\nb", "élan", ".*"])
def test_a_hostile_value_is_silenced_as_it_is_and_nothing_else(
    bench: Bench, alertmanager: Alertmanager, hostile: str
) -> None:
    bench.fire(service=hostile)
    made = of(alertmanager, bench.run())
    [matcher] = [each for each in made["matchers"] if each["name"] == "service"]
    assert (matcher["value"], matcher["isRegex"]) == (hostile, False)


def test_one_that_is_away_makes_the_step_fail_and_nothing_was_silenced(bench: Bench) -> None:
    assert bench.alertmanager
    bench.write_playbooks(PLAYBOOK.replace("silence: {for: 1h}", "wait: {for: 1ms}\n  - silence: {for: 1h}"))

    async def sleep(span: timedelta) -> None:
        assert bench.alertmanager
        bench.alertmanager.url = f"http://127.0.0.1:{free_port()}"

    bench.sleep = sleep
    bench.fire(service="away")
    assert bench.run().outcome is Outcome.FAILED
    assert "does not answer" in bench.run().detail


@pytest.mark.parametrize("how", ["for: 0s", "for: 8d", "by: [alertname]"])
def test_what_is_no_silence_is_refused_when_it_is_read(bench: Bench, how: str) -> None:
    with pytest.raises(ConfigErrors):
        bench.write_playbooks(PLAYBOOK.replace("for: 1h", how))
