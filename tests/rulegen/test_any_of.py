"""Several bands at once: outside of one is outside, the furthest out speaks, and none silences another."""

from itertools import chain, repeat
from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.rulegen.generate import load_specs
from tests.bed.prometheus import promtool
from tests.rulegen.proof import generated, prove, spec
from tests.rulegen.test_zscore import noise

DAY = 288  #: samples, one every five minutes
DETECTOR = (
    "{name: load, expr: x, by: [host], band: {any_of: [zscore, threshold]}, bound: 200, direction: above, window: 1d,"
    " for: 5m, keep_firing_for: 0s, min_samples: 48}"
)
FIRES = 'ALERTS{alertname="LoadAnomaly",severity="medium",alertstate="firing"}'
ADDS_UP = (
    "abs(amend:zscore - (amend:value - amend:band_mean) / amend:band_stddev) < 1e-6",
    "count(amend:zscore) == 1",
    "count(amend:band_mean) == 1",
)


def series(host: str = "a") -> str:
    return f'x{{host="{host}"}}'


def test_each_band_sees_what_the_other_does_not(tmp_path: Path) -> None:
    # 150 is far from the bound and new; of a level that swings by 40, 201 is nothing but past the bound.
    prove(
        tmp_path / "new",
        DETECTOR,
        history={series(): chain(noise(DAY), repeat(150, 3))},
        every="5m",
        holds={
            "1d5m": [FIRES, *ADDS_UP, 'amend:part_zscore{band="threshold"} < 3', "amend:band_stddev < 3"],
            "23h": [*ADDS_UP, "amend:band_upper < 120"],
        },
        fails={"23h55m": ["ALERTS"]},
    )
    prove(
        tmp_path / "past",
        DETECTOR,
        history={series(): chain(noise(DAY, 100, 40), repeat(201, 3))},
        every="5m",
        holds={"1d10m": [FIRES, *ADDS_UP, 'amend:part_zscore{band="zscore"} < 3', "amend:band_upper == 200"]},
    )


def test_a_band_that_knows_too_little_silences_no_other(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={series(): repeat(201, 3)},
        every="5m",
        holds={"10m": [FIRES, *ADDS_UP]},
        fails={"10m": ['amend:part_zscore{band="zscore"}']},
    )


def test_the_distance_is_sigma_at_the_nearest_edge(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={series(): chain(noise(DAY, 100, 40), [200])},
        every="5m",
        holds={"1d": ["amend:zscore == 3", "amend:value == amend:band_upper", "amend:score == 0.5"]},
        fails={"1d": ["ALERTS"]},
    )


@pytest.mark.parametrize(
    ("direction", "value", "holds"), [("below", 50, "< -3"), ("both", 50, "< -3"), ("both", 150, "> 3")]
)
def test_the_side_that_counts_decides_who_speaks(tmp_path: Path, direction: str, value: float, holds: str) -> None:
    detector = DETECTOR.replace("threshold", "classic").replace("above", direction).replace(", bound: 200", "")
    prove(
        tmp_path,
        detector,
        history={series(): chain(noise(DAY), repeat(value, 3))},
        every="5m",
        holds={"1d5m": [FIRES, f"amend:zscore {holds}", *ADDS_UP]},
    )


def test_missing_data_and_only_if_hold_for_all_parts(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR.removesuffix("}") + ", only_if: sum by (host) (traffic) > 1}",
        history={
            series(): chain(noise(DAY), repeat(500, 6), ["stale"], repeat("_", 6)),
            'traffic{host="a"}': chain(repeat(5, DAY), repeat(0, 13)),
        },
        every="5m",
        holds={"1d10m": ["amend:value > 400", "amend:band_mean"]},
        fails={at: ["ALERTS", "amend:zscore", "amend:part_zscore"] for at in ("1d10m", "1d45m")},
    )


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        DETECTOR.replace("zscore, threshold", "forecast, zscore, threshold"),
        DETECTOR.replace("zscore, threshold", "novelty, threshold").replace("window: 1d, ", "window: 3d, "),
        DETECTOR.replace("threshold", "classic").replace("above", "both").replace(", bound: 200", ""),
        DETECTOR.replace("200", "0.1").replace("above", "below").removesuffix("}") + ", only_if: y > 1, horizon: 4h}",
    ],
)
def test_it_passes_its_own_unit_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")


@pytest.mark.parametrize(
    ("band", "line"),
    [
        ("{any_of: [zscore, zscore]}", "any_of needs two bands or more, each once"),
        ("{any_of: [zscore, treshold]}", 'unknown band "treshold"; did you mean "threshold"'),
        ("{any_of: [zscore, any_of]}", '"any_of" cannot be a part of any_of'),
        ("any_of", "any_of needs two bands or more"),
        ("{any_of: [zscore, forecast]}", "`bound` is missing"),
    ],
)
def test_what_is_no_choice_of_bands_is_a_mistake(tmp_path: Path, band: str, line: str) -> None:
    with pytest.raises(ConfigErrors, match=line):
        load_specs(spec(tmp_path, f"{{name: load, expr: x, by: [host], band: {band}, direction: above}}"))
