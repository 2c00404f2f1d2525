"""The traps of a z-score band, each of which a plain `(x - avg) / stddev` falls into.

The rules are generated and then run by Prometheus' engine over made-up history of the raw metric.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path

import pytest

from receiver.rulegen.spec import Detector, load_spec
from receiver.rulegen.zscore import block_of, offset_of
from tests.rulegen.proof import prove, spec

DAY = 288  #: samples, one every five minutes
DETECTOR = "{name: load, expr: x, by: [host], window: 1d, for: 5m, keep_firing_for: 0s, min_samples: 48}"


def noise(count: int, level: float = 100, width: float = 2) -> Iterator[str]:
    """The same on every run: a seed, not a dice."""
    dice = random.Random(7)
    return (f"{dice.gauss(level, width):.4f}" for _ in range(count))


def load(name: str = "a") -> str:
    return f'x{{host="{name}",pod="p-1"}}'


def test_a_spike_alerts_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(160, 6), noise(DAY))},
        every="5m",
        holds={
            "23h55m": ['abs(amend:zscore{host="a"}) < 4'],
            "1d10m": ['ALERTS{alertname="LoadAnomaly",host="a",severity="high",alertstate="firing"}'],
            "1d30m": ['amend:zscore{host="a"} < 3'],
        },
        fails={"1d35m": ['ALERTS{severity="high"}']},
    )


def test_a_fault_stays_visible_while_it_lasts_for_hours(tmp_path: Path) -> None:
    # A band that averages over its own fault closes on it: after 2 h of 24 its plain z-score is 3.3.
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(160, DAY))},
        every="5m",
        holds={"1d1h": ["amend:zscore > 25"], "1d3h": ["amend:zscore > 10"], "1d5h": ["amend:zscore > 6"]},
    )


def test_a_level_that_came_to_stay_is_learned_within_four_tenths_of_the_window(tmp_path: Path) -> None:
    shifts = {"a": 110, "b": 160, "c": 100_000, "d": -50}
    prove(
        tmp_path,
        DETECTOR,
        history={load(host): chain(noise(DAY), noise(DAY, level)) for host, level in shifts.items()},
        every="5m",
        holds={"1d1h": ["count(abs(amend:zscore) > 3) == 4"], "1d10h": ["count(abs(amend:zscore) < 3) == 4"]},
        fails={"1d11h": ["ALERTS"]},
    )


def test_a_spike_hides_no_later_spike(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), repeat(10_000, 12), noise(36), repeat(150, 6))},
        every="5m",
        holds={"1d4h20m": ['ALERTS{severity="high",alertstate="firing"}']},
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


def test_a_series_that_was_always_zero_can_still_alert(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(repeat(0, DAY), repeat(0.05, 6))},
        every="5m",
        holds={"1d10m": ['ALERTS{severity="high",alertstate="firing"}']},
    )


def test_negative_values_have_a_band_below_zero(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY, level=-100), repeat(-160, 6))},
        every="5m",
        holds={
            "23h55m": ["amend:band_upper < -90", "amend:band_lower > -110"],
            "1d10m": ['ALERTS{severity="high",alertstate="firing"}', "amend:zscore < -20"],
        },
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


def test_missing_data_is_neither_zero_nor_an_alert(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY), ["stale"], repeat("_", 35), noise(12))},
        every="5m",
        holds={"1d3h30m": ["abs(amend:zscore) < 3"], "1d1h": ["amend:band_mean > 98"]},
        fails={"1d1h": ["amend:zscore", "amend:value", "ALERTS"], "1d3h30m": ["ALERTS"]},
    )


def test_nan_and_infinity_do_not_blind_the_band(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(noise(DAY - 8), repeat("NaN", 4), repeat("+Inf", 4), noise(24), repeat(160, 6))},
        every="5m",
        holds={"1d2h10m": ["amend:band_stddev < 5", 'ALERTS{severity="high",alertstate="firing"}']},
        fails={"23h55m": ["amend:value"]},
    )


def test_below_min_deviation_nothing_alerts(tmp_path: Path) -> None:
    detector = DETECTOR.replace("}", ", min_deviation: {absolute: 20}}")
    prove(
        tmp_path,
        detector,
        history={load("a"): chain(noise(DAY), repeat(118, 6)), load("b"): chain(noise(DAY), repeat(135, 6))},
        every="5m",
        holds={"1d10m": ['ALERTS{host="b",severity="high"}']},
        fails={"1d10m": ['ALERTS{host="a"}']},
    )


def test_what_only_if_leaves_out_is_neither_judged_nor_learned(tmp_path: Path) -> None:
    detector = DETECTOR.replace("}", ", only_if: sum by (host) (requests) > 1}")
    prove(
        tmp_path,
        detector,
        history={
            load(): chain(noise(DAY), repeat(900, 24), noise(24)),
            'requests{host="a",code="200"}': chain(repeat(5, DAY), repeat(0, 24), repeat(5, 24)),
        },
        every="5m",
        holds={"1d1h": ["amend:value > 800"], "1d3h30m": ["amend:band_stddev < 3", "amend:zscore"]},
        fails={"1d1h": ["amend:zscore", "amend:learned", "ALERTS"]},
    )


def test_direction_says_which_side_alerts(tmp_path: Path) -> None:
    detector = DETECTOR.replace("}", ", direction: below}")
    prove(
        tmp_path,
        detector,
        history={load("up"): chain(noise(DAY), repeat(160, 6)), load("down"): chain(noise(DAY), repeat(40, 6))},
        every="5m",
        holds={"1d10m": ['ALERTS{host="down"}', 'amend:zscore{host="down"} < -20']},
        fails={"1d10m": ['ALERTS{host="up"}']},
    )


@pytest.mark.parametrize("every", ["30s", "1m", "5m"])
def test_the_band_is_the_same_however_often_the_rules_are_evaluated(tmp_path: Path, every: str) -> None:
    seconds = {"30s": 30, "1m": 60, "5m": 300}[every]
    eight_hours = range(8 * 3600 // seconds)
    values = (100 + (20 if step * seconds % 1200 < 600 else 0) for step in eight_hours)
    prove(
        tmp_path,
        DETECTOR,
        history={load(): values},
        every=every,
        holds={
            "7h55m": [
                "abs(amend:band_mean - 110) < 0.3",
                "abs(amend:band_stddev - 10) < 0.1",
            ]
        },
    )


def test_moments_keep_their_digits_on_large_values(tmp_path: Path) -> None:
    # E[x²] - E[x]² of such values is noise; the variance of blocks is not.
    base = 1_700_000_000
    prove(
        tmp_path,
        DETECTOR.replace("}", ", min_deviation: {relative: 0}}"),
        history={load(): (base + (1 if step % 2 else -1) for step in range(DAY))},
        every="5m",
        holds={"23h50m": ["abs(amend:band_stddev - 1) < 0.01"]},
    )


def _detector(folder: Path, text: str) -> Detector:
    return load_spec(spec(folder, text) / "shop.yml").detectors[0]


@pytest.mark.parametrize(
    ("times", "block", "offset"),
    [
        ("window: 10m, interval: 1s, for: 5s", None, timedelta(seconds=25)),
        ("window: 30m, interval: 1s, for: 5s", None, timedelta(seconds=75)),
        ("window: 1h, interval: 30s, for: 5m", None, timedelta(seconds=330)),
        ("window: 1d, interval: 30s, for: 5m", timedelta(minutes=5), timedelta(hours=1)),
        ("window: 1d, interval: 5m, for: 5m", None, timedelta(hours=1)),
        ("window: 7d, interval: 1m, for: 5m", timedelta(hours=1), timedelta(hours=7)),
    ],
)
def test_long_windows_are_remembered_in_blocks_and_short_ones_read(
    tmp_path: Path, times: str, block: timedelta | None, offset: timedelta
) -> None:
    detector = _detector(tmp_path, f"{{name: load, expr: x, by: [host], {times}}}")
    assert block_of(detector) == block
    assert offset_of(detector) == offset
    assert offset_of(detector) > detector.hold, "the band would have seen its fault before the alert fires"
