"""A bound is a bound: the alert fires exactly past it, whatever the history; the rest is how far past it is told."""

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
    "{name: full, expr: x, by: [disk], band: threshold, bound: 0.9, direction: above, window: 1d, for: 0s,"
    " keep_firing_for: 0s}"
)
FIRES = 'ALERTS{alertname="FullAnomaly",severity="medium",alertstate="firing"}'
BELOW = DETECTOR.replace("above", "below")
NOW = (
    "{name: now, expr: sum(x), band: threshold, bound: 7, direction: above, interval: 1s, window: 10m, for: 5s,"
    " min_deviation: {absolute: 5, relative: 100%}, severity: {score: {high: 0.5}}}"
)


def test_the_alert_fires_past_the_bound_and_not_at_it(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={'x{disk="a"}': [*repeat(0.3, DAY), 0.9, 0.9000000000000002, 0.8999999999999999]},
        every="5m",
        holds={"1d": ["amend:zscore == 3"], "1d5m": [FIRES]},
        fails={"1d": [FIRES], "1d10m": [FIRES]},
    )


@pytest.mark.parametrize("usual", [-1e6, -40, 0, 0.89, 0.9, 0.95, 1e6])
def test_whatever_was_usual_before_the_bound_decides(tmp_path: Path, usual: float) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={'x{disk="a"}': [*repeat(usual, 40), 0.91, 0.89]},
        every="5m",
        holds={"3h20m": [FIRES], "3h25m": ["amend:zscore < 3"]},
        fails={"3h25m": [FIRES]},
    )


def test_a_bound_below_is_passed_downwards(tmp_path: Path) -> None:
    prove(
        tmp_path,
        BELOW,
        history={'x{disk="a"}': [*repeat(5, 40), 0.9, 0.8999999999999999, 0.91]},
        every="5m",
        holds={"3h20m": ["amend:zscore == -3"], "3h25m": [FIRES], "3h30m": ["amend:band_lower == 0.9"]},
        fails={"3h20m": [FIRES], "3h30m": [FIRES]},
    )


def test_a_new_series_is_judged_at_once(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={'x{disk="new"}': [0.95], 'x{disk="fine"}': [0.2]},
        every="5m",
        holds={"0m": ['ALERTS{disk="new",severity="medium"}', 'amend:zscore{disk="fine"} < 3']},
        fails={"0m": ['ALERTS{disk="fine"}']},
    )


@pytest.mark.parametrize("bound", [0, -5])
def test_a_bound_may_be_zero_or_below(tmp_path: Path, bound: int) -> None:
    prove(
        tmp_path,
        DETECTOR.replace("0.9", str(bound)),
        history={'x{disk="a"}': [*repeat(bound, 20), bound + 1, bound]},
        every="5m",
        holds={"1h40m": [FIRES], "1h45m": ["amend:zscore == 3"]},
        fails={"1h35m": [FIRES], "1h45m": [FIRES]},
    )


def test_a_breach_is_no_more_severe_for_having_lasted(tmp_path: Path) -> None:
    # Learned, it would move the usual level towards the bound, and the same value would be ever further out.
    prove(
        tmp_path,
        DETECTOR,
        history={'x{disk="a"}': [*repeat(0.5, DAY), *repeat(0.95, DAY // 2)]},
        every="5m",
        holds={"1d": ["abs(amend:zscore - 3.375) < 0.01"], "1d11h55m": ["abs(amend:zscore - 3.375) < 0.01"]},
    )


def test_the_numbers_are_those_of_a_band_around_the_usual_level(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={'x{disk="a"}': chain(noise(DAY, 0.5, 0.01), [0.6])},
        every="5m",
        holds={
            "1d": [
                "abs(amend:band_mean - 0.5) < 0.005",
                "amend:band_upper == 0.9",
                "abs(amend:zscore - (amend:value - amend:band_mean) / amend:band_stddev) < 1e-6",
                "abs(amend:score - abs(amend:zscore) / (abs(amend:zscore) + 3)) < 1e-9",
            ]
        },
    )


def test_missing_data_is_neither_zero_nor_an_alert(tmp_path: Path) -> None:
    prove(
        tmp_path,
        BELOW,
        history={'x{disk="a"}': chain(repeat(5, 30), ["stale"], repeat("_", 20), ["NaN", "+Inf", "-Inf"])},
        every="5m",
        fails={at: [FIRES, "amend:zscore"] for at in ("2h35m", "4h", "4h15m", "4h20m", "4h25m")},
    )


def test_only_if_holds_the_judgement_back(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR.replace("}", ", only_if: sum by (disk) (traffic) > 1}"),
        history={
            'x{disk="a"}': [*repeat(0.5, 30), *repeat(0.99, 30)],
            'traffic{disk="a"}': [*repeat(5, 40), *repeat(0, 20)],
        },
        every="5m",
        holds={"3h": [FIRES], "4h": ["amend:value > 0.9", "amend:band_mean < 0.6"]},
        fails={"4h": [FIRES, "amend:zscore", "amend:learned"]},
    )


@pytest.mark.parametrize(
    "detector",
    [
        DETECTOR,
        BELOW,
        DETECTOR.replace("0.9", "0"),
        BELOW.replace("0.9", "-12"),
        DETECTOR.replace("window: 1d", "window: 7d").replace(
            "}", ", interval: 1m, severity: {page: 3, worse: 5}, only_if: y > 1}"
        ),
        NOW,
    ],
)
def test_it_passes_its_own_unit_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")


@pytest.mark.parametrize(
    ("detector", "line"),
    [
        (DETECTOR.replace(", bound: 0.9", ""), "`bound` is missing; threshold needs the number"),
        (DETECTOR.replace(", direction: above", ""), "a bound has one side; write `direction: above`"),
    ],
)
def test_a_bound_needs_a_number_and_a_side(tmp_path: Path, detector: str, line: str) -> None:
    with pytest.raises(ConfigErrors, match=line):
        load_specs(spec(tmp_path, detector))
