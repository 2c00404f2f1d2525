"""The replay of generated rules over a history, in promtool: what is deployed is what is judged.

The history is made up; what comes out is Prometheus' own work.
"""

import math
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.errors import AmendError
from receiver.rulegen.backtest import firing
from receiver.rulegen.generate import load_specs, render
from receiver.rulegen.history import NOTHING, Grid
from receiver.rulegen.replay import Answer, Member, Replay
from receiver.rulegen.spec import Spec
from receiver.rulegen.tester import NoPromtool, Question, find_promtool
from tests.bed.parts import program
from tests.rulegen.proof import spec as spec_folder

MINUTE = timedelta(minutes=1)
START = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)  # a Wednesday
SMALL = (
    "band: zscore, interval: 1m, window: 2h, min_samples: 20, for: 2m, keep_firing_for: 0s,"
    " severity: {high: 3, critical: 100}"
)
DETECTOR = f"{{name: load, expr: max by (host) (load), by: [host], {SMALL}}}"


def spec(folder: Path, detector: str) -> Spec:
    return load_specs(spec_folder(folder, detector)).specs[0]


def wave(steps: int) -> list[float]:
    return [100.0 + 2 * math.sin(step) for step in range(steps)]


def play(spec: Spec, members: Sequence[Member], expr: str = "", *, start: datetime = START) -> list[Answer]:
    steps = len(members[0].values)
    detector = spec.detectors[0]
    grid = Grid(start, MINUTE, steps)
    question = Question(expr, range(steps)) if expr else firing(detector, grid, 0)
    replay = Replay(
        spec=spec,
        detectors=[detector],
        grid=grid,
        questions=[question],
        promtool=program("promtool"),
    )
    return sorted(replay.play(len(members), lambda number: members[number]), key=lambda answer: answer.step)


def test_the_replayed_groups_are_those_of_the_deployed_file(tmp_path: Path) -> None:
    found = spec(tmp_path, DETECTOR)
    deployed = render([found], rules=tmp_path, dashboards=tmp_path)[tmp_path / "shop.rules.yml"].decode()
    replay = Replay(
        spec=found, detectors=found.detectors, grid=Grid(START, MINUTE, 1), questions=[], promtool="promtool"
    )
    assert replay.groups
    assert all(group.text() in deployed for group in replay.groups)


def test_each_series_fires_for_its_own_spike_after_its_for(tmp_path: Path) -> None:
    first, second = wave(120), wave(120)
    first[60:70] = [150.0] * 10
    second[100:] = [150.0] * 20
    answers = play(spec(tmp_path, DETECTOR), [Member(array("d", first)), Member(array("d", second))])
    assert {answer.labels["severity"] for answer in answers} == {"high"}
    assert [answer.step for answer in answers if answer.member == 0] == list(range(62, 70))
    assert [answer.step for answer in answers if answer.member == 1] == list(range(102, 120))


def test_what_only_if_does_not_hold_for_is_not_judged(tmp_path: Path) -> None:
    found = spec(tmp_path, DETECTOR.replace("by:", "only_if: max by (host) (traffic) > 1, by:"))
    values = wave(120)
    values[60:70] = [150.0] * 10
    idle = array("d", [1.0] * 60 + [NOTHING] * 60)
    busy = array("d", [1.0] * 120)
    answers = play(found, [Member(array("d", values), idle), Member(array("d", values), busy)])
    assert {answer.member for answer in answers} == {1}


def test_a_gap_ends_an_alert_at_once(tmp_path: Path) -> None:
    values = wave(120)
    values[60:90] = [150.0] * 30
    values[65:70] = [NOTHING] * 5
    answers = play(spec(tmp_path, DETECTOR), [Member(array("d", values))])
    assert [answer.step for answer in answers] == [62, 63, 64, *range(72, 90)]


def test_an_expression_that_speaks_without_metrics_does_not_contradict_the_history(tmp_path: Path) -> None:
    found = spec(tmp_path, f"{{name: load, expr: sum(load) or vector(0), {SMALL}}}")
    values = wave(120)
    values[60:70] = [150.0] * 10
    quiet = Member(array("d", wave(120)))
    answers = play(found, [Member(array("d", values)), quiet])
    assert {answer.member for answer in answers} == {0}, "series without labels do not meet either"
    assert [answer.step for answer in answers] == list(range(62, 70))


def test_the_clock_of_the_rules_shows_the_time_of_the_history(tmp_path: Path) -> None:
    asked = 'label_replace(hour(), "host", "m0", "", "") or label_replace(minute(), "which", "minute", "", "")'
    found = spec(tmp_path, DETECTOR.replace("max by (host) (load)", "'max by (host) (load) and on () hour() > 1'"))
    answers = play(found, [Member(array("d", wave(1)))], asked)
    assert [answer.value for answer in answers] == [5, 6]


def test_numbers_arrive_as_they_were(tmp_path: Path) -> None:
    numbers = [1e-09, -1.5e16, 1.2345678901234567e-05, -3.0, 0.1, 0.1, 0.0]
    answers = play(spec(tmp_path, DETECTOR), [Member(array("d", numbers))], "amend:value")
    assert [answer.value for answer in answers] == numbers


def test_series_are_split_where_the_engine_takes_no_more_samples(tmp_path: Path) -> None:
    members = [Member(array("d", [1.0, 2.0])) for _ in range(8)]
    found = spec(tmp_path, DETECTOR)
    replay = Replay(
        spec=found,
        detectors=found.detectors,
        grid=Grid(START, MINUTE, 2),
        questions=[Question("max by (host) (count_over_time(amend:value[2s:1ms]))", [1])],
        promtool=program("promtool"),
    )
    shares: list[float] = []
    answers = list(replay.play(8, lambda number: members[number], jobs=1, on_progress=shares.append))
    assert sorted(answer.member for answer in answers) == list(range(8))
    assert shares[-1] == 1.0


def test_windows_that_are_too_fine_for_the_engine_are_told_with_the_way_out(tmp_path: Path) -> None:
    found = spec(tmp_path, DETECTOR)
    with pytest.raises(AmendError, match=r"load: in steps of 1m .* more samples than promtool takes .* --step"):
        play(found, [Member(array("d", [1.0, 1.0]))], "count_over_time(amend:value[11s:1ms])")


def test_a_missing_promtool_is_told_with_the_way_out() -> None:
    with pytest.raises(NoPromtool, match="it comes with Prometheus"):
        find_promtool("no-such-promtool")
