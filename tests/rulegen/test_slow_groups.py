"""What a band remembers by the hour is replayed by the hour, as Prometheus does, and says the same.

The evaluations of both ways are promtool's.
"""

import math
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.conventions import BAND_UPPER
from receiver.rulegen import BANDS
from receiver.rulegen.backtest import Wanted, firing, judge
from receiver.rulegen.generate import load_specs
from receiver.rulegen.history import NOTHING, Grid
from receiver.rulegen.made_up import made_up
from receiver.rulegen.replay import Member, Replay
from receiver.rulegen.slow_groups import slow_groups
from receiver.rulegen.spec import Spec
from tests.bed.parts import program
from tests.rulegen.proof import spec

STEP = timedelta(minutes=15)
STEPS = 72 * 4
GRID = Grid(datetime(2026, 3, 2, tzinfo=UTC), STEP, STEPS)
NOVELTY = (
    "{name: load, expr: max by (host) (load), by: [host], band: novelty, interval: 15m, window: 2d, min_samples: 20,"
    " keep_firing_for: 0s}"
)


def loaded(folder: Path, detector: str) -> Spec:
    return load_specs(spec(folder, detector)).specs[0]


def groups_of(spec: Spec) -> Sequence[str] | None:
    (detector,) = spec.detectors
    found = slow_groups(detector, BANDS[detector.band].groups(detector), step=STEP)
    return [group.name for group in found.groups] if found else None


def test_what_rests_on_the_judgement_is_not_evaluated_apart(tmp_path: Path) -> None:
    zscore = NOVELTY.replace("novelty", "zscore").replace("2d", "12d")
    assert groups_of(loaded(tmp_path / "zscore", zscore)) is None
    assert groups_of(loaded(tmp_path / "classic", NOVELTY.replace("novelty", "classic"))) is None
    assert groups_of(loaded(tmp_path / "novelty", NOVELTY)) == ["load:days", "load:edges"]


@pytest.mark.parametrize("only_if", ["", "only_if: max by (host) (traffic) > 1, "])
def test_the_alerts_are_those_of_a_replay_of_all_groups_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_if: str
) -> None:
    found = loaded(tmp_path, NOVELTY.replace("band:", f"{only_if}band:"))
    values = array("d", [100 + step % 4 for step in range(STEPS)])
    values[270:280] = array("d", [200.0] * 10)
    judged = array("d", [NOTHING if 275 <= step < 277 else 1.0 for step in range(STEPS)]) if only_if else None

    def fired(*, apart: bool) -> list[int]:
        replay = Replay(
            spec=found,
            detectors=found.detectors,
            grid=GRID,
            questions=[firing(found.detectors[0], GRID, 250)],
            promtool=program("promtool"),
        )
        assert bool(replay._slow) is apart
        answers = replay.play(1, lambda _: Member(values, judged))
        return sorted({answer.step for answer in answers})

    apart = fired(apart=True)
    monkeypatch.setattr("receiver.rulegen.replay.slow_groups", lambda *_, **__: None)
    assert apart == fired(apart=False)
    assert apart[0] in (270, 271)
    assert (275 in apart) is not bool(only_if)


def test_a_band_that_is_remembered_by_the_hour_is_drawn_without_holes(tmp_path: Path) -> None:
    found = loaded(tmp_path, NOVELTY)
    wanted = Wanted(since=timedelta(hours=12), until=GRID.end, step=STEP, promtool=program("promtool"))
    with made_up(found.detectors[0], GRID) as past:
        verdict = judge(found, past, wanted)
    for watched in verdict.watched:
        assert len(watched.curve.band[BAND_UPPER]) == 48
        assert not any(math.isnan(edge) for edge in watched.curve.band[BAND_UPPER])
