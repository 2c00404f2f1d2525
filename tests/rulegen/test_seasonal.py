"""What repeats is usual and its absence is not; growth, gaps and one bad day in the past change nothing of that."""

import math
import random
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from receiver.durations import format_duration
from receiver.errors import ConfigErrors
from receiver.rulegen.generate import load_specs
from receiver.rulegen.seasonal import Seasonal
from tests.bed.prometheus import promtool
from tests.rulegen.proof import generated, prove, spec

DETECTOR = (
    "{name: load, expr: x, by: [host], band: seasonal, season: [1d], window: 1d, for: 10m, keep_firing_for: 0s,"
    " interval: 10m, min_samples: 24}"
)
WEEKLY = DETECTOR.replace("season: [1d]", "season: [1d, 1w]").replace("10m", "30m")
TOGETHER = (
    "{name: all, expr: x, by: [host], band: {any_of: [seasonal, threshold, zscore]}, bound: 1, direction: above,"
    " interval: 5m, min_samples: 24}"
)
FIRES = 'ALERTS{alertname="LoadAnomaly",severity="high",alertstate="firing"}'
HOUR, DAY = 6, 144  #: samples, one every ten minutes
PEAK = range(9 * HOUR, 11 * HOUR)  #: two hours of each day


def days(count: int, *, base: float = 100, peak: float = 300, growth: float = 1, seed: int = 4) -> Iterator[float]:
    """A busy forenoon each day, with noise that is the same on every run."""
    dice = random.Random(seed)
    for step in range(count * DAY):
        level = peak if step % DAY in PEAK else base + 10 * math.sin(2 * math.pi * step / DAY)
        yield round(level * growth ** (step / DAY) + dice.gauss(0, 3), 3)


def weeks(count: int, growth: float = 1) -> list[float]:
    """Five such days and two idle ones, one sample every thirty minutes."""
    dice = random.Random(9)
    values = []
    for day in range(7 * count):
        busy = day % 7 < 5
        for step in range(48):
            level = (300 if busy else 80) if step in range(18, 22) else (100 if busy else 70)
            values.append(round(level * growth ** ((day + step / 48) / 7) + dice.gauss(0, 2), 3))
    return values


def series(host: str = "a") -> str:
    return f'x{{host="{host}"}}'


def ever(alert: str, over: str) -> str:
    return f"max_over_time({alert}[{over}])"


def test_a_peak_that_comes_every_day_is_usual_and_a_zscore_calls_it_an_anomaly(tmp_path: Path) -> None:
    history = {series(): list(days(4))}
    prove(
        tmp_path / "seasonal",
        DETECTOR,
        history=history,
        every="10m",
        holds={
            "3d10h": ["amend:zscore < 3", "amend:value > 250", "amend:band_mean > 250"],
            "3d8h": ["amend:band_mean < 150"],
        },
        fails={"3d23h": [ever("ALERTS", "4d")]},
    )
    flat = DETECTOR.replace("seasonal, season: [1d]", "zscore")
    prove(tmp_path / "zscore", flat, history=history, every="10m", holds={"3d10h": ["amend:zscore > 3"]})


def test_a_peak_that_does_not_come_alerts(tmp_path: Path) -> None:
    values = list(days(5))
    values[4 * DAY + 9 * HOUR : 4 * DAY + 11 * HOUR] = [100.0] * (2 * HOUR)
    prove(
        tmp_path,
        DETECTOR,
        history={series(): values},
        every="10m",
        holds={"4d10h10m": [FIRES, "amend:zscore < -4"], "4d16h": ["abs(amend:zscore) < 3"]},
        fails={"4d8h50m": [ever("ALERTS", "4d")], "4d16h": ["ALERTS"]},
    )


def test_what_is_small_by_day_is_a_fault_by_night(tmp_path: Path) -> None:
    values = list(days(5))
    values[4 * DAY + 3 * HOUR : 4 * DAY + 4 * HOUR] = [250.0] * HOUR
    prove(tmp_path, DETECTOR, history={series(): values}, every="10m", holds={"4d3h30m": [FIRES]})


def test_one_day_is_enough_and_less_is_too_little(tmp_path: Path) -> None:
    values = [*days(1), *days(1, seed=5)]
    values[20 * HOUR : 20 * HOUR + 3] = [900.0] * 3
    values[DAY + 22 * HOUR : DAY + 23 * HOUR] = [400.0] * HOUR
    prove(
        tmp_path,
        DETECTOR,
        history={series(): values},
        every="10m",
        holds={"1d10h": ["amend:zscore < 3"], "1d22h30m": [FIRES]},
        fails={"20h20m": ["amend:zscore", "ALERTS"], "1d2h": ["amend:zscore"], "1d21h50m": [ever("ALERTS", "2d")]},
    )


def test_the_week_decides_once_it_is_known_and_a_fifth_of_growth_each_week_is_usual(tmp_path: Path) -> None:
    even, growing = weeks(4), weeks(4, growth=1.2)
    even[27 * 48 + 20 : 27 * 48 + 22] = [300.0] * 2  # a busy Sunday
    prove(
        tmp_path,
        WEEKLY,
        history={series("even"): even, series("growing"): growing},
        every="30m",
        holds={
            "21d10h": ["count(amend:zscore < 3) == 2", "count(amend:value > 250) == 2"],  # a Monday
            "26d10h": ["count(amend:zscore > -3) == 2", 'amend:value{host="even"} < 100'],  # a Saturday
            "25d10h": ['amend:value{host="growing"} > 550', 'amend:band_mean{host="growing"} > 550'],
            "27d10h30m": [FIRES.replace("{", '{host="even",')],
        },
        fails={"27d9h30m": [ever("ALERTS", "12d")], "27d23h30m": [ever('ALERTS{host="growing"}', "12d")]},
    )


def test_one_bad_day_in_the_past_changes_nothing(tmp_path: Path) -> None:
    broken: dict[str, float | str] = {"outage": 0.0, "holiday": 110.0, "gap": "_", "spike": 5000.0}
    history: dict[str, list[float | str]] = {series(bad): [*days(6)] for bad in broken}
    for bad, value in broken.items():
        history[series(bad)][4 * DAY + 8 * HOUR : 4 * DAY + 13 * HOUR] = repeat(value, 5 * HOUR)
    prove(
        tmp_path,
        DETECTOR,
        history=history,
        every="10m",
        holds={
            "5d10h": ["count(amend:band_mean > 250) == 4", "count(abs(amend:zscore) < 3) == 4"],
            "4d10h10m": [f'ALERTS{{host="{bad}",severity="high"}}' for bad in ("outage", "holiday", "spike")],
        },
        fails={"5d23h50m": [ever("ALERTS", "22h")]},
    )


def test_a_fault_stays_visible_and_a_lasting_level_is_learned_within_two_days(tmp_path: Path) -> None:
    def shifted(factor: float) -> Iterator[float]:
        return chain(days(5), (factor * value for value in days(3, seed=6)))

    prove(
        tmp_path,
        DETECTOR,
        history={series("half"): shifted(0.6), series("more"): shifted(1.6)},
        every="10m",
        holds={
            "5d1h": ["count(abs(amend:zscore) > 3) == 2"],
            "5d3h": ["count(abs(amend:zscore) > 3) == 2"],
            "7d3h": ["count(abs(amend:zscore) < 3) == 2", 'amend:band_mean{host="more"} > 150'],
        },
        fails={"7d23h50m": [ever("ALERTS", "22h")]},
    )


def test_a_spike_of_today_is_not_expected_tomorrow(tmp_path: Path) -> None:
    values = list(days(5))
    values[3 * DAY + 18 * HOUR : 3 * DAY + 20 * HOUR] = [10_000.0] * (2 * HOUR)
    prove(
        tmp_path,
        DETECTOR,
        history={series(): values},
        every="10m",
        holds={"3d18h30m": [FIRES], "4d19h": ["abs(amend:zscore) < 3", "amend:band_upper < 200"]},
        fails={"4d23h50m": [ever("ALERTS", "1d2h")]},
    )


def test_negative_values_have_seasons_too(tmp_path: Path) -> None:
    values = [value - 400 for value in days(5)]
    values[4 * DAY + 20 * HOUR : 4 * DAY + 21 * HOUR] = [-900.0] * HOUR
    prove(
        tmp_path,
        DETECTOR,
        history={series(): values},
        every="10m",
        holds={"4d10h": ["abs(amend:zscore) < 3", "amend:value < 0"], "4d20h30m": [FIRES, "amend:zscore < -4"]},
        fails={"4d19h50m": [ever("ALERTS", "5d")]},
    )


def test_a_flat_series_never_alerts(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={
            series("a"): repeat(100, 2 * DAY),
            series("b"): chain(repeat(100, DAY + 100), repeat(100.9, 44)),
            series("zero"): repeat(0, 2 * DAY),
        },
        every="10m",
        holds={"1d23h": ["count(amend:zscore) == 3"]},
        fails={"1d23h": [ever("ALERTS", "2d")]},
    )


def test_missing_data_and_what_is_no_number_are_neither_zero_nor_an_alert(tmp_path: Path) -> None:
    values: list[float | str] = [*days(4)]
    values[3 * DAY : 3 * DAY + 3] = ["NaN", "+Inf", "stale"]
    values[3 * DAY + 3 : 3 * DAY + 11 * HOUR] = repeat("_", 11 * HOUR - 3)
    prove(
        tmp_path,
        DETECTOR,
        history={series(): values},
        every="10m",
        holds={"3d12h": ["abs(amend:zscore) < 3"]},
        fails={
            "3d": ["amend:value"],
            "3d10m": ["amend:value"],
            "3d6h": ["amend:zscore", "amend:value"],
            "3d23h": [ever("ALERTS", "4d")],
        },
    )


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        WEEKLY.replace("interval: 30m", "interval: 30s").replace("30m", "5m"),
        "{name: hourly, expr: sum(x), band: seasonal, season: [1h], interval: 15s, window: 4h, only_if: y > 1}",
        TOGETHER,
    ],
)
def test_it_passes_its_own_unit_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")


@pytest.mark.parametrize(
    ("season", "line"),
    [("[5m]", "a season of 5m with a sample every 10m has no shape"), ("[1d, 24h]", "a season stands twice")],
)
def test_seasons_without_a_shape_are_mistakes(tmp_path: Path, season: str, line: str) -> None:
    with pytest.raises(ConfigErrors, match=line):
        load_specs(spec(tmp_path, DETECTOR.replace("[1d]", season)))


@pytest.mark.parametrize(
    ("season", "oldest"), [("[1d]", "3d1h"), ("[1d, 1w]", "15d"), ("[1h]", "3h2m30s"), ("[30d]", "31d")]
)
def test_how_far_it_looks_back_is_said(tmp_path: Path, season: str, oldest: str) -> None:
    text = DETECTOR.replace("[1d]", season).replace("interval: 10m", "interval: 1m").replace("for: 10m", "for: 1m")
    (detector,) = load_specs(spec(tmp_path, text)).specs[0].detectors
    assert format_duration(Seasonal().looks_back(detector)) == oldest
