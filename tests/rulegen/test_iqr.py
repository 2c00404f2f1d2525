"""Fences that stand as far out as the values lie on their side, and what a quarter of the past may not do."""

import random
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.bed.prometheus import promtool
from tests.rulegen.proof import generated, prove
from tests.rulegen.test_zscore import DAY, load, noise

DETECTOR = "{name: load, expr: x, by: [host], band: iqr, window: 1d, for: 5m, keep_firing_for: 0s, min_samples: 48}"
SHORT = DETECTOR.replace("window: 1d", "window: 30m").replace("48", "24").replace("for: 5m", "interval: 30s, for: 1m")
FIRES = 'ALERTS{severity="high",alertstate="firing"}'


def askew(count: int, level: float = 100) -> Iterator[str]:
    """A long tail above and none below, as latencies have it."""
    dice = random.Random(11)
    return (f"{level + 10 * dice.expovariate(1):.3f}" for _ in range(count))


def test_a_spike_alerts_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(160, 6), noise(DAY))},
        every="5m",
        holds={
            # normal noise of 2: the quartiles are 1.35 away, and the fences 3 ranges of 2.7 beyond
            "23h55m": [
                "abs(amend:zscore) < 3",
                "abs(amend:band_upper - 109.4) < 1",
                "abs(amend:band_lower - 90.6) < 1",
            ],
            "1d10m": [FIRES],
            "1d30m": ["amend:zscore < 3"],
        },
        fails={"1d35m": ["ALERTS"]},
    )


def test_each_side_has_its_own_measure(tmp_path: Path) -> None:
    # 150 is in the tail; as far below the median nothing ever was.
    prove(
        tmp_path,
        DETECTOR,
        history={load("up"): chain(askew(DAY), repeat(140, 3)), load("down"): chain(askew(DAY), repeat(70, 3))},
        every="5m",
        holds={
            "1d10m": [
                'ALERTS{host="down",severity="medium",alertstate="firing"}',
                'amend:zscore{host="up"} < 3',
                "count(abs(amend:zscore - (amend:value - amend:band_mean) / amend:band_stddev) < 1e-6) == 2",
            ],
            "23h": ["count(amend:band_upper - amend:band_mean > 1.05 * (amend:band_mean - amend:band_lower)) == 2"],
        },
        fails={"1d10m": ['ALERTS{host="up"}']},
    )


def test_the_distance_is_sigma_at_both_fences(tmp_path: Path) -> None:
    out_of_three = "3 * (amend:value - amend:band_mean)"
    prove(
        tmp_path,
        SHORT,
        history={load(): [*([100.0, 101, 102, 104] * 20), 1000, -1000]},
        every="30s",
        holds={
            "40m": [f"abs(amend:zscore - {out_of_three} / (amend:band_upper - amend:band_mean)) < 1e-6"],
            "40m30s": [f"abs(amend:zscore - {out_of_three} / (amend:band_mean - amend:band_lower)) < 1e-6"],
        },
    )


def test_a_fault_stays_visible_while_it_lasts_for_hours(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(160, DAY))},
        every="5m",
        holds={"1d1h": ["amend:zscore > 10"], "1d5h": ["amend:zscore > 5"]},
    )


def test_a_level_that_came_to_stay_is_learned_within_six_tenths_of_the_window(tmp_path: Path) -> None:
    shifts = {"a": 115, "b": 160, "c": 100_000, "d": -50}
    prove(
        tmp_path,
        DETECTOR,
        history={load(host): chain(noise(DAY), noise(DAY, level)) for host, level in shifts.items()},
        every="5m",
        holds={"1d1h": ["count(abs(amend:zscore) > 3) == 4"], "1d14h24m": ["count(abs(amend:zscore) < 3) == 4"]},
        fails={"1d15h": ["ALERTS"]},
    )


def test_a_flat_series_never_alerts(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load("a"): repeat(100, DAY + 12), load("b"): chain(repeat(100, DAY), repeat(100.9, 12))},
        every="5m",
        holds={"1d55m": ["count(amend:zscore) == 2"]},
        fails={"1d55m": ["ALERTS"], "1d5m": ["ALERTS"]},
    )


def test_negative_values_and_gaps_and_what_is_no_number(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={
            load(): chain(
                noise(DAY - 8, -100), repeat("NaN", 4), repeat("+Inf", 4), ["stale"], repeat("_", 11), repeat(-160, 6)
            )
        },
        every="5m",
        holds={"1d1h10m": [FIRES, "amend:zscore < -10", "amend:band_upper < -85", "amend:band_lower > -115"]},
        fails={"1d30m": ["amend:zscore", "amend:value", "ALERTS"], "23h55m": ["amend:value"]},
    )


def test_nothing_is_judged_before_min_samples(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(24), repeat(500, 30))},
        every="5m",
        holds={"4h25m": ["amend:value"]},
        fails={"4h25m": ["amend:zscore", "amend:band_upper", "ALERTS"]},
    )


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        SHORT,
        "{name: long, expr: x, by: [host], band: iqr, window: 7d, direction: below, only_if: y > 3}",
        "{name: exact, expr: sum(x), band: iqr, sigma: 1.5, min_deviation: {relative: 0, absolute: 3}}",
        "{name: fast, expr: sum(x), band: iqr, preset: high_frequency, severity: {low: 2}}",
        "{name: both, expr: sum(x), band: {any_of: [iqr, robust]}, interval: 1m}",
    ],
)
def test_it_passes_its_own_unit_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")
