"""A forecast is trusted when the rise has lasted, on new ground: what makes a straight line lie is not believed."""

import random
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.rulegen.generate import load_specs
from tests.bed.prometheus import promtool
from tests.rulegen.proof import generated, prove, spec
from tests.rulegen.test_zscore import noise

DETECTOR = (
    "{name: disk, expr: x, by: [host], band: forecast, bound: 100, direction: above, window: 1d, horizon: 4h,"
    " for: 5m, keep_firing_for: 0s}"
)
FIRES = 'ALERTS{alertname="DiskAnomaly",severity="medium",alertstate="firing"}'
EVER = "max_over_time(ALERTS{}[10d])"
HOUR = 12  #: samples, one every five minutes
SOON = (
    "{name: load, expr: x, by: [host], band: forecast, bound: 100, direction: above, window: 1h, horizon: 5m,"
    " interval: 15s, for: 30s, keep_firing_for: 0s}"
)


def series(host: str = "a") -> str:
    return f'x{{host="{host}"}}'


def line(start: float, per_hour: float, hours: float, width: float = 0.3) -> Iterator[str]:
    """A steady change, with noise that is the same on every run."""
    dice = random.Random(3)
    return (f"{start + per_hour * step / HOUR + dice.gauss(0, width):.4f}" for step in range(round(hours * HOUR)))


def test_a_disk_that_fills_alerts_hours_before_it_is_full(tmp_path: Path) -> None:
    # 5 an hour from 50: full after 10 hours, to be told after 6
    prove(
        tmp_path,
        DETECTOR,
        history={series(): chain(noise(24 * HOUR, 50, 0.3), line(50, 5, 9))},
        every="5m",
        holds={"30h45m": [FIRES, "amend:value < 90", "amend:forecast > 100"]},
        fails={"29h30m": ["ALERTS"]},
    )


def test_what_runs_empty_is_told_as_well(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR.replace("above", "below").replace("100", "10"),
        history={series(): chain(noise(12 * HOUR, 60, 0.3), line(60, -5, 9))},
        every="5m",
        holds={"18h45m": [FIRES, "amend:value > 15", "amend:forecast < 10", "amend:zscore < -3"]},
        fails={"17h30m": ["ALERTS"]},
    )


def test_a_saw_tooth_of_log_rotation_is_no_trend(tmp_path: Path) -> None:
    tooth = [50 + 40 * step / HOUR for step in range(HOUR)]
    prove(
        tmp_path,
        DETECTOR,
        history={series(): tooth * 30},
        every="5m",
        holds={"29h": ["amend:zscore"]},
        fails={"29h55m": [f"max_over_time({FIRES}[1d6h])"]},
    )


def test_ground_that_was_covered_without_harm_is_no_news(tmp_path: Path) -> None:
    # Rotated once a day at 85, which is longer than the trend looks back; on the third day it goes on.
    rise = list(line(40, 2, 22.5))
    prove(
        tmp_path,
        DETECTOR.replace("window: 1d", "window: 2d").replace("4h", "8h"),
        history={series(): [*rise, *line(40, 0, 1.5), *rise, *line(40, 0, 1.5), *line(40, 2, 27)]},
        every="5m",
        holds={"2d25h": [FIRES, "amend:value < 95"]},
        fails={"2d": ["max_over_time(ALERTS[1d])"], "2d21h": [f"max_over_time({FIRES}[1d])"]},
    )


def test_a_leak_that_has_killed_before_is_told_the_next_time(tmp_path: Path) -> None:
    life = list(line(40, 5, 12.4))
    prove(
        tmp_path,
        DETECTOR,
        history={series(): [*line(40, 0, 3), *life, *life]},
        every="5m",
        holds={"24h40m": [FIRES, "amend:value < 90"]},
        fails={"22h": [FIRES]},
    )


@pytest.mark.parametrize("host", ["step", "steps", "spike", "restart", "wave"])
def test_what_is_no_trend_is_not_carried_on(tmp_path: Path, host: str) -> None:
    shapes: dict[str, Iterator[float | str]] = {
        "step": chain(noise(12 * HOUR, 40), noise(12 * HOUR, 80)),
        "steps": chain(noise(12 * HOUR, 40), noise(2 * HOUR, 60), noise(10 * HOUR, 80)),
        "spike": chain(noise(12 * HOUR, 40), repeat(95, 4), noise(12 * HOUR, 40)),
        "restart": chain(line(40, 3, 12), line(0, 10, 2), line(20, 1, 10)),
        "wave": chain(*(chain(line(60, 60, 0.5), line(90, -60, 0.5)) for _ in range(24))),
    }
    prove(
        tmp_path,
        DETECTOR,
        history={series(host): shapes[host]},
        every="5m",
        holds={"23h": ["amend:zscore"]},
        fails={"23h55m": ["max_over_time(ALERTS{alertstate='firing'}[1d])"]},
    )


def test_a_load_that_rises_is_told_minutes_before(tmp_path: Path) -> None:
    # 12 a minute from 40: past 100 after 5 minutes
    rise = [40 + 3 * step for step in range(1, 17)]
    prove(
        tmp_path,
        SOON,
        history={series(): chain(noise(240, 40, 1), rise)},
        every="15s",
        holds={
            "1h3m45s": ['ALERTS{alertname="LoadAnomaly",severity="medium",alertstate="firing"}', "amend:value < 90"]
        },
        fails={"59m45s": ["max_over_time(ALERTS[1h])"]},
    )


def test_past_the_bound_counts_without_any_trend(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={series("new"): [101, 101], series("back"): chain(repeat(50, 30), [101, 101, 101, 99.9])},
        every="5m",
        holds={
            "5m": ['ALERTS{host="new",severity="medium",alertstate="firing"}'],
            "2h40m": ['ALERTS{host="back",severity="medium",alertstate="firing"}'],
        },
        fails={"2h45m": ['ALERTS{host="back"}']},
    )


def test_a_new_series_has_no_trend_yet(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={series(): line(60, 15, 2)},
        every="5m",
        holds={"1h25m": ["amend:zscore < 3"]},
        fails={"1h25m": [EVER]},
    )


def test_missing_data_is_no_drop_and_no_forecast(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR.replace("above", "below").replace("100", "10"),
        history={series(): chain(noise(6 * HOUR, 60), ["stale"], repeat("_", HOUR), ["NaN"], noise(2 * HOUR, 60))},
        every="5m",
        holds={"8h": ["amend:zscore > -2"]},
        fails={"6h30m": ["amend:zscore", "amend:forecast"], "8h55m": [EVER]},
    )


def test_days_ahead_are_told_from_blocks(tmp_path: Path) -> None:
    # Half a percent an hour: full in four days. Evaluated every 30 s, half a day has 1440 samples.
    detector = DETECTOR.replace("window: 1d", "window: 7d").replace("4h", "1d")
    hours = [*noise(96, 50, 0.3), *(f"{50 + step / 2:.2f}" for step in range(84))]
    prove(
        tmp_path,
        detector,
        history={series(): chain(*(repeat(value, 6) for value in hours))},
        every="10m",
        holds={"7d10h": [FIRES, "amend:value < 92", "amend:forecast > 100"]},
        fails={"7d": [FIRES]},
    )


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        SOON,
        DETECTOR.replace("above", "below").replace("100", "0.1"),
        DETECTOR.replace("window: 1d", "window: 7d").replace("4h", "1d"),
        DETECTOR.replace("100", "0").replace("}", ", interval: 1m, only_if: y > 1, severity: {high: 3}}"),
    ],
)
def test_it_passes_its_own_unit_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")
    assert "heads for its bound" in (out / "shop.test.yml").read_text()


@pytest.mark.parametrize(
    ("detector", "line"),
    [
        (DETECTOR.replace("for: 5m", "for: 5h"), "the alert would come after what it foretells"),
        (DETECTOR.replace("window: 1d", "window: 1h30m"), "is told from 2h; a window of 1h30m has not so much"),
    ],
)
def test_times_that_do_not_fit_are_mistakes(tmp_path: Path, detector: str, line: str) -> None:
    with pytest.raises(ConfigErrors, match=line):
        load_specs(spec(tmp_path, detector))
