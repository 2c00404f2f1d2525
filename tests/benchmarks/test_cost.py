"""The cost benchmark, on few series: that it counts and fills truly. Times are for quiet machines, and for people."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.cost import head
from benchmarks.cost.__main__ import rule_sets
from benchmarks.cost.history import Track
from benchmarks.cost.measure import Cost
from benchmarks.cost.reach import Stretch, reach
from benchmarks.cost.report import HEAD, markdown
from benchmarks.cost.workload import Workload, value
from tests.bed.parts import ROOT
from tests.bed.prometheus import Prometheus

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


# ── how far back rules read ──


def test_an_offset_moves_a_window_into_the_past() -> None:
    assert reach(["avg_over_time(x[1h] offset 1d)"]) == {"x": [Stretch(DAY, DAY + HOUR)]}


def test_an_instant_selector_reads_what_prometheus_looks_back_for() -> None:
    assert reach(['x{a="b"} > 3']) == {"x": [Stretch(0 * HOUR, 5 * MINUTE)]}


def test_a_subquery_adds_its_range_and_its_offset() -> None:
    assert reach(["max_over_time(rate(x[5m])[1h:1m] offset 1d)"]) == {"x": [Stretch(DAY, DAY + HOUR + 5 * MINUTE)]}


def test_windows_of_several_rules_that_touch_are_one() -> None:
    found = reach(["avg_over_time(x[1h])", "avg_over_time(x[1h] offset 1h) + x", "avg_over_time(x[1h] offset 1w)"])
    assert found == {"x": [Stretch(0 * HOUR, 2 * HOUR), Stretch(7 * DAY, 7 * DAY + HOUR)]}


# ── the series ──


def test_each_series_follows_one_pattern() -> None:
    workload = Workload(10, MINUTE)
    named = [name for pattern in range(workload.patterns) for name in workload.names(pattern)]
    assert sorted(named) == [f"{number:05d}" for number in range(10)]


@pytest.mark.parametrize("pattern", range(4))
def test_no_pattern_leaves_its_band_by_itself(pattern: int) -> None:
    values = [value(pattern, 1.7e9 + minute * 60) for minute in range(1440)]
    mean = sum(values) / len(values)
    deviation = (sum((each - mean) ** 2 for each in values) / len(values)) ** 0.5
    assert max(abs(each - mean) for each in values) < 3 * deviation


# ── the recent past ──


def test_the_head_takes_what_no_block_holds(tmp_path: Path) -> None:
    now = int(time.time())
    series = [frozenset({("__name__", "x"), ("job", "cost"), ("series", name)}) for name in ("a", "b" * 200)]
    track = Track(series, MINUTE, [Stretch(0 * HOUR, DAY)], lambda at: at / 16)
    with Prometheus(tmp_path, flags=["--web.enable-remote-write-receiver"]) as prometheus:
        head.write([track], prometheus.url, start=head.start(now), end=now, now=now)
        counts = [sample.value for sample in prometheus.query('count_over_time(x{job="cost"}[2h1m])')]
        newest = {sample.labels["series"]: sample.value * 16 for sample in prometheus.query("x")}
    assert counts == [120, 120]
    assert newest == {"a": pytest.approx(now, abs=60), "b" * 200: pytest.approx(now, abs=60)}


# ── the command ──


@pytest.mark.timeout(600)
def test_series_are_counted_and_windows_are_full() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cost", "--quick", "--only", "plain-1d", "--only", "zscore", "-o", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    costs = {each["rules"]: Cost(**each) for each in told["costs"]}
    assert list(costs) == ["no rules", "plain-1d", "zscore"]
    assert told["machine"]["prometheus"][0].isdigit()

    hand = costs["plain-1d"]
    assert hand.recorded == 3, "mean, deviation, z-score"
    assert hand.samples_read == pytest.approx(2 * 1440 + 5, abs=40), "two days of minutes, and instants"
    assert hand.head_series >= 4 * hand.input_series, "the series themselves, and what is recorded"

    band, rules = costs["zscore"], next(each for each in rule_sets() if each.name == "zscore")
    # All but the marks that are there while a new level settles.
    assert len(rules.selectors) - 2 <= band.recorded <= len(rules.selectors)
    assert set(band.group_seconds) == set(rules.intervals)
    assert band.seconds_per_1000 >= band.average_seconds_per_1000 > 0

    nothing = costs["no rules"]
    assert (nothing.recorded, nothing.samples_read, nothing.seconds_per_1000) == (0, 0, 0)
    assert nothing.head_series < hand.head_series

    shown = [nothing, hand, replace(band, rules="auto")]
    lines = markdown(shown, told["machine"]).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(shown)
    assert {line.count("|") for line in table} == {len(HEAD) + 1}
    assert "auto takes" in lines[-3]
