"""The traps of a band of past days, each run by Prometheus' engine over made-up history of the raw metric.

A sample each half hour is enough for what days are compared by; what happens within minutes has a test with more.
"""

import math
import random
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from receiver.rulegen.spec import load_spec
from tests.rulegen.proof import prove, spec

DAY = 48  #: samples, one each half hour
DETECTOR = "{name: load, expr: x, by: [host], keep_firing_for: 0s, min_samples: 12}"
FIRING = 'ALERTS{alertname="LoadAnomaly",alertstate="firing"}'


def load(host: str = "a") -> str:
    return f'x{{host="{host}"}}'


def days(count: int, *, level: float = 100, peak: float = 80, growth: float = 0) -> list[float]:
    """Days with a peak of four hours and some noise, the same on every run; `growth` a day."""
    dice = random.Random(7)
    return [
        (level + (peak if 20 <= half % DAY < 28 else 0)) * (1 + growth * half / DAY) + dice.gauss(0, 3)
        for half in range(count * DAY)
    ]


def at(day: int, hour: int = 0) -> str:
    return f"{day * 24 + hour}h"


def test_the_peak_of_every_day_is_usual_and_a_higher_one_is_not(tmp_path: Path) -> None:
    higher = [*days(8)]
    higher[7 * DAY + 24] = 240
    prove(
        tmp_path,
        DETECTOR,
        history={load("usual"): days(8), load("higher"): higher},
        every="30m",
        holds={at(7, 12): [FIRING.replace("}", ',host="higher"}'), 'amend:zscore{host="usual"} < 3']},
        fails={
            **{at(day, hour): ["ALERTS"] for day in (2, 4, 6) for hour in range(9, 15)},
            at(7, 12): ['ALERTS{host="usual"}'],
        },
    )


def test_a_fault_inside_the_heights_of_the_day_is_seen_by_its_change(tmp_path: Path) -> None:
    # Every five minutes here: at night the value jumps to where it is at noon.
    def night(jump: float) -> Iterator[float]:
        dice = random.Random(5)
        for five in range(3 * 288):
            hours = five / 12 % 24
            slope = 100 + 40 * math.sin((hours - 6) * math.pi / 12) + dice.gauss(0, 1)
            yield slope + (jump if 2 * 288 + 24 <= five < 2 * 288 + 27 else 0)

    prove(
        tmp_path,
        DETECTOR,
        history={load("jump"): night(60), load("calm"): night(0)},
        every="5m",
        holds={"50h5m": ['abs(amend:zscore{host="jump"}) > 3', 'amend:value{host="jump"} < amend:band_upper']},
        fails={"50h5m": ['ALERTS{host="calm"}'], "50h20m": ["ALERTS"], "50h50m": ["ALERTS"]},
    )


def test_a_fault_stays_visible_for_six_hours_and_ends_when_it_ends(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(days(6), repeat(400, 12), days(1))},
        every="30m",
        holds={at(6, hour): [FIRING] for hour in range(6)},
        fails={at(6, 7): ["ALERTS"], at(6, 8): ["ALERTS"], at(6, 20): ["ALERTS"]},
    )


@pytest.mark.parametrize("level", [140, 300, -100, 100_000])
def test_a_level_that_came_to_stay_is_learned_within_two_days(tmp_path: Path, level: float) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(days(8), days(3, level=level))},
        every="30m",
        holds={at(8, 12): ["amend:zscore"]},
        fails={at(10, hour): ["ALERTS"] for hour in (0, 6, 12, 18)},
    )


def test_one_odd_day_hides_no_later_fault(tmp_path: Path) -> None:
    odd = days(12)
    odd[5 * DAY + 6] = 2000
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(odd, [400, 400])},
        every="30m",
        holds={at(5, 3): [FIRING], at(12): [FIRING]},
    )


def test_growth_of_a_fifth_a_week_is_usual(tmp_path: Path) -> None:
    grown = days(14, growth=0.2 / 7)
    prove(
        tmp_path,
        DETECTOR,
        history={load(): grown},
        every="30m",
        fails={at(day, hour): ["ALERTS"] for day in range(3, 14) for hour in (4, 11, 13, 20)},
    )


def test_a_flat_series_never_alerts_and_one_of_zeros_still_can(tmp_path: Path) -> None:
    quiet = [*repeat(100, 4 * DAY), *repeat(100.9, 12)]
    prove(
        tmp_path,
        DETECTOR,
        history={load("flat"): quiet, load("zero"): chain(repeat(0, 4 * DAY), repeat(0.05, 12))},
        every="30m",
        holds={at(4, 2): ["count(amend:zscore) == 2", FIRING.replace("}", ',host="zero"}')]},
        fails={at(4, 2): ['ALERTS{host="flat"}']},
    )


def test_negative_values_have_a_band_below_zero(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain((-each for each in days(5)), [-400])},
        every="30m",
        holds={at(4, 12): ["amend:band_lower < -170", "amend:band_upper < -60"], at(5): [FIRING, "amend:zscore < -3"]},
    )


def test_nothing_is_judged_in_the_first_day(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(days(1), repeat(900, 16), days(2))},
        every="30m",
        holds={at(1, 4): ["amend:value > 800"], at(2, 12): ["amend:zscore"]},
        fails={at(1, 4): ["amend:zscore", "amend:band_upper", "ALERTS"]},
    )


def test_a_gap_is_neither_zero_nor_forgotten_over(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(days(5), ["stale"], repeat("_", 3 * DAY - 1), [105, 105, 400])},
        every="30m",
        holds={at(8): ["abs(amend:zscore) < 3"], at(8, 1): [FIRING]},
        fails={at(6): ["amend:zscore", "ALERTS"], at(8): ["ALERTS"]},
    )


@pytest.mark.parametrize(("begin", "length"), [(12, 20), (0, 10), (10, 4), (9, 25)])
def test_what_a_gap_leaves_of_a_day_is_not_judged_as_a_day(tmp_path: Path, begin: int, length: int) -> None:
    """Hours: a series that is back in its peak has known no other hour of that day."""
    usual, first, back = days(9), 5 * DAY + 2 * begin, 5 * DAY + 2 * (begin + length)
    prove(
        tmp_path,
        DETECTOR,
        history={load(): chain(usual[:first], ["stale"], repeat("_", 2 * length - 1), usual[back:])},
        every="30m",
        holds={at(5, begin + length): ["amend:zscore"]},
        fails={f"{30 * half}m": ["ALERTS"] for half in range(back, 7 * DAY)},
    )


@pytest.mark.parametrize("begin", [0, 9, 16, 20])
def test_a_new_series_may_have_its_peak_at_any_hour(tmp_path: Path, begin: int) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): days(6)[2 * begin :]},
        every="30m",
        holds={at(2): ["amend:zscore"]},
        fails={f"{30 * half}m": ["ALERTS"] for half in range(4 * DAY)},
    )


def test_what_only_if_leaves_out_is_neither_judged_nor_learned(tmp_path: Path) -> None:
    detector = DETECTOR.replace("}", ", only_if: requests > 1}")
    night: Iterable[float] = chain(days(5), repeat(900, 16), days(1), [400, 400])
    traffic = chain(repeat(5, 5 * DAY), repeat(0, 16), repeat(5, DAY + 2))
    prove(
        tmp_path,
        detector,
        history={load(): night, 'requests{host="a"}': traffic},
        every="30m",
        holds={at(5, 3): ["amend:value > 800"], at(6, 8): [FIRING], at(6, 7): ["amend:band_upper < 300"]},
        fails={at(5, 3): ["amend:zscore", "amend:learned", "ALERTS"]},
    )


def test_direction_says_which_side_alerts(tmp_path: Path) -> None:
    detector = DETECTOR.replace("}", ", direction: below}")
    prove(
        tmp_path,
        detector,
        history={load("up"): chain(days(4), [400, 400]), load("down"): chain(days(4), [5, 5])},
        every="30m",
        holds={at(4): ['ALERTS{host="down"}', 'amend:zscore{host="down"} < -3']},
        fails={at(4): ['ALERTS{host="up"}']},
    )


def test_min_deviation_keeps_what_is_too_small_to_matter_quiet(tmp_path: Path) -> None:
    detector = DETECTOR.replace("}", ", min_deviation: {absolute: 100}}")
    prove(
        tmp_path,
        detector,
        history={load("a"): chain(days(4), [270]), load("b"): chain(days(4), [300])},
        every="30m",
        holds={at(4): [FIRING.replace("}", ',host="b"}')]},
        fails={at(4): ['ALERTS{host="a"}']},
    )


def test_at_most_sixteen_series_are_recorded_for_one(tmp_path: Path) -> None:
    prove(
        tmp_path,
        DETECTOR,
        history={load(): days(4)},
        every="30m",
        holds={at(3, 20): ['count(last_over_time({__name__=~"amend:.+"}[2h])) == 16']},
    )


def test_auto_compares_days_where_its_window_holds_some(tmp_path: Path) -> None:
    folder = spec(
        tmp_path,
        "{name: a, expr: x, by: [host]}",
        "{name: b, expr: x, by: [host], window: 1h, min_samples: 30, for: 1m}",
        "{name: c, expr: x, by: [host], preset: high_frequency}",
        "{name: d, expr: x, by: [host], band: zscore}",
    )
    a, b, c, d = load_spec(folder / "shop.yml").detectors
    assert [each.band for each in (a, b, c, d)] == ["novelty", "zscore", "zscore", "zscore"]
    assert (a.window.days, d.window.days) == (12, 1)
    assert not a.hold, "its value is a mean of minutes already"
    assert c.hold
    assert d.hold
