"""`amend playbooks backtest`: what really came, played again to playbooks, from a store and from a real Prometheus."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.alerts import Alert
from receiver.deployments import Deployments
from receiver.marker import Marker, MarkerStatus
from receiver.rehearsal.history import GAP, STEP, _stretches
from receiver.trigger import Trigger
from tests.bed.prometheus import Prometheus
from tests.workbench import Bench

PLAYBOOK = """
- name: restart
  matchers: ['alertname="Slow"']
  condition: z_score > 3
  target: {docker: {container: "{{ labels.service }}"}}
  cooldown: 5m
  max_attempts: {count: 9}
  max_targets: {count: 2, within: 1h}
  steps:
  - restart: {}
  verify: {resolved_within: 5m, absent_for: 1m}
"""

AMEND = """
auth: {{webhook: {{insecure: true}}}}
store: {{url: "sqlite:///{store}"}}
playbooks: [playbooks.yml]
platforms: {{docker: [{{name: local}}]}}
{more}
"""

Backtest = Callable[..., dict[str, Any]]


@pytest.fixture
def backtest(tmp_path: Path) -> Backtest:
    def run(*arguments: str, more: str = "") -> dict[str, Any]:
        (tmp_path / "amend.yml").write_text(AMEND.format(store=tmp_path / "amend.db", more=more))
        command = [sys.executable, "-m", "receiver.cli", "playbooks", "backtest", "--since", "20y", "-o", "json"]
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def recorded(directory: Path, happens: Callable[[Bench], None], *, playbook: str = PLAYBOOK) -> None:
    """A store into which this was delivered."""
    with Bench(directory, playbook) as bench:
        happens(bench)


def slow(bench: Bench, service: str, *, minutes: int, z_score: float = 5) -> None:
    began = bench.now
    bench.fire(service=service, annotations={"z_score": str(z_score)})
    bench.wait(minutes=minutes)
    bench.resolve(service=service, started=began)


def only(found: Mapping[str, Any]) -> dict[str, Any]:
    [tally] = found["playbooks"]
    return dict(tally)


def test_an_alert_that_came_is_answered_as_it_would_have_been(tmp_path: Path, backtest: Backtest) -> None:
    def month(bench: Bench) -> None:
        slow(bench, "orders", minutes=3)
        bench.wait(hours=5)
        slow(bench, "orders", minutes=30)
        bench.wait(hours=5)
        slow(bench, "users", minutes=3, z_score=1)

    recorded(tmp_path, month)
    tally = only(backtest())
    assert [(act["did"], act["outcome"]) for act in tally["acts"][:2]] == [
        (["restart"], "fixed"),
        (["restart"], "not_fixed"),
    ]
    assert tally["acts"][0]["at"] == "2026-03-02T10:00:00+00:00"
    assert tally["skips"]["condition_false"] == 1
    assert tally["targets"] == ["docker/the-only-one/container/orders"]


def test_at_most_so_many_targets_in_an_hour_is_told_and_the_limits_hold(tmp_path: Path, backtest: Backtest) -> None:
    def storm(bench: Bench) -> None:
        for service in ("orders", "users", "payments"):
            slow(bench, service, minutes=2)

    recorded(tmp_path, storm, playbook=PLAYBOOK.replace("enforce", "observe"))
    tally = only(backtest())
    assert tally["most_targets_in_an_hour"] == 2
    assert tally["acted"] == 2
    assert sum(tally["skips"].values()) == 1


def test_markers_that_the_store_keeps_count_from_their_time_on(tmp_path: Path, backtest: Backtest) -> None:
    def month(bench: Bench) -> None:
        slow(bench, "orders", minutes=2)
        bench.wait(hours=2)
        known = Deployments(bench.ledger, bench.log, lambda: bench.now)
        marker = Marker(service="orders", version="2", status=MarkerStatus.SUCCEEDED, at=bench.now, by="ci")
        bench.do(known.mark(marker))
        bench.wait(minutes=5)
        slow(bench, "orders", minutes=2)

    recorded(tmp_path, month, playbook=PLAYBOOK.replace("  steps:", "  deployed_within: 30m\n  steps:"))
    assert [act["at"] for act in only(backtest())["acts"]] == ["2026-03-02T12:07:00+00:00"]


def test_the_same_alert_of_two_replicas_is_one(tmp_path: Path, backtest: Backtest) -> None:
    def twice(bench: Bench) -> None:
        for replica in ("a", "b"):
            bench.fire(service="orders", replica=replica, annotations={"z_score": "5"})

    recorded(tmp_path, twice, playbook=PLAYBOOK.replace("count: 9", "count: 1"))
    assert only(backtest())["runs"] == 1


def test_an_alert_that_a_person_made_up_did_not_come(tmp_path: Path, backtest: Backtest) -> None:
    def tries(bench: Bench) -> None:
        about = {"labels": {"alertname": "Slow", "service": "orders"}, "annotations": {"z_score": "5"}}
        alert = Alert.model_validate({**about, "status": "firing", "startsAt": bench.now.isoformat()})
        pipeline = bench.worker.pipeline
        bench.do(Trigger(pipeline.world, pipeline.judgement, list, lambda: None).send(alert, by="anna"))

    recorded(tmp_path, tries)
    assert backtest()["alerts"] == 0


def test_what_was_done_before_leaves_nothing_behind(tmp_path: Path, backtest: Backtest) -> None:
    def month(bench: Bench) -> None:
        for _ in range(4):
            slow(bench, "orders", minutes=2)
            bench.wait(hours=2)

    scaling = PLAYBOOK.replace("container: ", "compose: {project: shop, service: ").replace('}}"}', '}}"}}')
    recorded(tmp_path, month, playbook=scaling.replace("restart: {}", "scale: {by: 1, max: 5}"))
    assert [act["outcome"] for act in only(backtest())["acts"]] == ["fixed"] * 4


def test_a_silence_of_our_own_ends_and_is_about_one_alert(tmp_path: Path, backtest: Backtest) -> None:
    def month(bench: Bench) -> None:
        for service in ("orders", "users", "orders"):
            slow(bench, service, minutes=2)
            bench.wait(minutes=20)
        bench.wait(hours=2)
        slow(bench, "orders", minutes=2)

    hushing = PLAYBOOK.replace("- restart: {}", "- restart: {}\n  - silence: {for: 1h}")
    recorded(tmp_path, month, playbook=hushing)
    tally = only(backtest())
    assert [(act["at"][11:16], act["target"].rpartition("/")[2]) for act in tally["acts"]] == [
        ("10:00", "orders"),
        ("10:22", "users"),
        ("13:06", "orders"),
    ]
    assert tally["skips"] == {"silenced": 1}


def test_what_people_would_be_asked_is_counted_and_acts_when_they_agree(tmp_path: Path, backtest: Backtest) -> None:
    recorded(tmp_path, lambda bench: slow(bench, "orders", minutes=20), playbook=PLAYBOOK + "  approval: {}\n")
    asked = only(backtest())
    assert (asked["acted"], asked["asked"], asked["skips"]) == (0, 1, {"approval_timeout": 1})
    agreed = only(backtest("--agreed"))
    assert (agreed["acted"], agreed["asked"]) == (1, 1)


def test_the_store_is_left_as_it_was(tmp_path: Path, backtest: Backtest) -> None:
    recorded(tmp_path, lambda bench: slow(bench, "orders", minutes=2))
    before = (tmp_path / "amend.db").read_bytes()
    backtest()
    assert (tmp_path / "amend.db").read_bytes() == before


def test_a_store_without_deliveries_has_nothing_to_tell(tmp_path: Path, backtest: Backtest) -> None:
    recorded(tmp_path, lambda _: None)
    assert only(backtest())["runs"] == 0


# ── from ALERTS ──


def alerts_of(service: str, *moments: datetime) -> str:
    labels = f'alertname="Slow",alertstate="firing",service="{service}"'
    return "".join(f"ALERTS{{{labels}}} 1 {int(at.timestamp())}\n" for at in moments)


def test_alerts_of_a_real_prometheus_are_played_without_their_numbers(tmp_path: Path, backtest: Backtest) -> None:
    midday = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)
    short = [midday + number * timedelta(seconds=30) for number in range(5)]
    long = [midday + timedelta(hours=2) + number * timedelta(seconds=30) for number in range(120)]
    history = "# TYPE ALERTS gauge\n" + alerts_of("orders", *short, *long)
    patient = PLAYBOOK.replace("resolved_within: 5m", "resolved_within: 15m")
    (tmp_path / "playbooks.yml").write_text(f"playbooks:{patient}")
    with Prometheus(tmp_path, history=history) as prometheus:
        found = backtest("--since", "9d", "--prometheus", prometheus.url)
    tally = only(found)
    acts = [(datetime.fromisoformat(act["at"]), act["outcome"]) for act in tally["acts"]]
    assert abs(acts[0][0] - short[0]) <= STEP
    assert abs(acts[1][0] - long[0]) <= STEP
    assert [outcome for _, outcome in acts[:2]] == ["fixed", "not_fixed"]
    assert any("ALERTS has no numbers" in note for note in found["notes"])


@given(st.lists(st.integers(min_value=1, max_value=30), max_size=40))
def test_stretches_are_cut_where_nothing_was_seen_for_longer_than_prometheus_looks_back(steps: list[int]) -> None:
    moments = [datetime(2026, 3, 2, tzinfo=UTC)]
    for minutes in steps:
        moments.append(moments[-1] + timedelta(minutes=minutes))
    found = list(_stretches(moments))
    assert (found[0][0], found[-1][1]) == (moments[0], moments[-1])
    assert all(first <= last for first, last in found)
    assert all(after[0] - before[1] > GAP for before, after in pairwise(found))
    assert len(found) == 1 + sum(minutes > 5 for minutes in steps)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "not a duration"),
        (["nothing.yml"], "nothing.yml"),
        (["--prometheus", "http://127.0.0.1:1"], "does not answer"),
        (["--prometheus", "http://127.0.0.1:99999"], "--prometheus"),
        (["--prometheus", "http://me:s3cret@127.0.0.1:1"], "holds a user or a password"),
    ],
)
def test_what_cannot_be_played_is_told_in_words(tmp_path: Path, arguments: list[str], said: str) -> None:
    recorded(tmp_path, lambda _: None)
    (tmp_path / "amend.yml").write_text(AMEND.format(store=tmp_path / "amend.db", more=""))
    command = [sys.executable, "-m", "receiver.cli", "playbooks", "backtest", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "playbooks.yml").write_text(f"playbooks:{PLAYBOOK}")
    (tmp_path / "amend.yml").write_text(AMEND.format(store=tmp_path / "nowhere.db", more=""))
    command = [sys.executable, "-m", "receiver.cli", "playbooks", "backtest"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "nowhere.db" in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "nowhere.db").exists()
