"""Made-up anomalies in made-up histories: what is put in is what was asked for, and Prometheus' own engine finds it.

Chance decides where, always alike.
"""

import math
import random
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.rulegen.anomalies import SIZES, Found, Injection, Kind, altered
from receiver.rulegen.backtest import Wanted, judge
from receiver.rulegen.generate import load_specs
from receiver.rulegen.history import NOTHING, Grid
from receiver.rulegen.injection import measure, places
from receiver.rulegen.made_up import SHAPES, made_up
from tests.bed.parts import program
from tests.rulegen.proof import spec

STEP = timedelta(minutes=10)
END = datetime(2026, 3, 6, tzinfo=UTC)
GRID = Grid.until(END, step=STEP, span=timedelta(days=3))
DETECTOR = (
    "{name: load, expr: max by (host) (load), by: [host], band: zscore, interval: 10m, window: 12h, min_samples: 20,"
    " for: 10m, direction: above, sigma: 4}"
)


def shape(kind: Kind, size: float | None = 5.0) -> tuple[list[float], list[float]]:
    """Values with a deviation of 2 that alternate around 100, before and after two hours of an anomaly."""
    values = [102.0 if step % 2 else 98.0 for step in range(GRID.steps)]
    values[204] = NOTHING
    injection = Injection(kind=kind, size=size, series=(), at=200, steps=12)
    after = list(altered(values, injection, GRID, chance=random.Random(1), upwards=True))
    assert after[:200] == values[:200]
    assert after[212:] == values[212:]
    assert math.isnan(after[204]), "what was missing stays missing"
    return values[200:212], after[200:212]


def test_each_kind_changes_what_it_says() -> None:
    before, spike = shape(Kind.SPIKE)
    there = [step for step in range(12) if step != 4]
    assert [spike[step] - before[step] for step in there] == [10] * 11
    before, drift = shape(Kind.DRIFT)
    assert drift[11] - before[11] == 10
    assert drift[0] - before[0] == pytest.approx(10 / 12)
    assert {shape(Kind.DROPOUT, None)[1][step] for step in there} == {0}
    _, restless = shape(Kind.VARIANCE)
    assert len({restless[step] for step in there}) == 11
    before, moved = shape(Kind.SEASONAL_SHIFT, None)
    assert [moved[step] for step in there] == [before[step] for step in there], "half a day before it was the same"


def test_a_detector_finds_what_is_large_and_the_same_seed_tells_the_same(tmp_path: Path) -> None:
    found = load_specs(spec(tmp_path, DETECTOR)).specs[0]
    wanted = Wanted(since=timedelta(days=2), until=END, step=STEP, promtool=program("promtool"))
    with made_up(found.detectors[0], GRID) as past:
        assert {name for ((_, name),) in past.series} == {f"{shape}-0" for shape in SHAPES}
        verdict = judge(found, past, wanted)
        results = measure(found, past, verdict, wanted, each=1)
        chosen = places(past, verdict, each=1, seed=0)
        assert places(past, verdict, each=1, seed=0) == chosen
        assert places(past, verdict, each=1, seed=1) != chosen
    by_kind = {(each.kind, each.size): each for each in results}
    assert Kind.DROPOUT not in {each.kind for each in results}, "nobody asked for what falls"
    assert [each.size for each in results if each.kind is Kind.SPIKE] == list(SIZES)
    assert all(each.injected == 1 for each in results)
    assert by_kind[Kind.SPIKE, 12.0].found == 1
    assert by_kind[Kind.LEVEL_SHIFT, 12.0].found_soon == 1
    assert by_kind[Kind.LEVEL_SHIFT, 12.0].delay == timedelta(minutes=10), "its `for`"
    drift = by_kind[Kind.DRIFT, 12.0]
    assert drift.delay is not None
    assert drift.delay > timedelta(minutes=30), "it comes little by little"


def test_what_is_found_late_is_not_found_soon() -> None:
    found = Found(
        kind=Kind.DRIFT, size=3.0, injected=4, delays=[timedelta(minutes=10), timedelta(hours=1), timedelta(hours=3)]
    )
    assert (found.found, found.found_soon, found.delay) == (3, 2, timedelta(hours=1))


def test_a_history_without_a_calm_place_takes_no_injection(tmp_path: Path) -> None:
    found = load_specs(spec(tmp_path, DETECTOR)).specs[0]
    wanted = Wanted(since=timedelta(days=2), until=END, step=STEP, promtool=program("promtool"))
    with made_up(found.detectors[0], GRID) as past:
        for series in past.series:
            past.values.put(series, 144, array("d", [NOTHING] * (GRID.steps - 144)))
        results = measure(found, past, judge(found, past, wanted), wanted, each=1)
    assert {each.injected for each in results} == {0}
