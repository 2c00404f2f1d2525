"""What a median and nine tenths of the deviations promise, and where a plain MAD would have failed."""

import random
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.bed.prometheus import promtool
from tests.rulegen.proof import generated, prove
from tests.rulegen.test_zscore import DAY, load, noise

DETECTOR = "{name: load, expr: x, by: [host], band: robust, window: 1d, for: 5m, keep_firing_for: 0s, min_samples: 48}"
FIRES = 'ALERTS{severity="high",alertstate="firing"}'
FINE = DETECTOR.replace("for: 5m", "for: 1m, interval: 1m")
HOUR = 12  #: samples, one every five minutes


def sometimes(count: int, share: float, value: float = 60) -> Iterator[str]:
    """Noise around 100, and in a share of the time something else, by chance."""
    dice = random.Random(5)
    return (f"{100 + dice.gauss(0, 2) + (value if dice.random() < share else 0):.3f}" for _ in range(count))


def test_a_spike_alerts_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(160, 6), noise(DAY))},
        every="5m",
        holds={
            "23h55m": ["abs(amend:zscore) < 4", "amend:band_stddev > 1.5", "amend:band_stddev < 2.5"],
            "1d10m": [FIRES],
            "1d30m": ["amend:zscore < 3"],
        },
        fails={"1d35m": ["ALERTS"]},
    )


def test_outliers_do_not_widen_the_band(tmp_path: Path) -> None:
    # One sample in fourteen is far out: the standard deviation is 15, and hides what is 20 away.
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(sometimes(DAY, 0.07), repeat(120, 3))},
        every="5m",
        holds={"23h55m": ["amend:band_stddev < 4"], "1d5m": [FIRES]},
    )


def test_what_is_there_a_fifth_of_the_time_is_usual(tmp_path: Path) -> None:
    # A plain MAD says 2.2 of this, and calls each burst an anomaly of 27 deviations.
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(sometimes(DAY, 0.2), repeat(160, 3))},
        every="5m",
        holds={"1d": ["amend:zscore < 3"]},
        fails={"1d10m": ["ALERTS"]},
    )


def test_bursts_inside_of_blocks_are_known(tmp_path: Path) -> None:
    # Two minutes of every ten: the medians of blocks are all alike, and a band made of them alone has no width.
    bursts = [100.0, 101, 99, 100, 160, 161, 101, 99, 100, 100]
    prove(
        tmp_path,
        FINE,
        history={load(): bursts * 80},
        every="1m",
        holds={"13h": ["amend:band_stddev > 30", "abs(amend:band_mean - 100) < 0.6", "amend:zscore"]},
        fails={"13h19m": ["ALERTS"]},
    )


def test_a_series_that_is_mostly_zero_is_not_always_an_anomaly(tmp_path: Path) -> None:
    dice = random.Random(2)
    mostly = [dice.uniform(0.01, 0.03) if dice.random() < 0.3 else 0 for _ in range(DAY)]
    prove(
        tmp_path,
        DETECTOR,
        history={load(): [*mostly, 0.03, 0.03, 0.5, 0.5]},
        every="5m",
        holds={"1d5m": ["amend:zscore < 3"], "1d15m": [FIRES]},
    )


def test_a_fault_stays_visible_while_it_lasts_for_hours(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(160, DAY))},
        every="5m",
        holds={"1d1h": ["amend:zscore > 25"], "1d3h": ["amend:zscore > 10"], "1d5h": ["amend:zscore > 5"]},
    )


def test_a_level_that_came_to_stay_is_learned_within_half_of_the_window(tmp_path: Path) -> None:
    shifts = {"a": 110, "b": 160, "c": 100_000, "d": -50}
    prove(
        tmp_path,
        DETECTOR,
        history={load(host): chain(noise(DAY), noise(DAY, level)) for host, level in shifts.items()},
        every="5m",
        holds={"1d1h": ["count(abs(amend:zscore) > 3) == 4"], "1d12h": ["count(abs(amend:zscore) < 3) == 4"]},
        fails={"1d13h": ["ALERTS"]},
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
        holds={
            "1d1h10m": [FIRES, "amend:zscore < -20", "amend:band_upper < -90", "amend:band_lower > -112"],
        },
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


def test_what_only_if_leaves_out_is_neither_judged_nor_learned(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR.replace("}", ", only_if: sum by (host) (requests) > 1}"),
        history={
            load(): chain(noise(DAY), repeat(900, 48), noise(24)),
            'requests{host="a",code="200"}': chain(repeat(5, DAY), repeat(0, 48), repeat(5, 24)),
        },
        every="5m",
        holds={"1d1h": ["amend:value > 800"], "1d5h30m": ["amend:band_stddev < 3", "amend:zscore"]},
        fails={"1d1h": ["amend:zscore", "amend:learned", "ALERTS"]},
    )


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        DETECTOR.replace("window: 1d", "window: 1h, interval: 30s").replace("5m", "2m"),
        "{name: long, expr: x, by: [host], band: robust, window: 7d, direction: below, only_if: y > 3}",
        "{name: exact, expr: sum(x), band: robust, preset: high_accuracy, min_deviation: {relative: 0, absolute: 3}}",
        "{name: fast, expr: sum(x), band: robust, preset: high_frequency, severity: {low: 2}}",
    ],
)
def test_it_passes_its_own_unit_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")
