"""Anomalies of known kinds and sizes put into a history: which of them would a detector have found, and how soon?

`amend rules backtest --inject` and the benchmarks call `measure`. Chance chooses series and moments, always alike with
the same seed; each anomaly gets a copy of its series to itself, so that none hides another.
"""

import math
import random
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from receiver.rulegen import BANDS
from receiver.rulegen.anomalies import DAY, LASTS, SIZELESS, SIZES, Found, Injection, Kind, altered
from receiver.rulegen.backtest import Verdict, Wanted, Watched, firing
from receiver.rulegen.history import NOTHING, Grid, Past
from receiver.rulegen.replay import Member, Replay
from receiver.rulegen.spec import Detector, Spec

#: Within this much of a page of the untouched history nothing is injected: it would be found by chance.
APART: Final = timedelta(hours=2)
ATTEMPTS: Final = 200  #: to find a place


def measure(
    spec: Spec,
    past: Past,
    verdict: Verdict,
    wanted: Wanted,
    *,
    each: int,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[Found]:
    """Inject `each` anomalies of every kind and size, and replay. `verdict` is of the same history untouched."""
    chosen = places(past, verdict, each=each, seed=seed)
    detector, grid = past.detector, past.grid
    copies = _Copies(past, chosen, seed)
    first = wanted.first_step(grid)
    replay = Replay(
        spec=spec,
        detectors=[detector],
        grid=grid,
        questions=[firing(detector, grid, first)],
        promtool=wanted.promtool,
    )
    told: dict[int, int] = {}
    for answer in replay.play(len(chosen), copies.member, on_progress=on_progress):
        injection = chosen[answer.member]
        if injection.at <= answer.step < injection.at + injection.steps:
            told[answer.member] = min(told.get(answer.member, answer.step), answer.step)
    return [_found(kind, size, chosen, told, grid) for kind, size in _variants(detector)]


def places(past: Past, verdict: Verdict, *, each: int, seed: int) -> list[Injection]:
    """Where `each` anomalies of every kind and size go; fewer, where there are not enough calm places."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not kept secret
    watched = [one for one in verdict.watched if one.judged]
    found = (
        _placed(past, verdict, watched, variant, chance) for variant in _variants(past.detector) for _ in range(each)
    )
    return [injection for injection in found if injection]


class _Copies:
    """The series as they are replayed: nothing but the anomaly and what the band knows before it."""

    def __init__(self, past: Past, injections: Sequence[Injection], seed: int) -> None:
        self._past, self._injections, self._seed = past, injections, seed
        # A band remembers by what it remembered before: twice what it looks back.
        self._before = math.ceil(2 * BANDS[past.detector.band].looks_back(past.detector) / past.grid.step)

    def member(self, number: int) -> Member:
        injection = self._injections[number]
        chance = random.Random(f"{self._seed} {number}")  # noqa: S311 - to be repeated, not kept secret
        upwards = _upwards(self._past.detector, chance)
        values = self._past.values.row(injection.series)
        values = altered(values, injection, self._past.grid, chance=chance, upwards=upwards)
        begin, end = max(0, injection.at - self._before), injection.at + injection.steps
        # Without what comes after, the replay has less to do.
        values[:begin] = array("d", [NOTHING] * begin)
        values[end:] = array("d", [NOTHING] * (len(values) - end))
        return Member(values, self._past.judged_row(injection.series))


def _variants(detector: Detector) -> Iterator[tuple[Kind, float | None]]:
    """Every kind in every size, but for those that the detector is told to overlook."""
    for kind in Kind:
        if kind is Kind.DROPOUT and detector.direction == "above":
            continue
        for size in (None,) if kind in SIZELESS else SIZES:
            yield kind, size


def _placed(
    past: Past, verdict: Verdict, watched: Sequence[Watched], variant: tuple[Kind, float | None], chance: random.Random
) -> Injection | None:
    """A calm place in the time that is judged, with a day before it to measure its spread."""
    kind, size = variant
    steps = math.ceil(LASTS[kind] / past.grid.step)
    first = max(past.grid.steps - verdict.grid.steps, math.ceil(DAY / past.grid.step))
    last = past.grid.steps - steps
    for _ in range(ATTEMPTS if watched and first < last else 0):
        one, at = chance.choice(watched), chance.randrange(first, last)
        injection = Injection(kind=kind, size=size, series=one.series, at=at, steps=steps)
        if _is_calm(past, one, injection):
            return injection
    return None


def _is_calm(past: Past, one: Watched, injection: Injection) -> bool:
    """Whether the series has all its values there and before, was judged, and paged nobody thereabouts."""
    start = past.grid.at(injection.at)
    end = past.grid.at(injection.at + injection.steps)
    if any(page.start - APART < end and page.end + APART > start for page in one.pages):
        return False
    rows = (past.values.row(injection.series), past.judged_row(injection.series))
    before = max(0, injection.at - round(DAY / 2 / past.grid.step))
    return not any(
        math.isnan(value) for row in rows if row is not None for value in row[before : injection.at + injection.steps]
    )


def _upwards(detector: Detector, chance: random.Random) -> bool:
    return {"above": True, "below": False}.get(detector.direction, chance.random() < 0.5)


def _found(
    kind: Kind, size: float | None, injections: Sequence[Injection], told: Mapping[int, int], grid: Grid
) -> Found:
    alike = [number for number, each in enumerate(injections) if (each.kind, each.size) == (kind, size)]
    delays = [(told[number] - injections[number].at) * grid.step for number in alike if number in told]
    return Found(kind=kind, size=size, injected=len(alike), delays=delays)
