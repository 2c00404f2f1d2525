"""Which sigma pages as often as somebody wants to be paged? `amend rules tune` asks for one detector after the other.

The answer is measured, not computed: each sigma that is proposed was replayed over the history with all that it changes
in the rules.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final

from receiver.conventions import SEVERITY
from receiver.rulegen.backtest import Wanted, firing, judgements, member_of, pages_after
from receiver.rulegen.history import Past
from receiver.rulegen.pages import WEEK
from receiver.rulegen.replay import Member, Replay
from receiver.rulegen.spec import Detector, Spec
from receiver.rulegen.spec_text import Numbers

TRIES: Final = 5  #: replays, each as long as a backtest
NARROWEST: Final = 0.25  #: of the sigma that the spec has
WIDEST: Final = 8.0
#: Severities above the one that is asked about, in the same replay: what a wider band would have said, but for what
#: its width changes in the band itself. They are where the next try is looked for.
RUNGS: Final = 28
RATIO: Final = 1.08
CLOSE: Final = 0.1  #: as near to what is wanted as anybody can ask of a count
#: Half of the 90 % quantile of a normal distribution: the square root of a count scatters alike for all counts.
_SCATTER: Final = 1.645 / 2


@dataclass(frozen=True, kw_only=True)
class Try:
    """One sigma, replayed."""

    detector: Detector
    factor: float  #: its sigma, in those of the spec
    pages: int
    ladder: Mapping[float, int]  #: by greater factors, the pages that there might be
    span: timedelta
    judged: int  #: steps of all series at which anything was said

    @property
    def a_week(self) -> float:
        return self.pages * (WEEK / self.span)

    @property
    def range(self) -> tuple[float, float]:
        """Pages a week that such a count leaves likely: nine of ten times it is between these."""
        low = max(0.0, math.sqrt(self.pages) - _SCATTER) ** 2
        high = (math.sqrt(self.pages + 1) + _SCATTER) ** 2
        return low * (WEEK / self.span), high * (WEEK / self.span)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a detector should say to page as often as is wanted."""

    spec: Spec
    severity: str  #: whose pages were counted
    wanted: float  #: pages a week
    now: Try
    best: Try
    tries: Sequence[Try]

    @property
    def index(self) -> int:
        """The detector's place in its file."""
        return [each.name for each in self.spec.detectors].index(self.now.detector.name)

    @property
    def changes(self) -> Numbers:
        """Keys of the spec with their new numbers; none, where it is good as it is."""
        if self.best.factor == 1:
            return {}
        numbers: dict[str, float | Mapping[str, float]] = {"sigma": self.best.detector.sigma}
        if self._tells_distances:
            numbers["severity"] = self.best.detector.severity
        return numbers

    @property
    def reached(self) -> bool:
        return bool(self.now.judged) and _near(self.best, self.wanted)

    @property
    def bounded(self) -> bool:
        """A narrower band was seen to page more often than wanted."""
        return any(each.a_week > self.wanted for each in self.tries)

    @property
    def _tells_distances(self) -> bool:
        """Severities that the spec tells as distances do not follow sigma by themselves."""
        document = self.spec.document
        detectors = document.value["detectors"]
        told = detectors[self.index].get("severity", document.value.get("defaults", {}).get("severity"))
        return told is not None and not isinstance(told.get("score"), dict)


def tune(
    spec: Spec,
    past: Past,
    wanted: Wanted,
    *,
    pages_per_week: float,
    severity: str | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Proposal:
    """Look for the sigma by which this past would have paged as often as wanted, at most a little more often."""
    history = _History(spec, past, wanted, severity or next(iter(past.detector.severity)))
    tries: list[Try] = []
    factor: float | None = 1.0
    while factor is not None and len(tries) < TRIES:
        tries.append(history.replayed(factor, on_progress=_part(on_progress, len(tries))))
        factor = _next(tries, pages_per_week) if tries[0].judged else None
    on_progress(1.0)
    best = min(tries, key=lambda each: (not _near(each, pages_per_week), abs(each.a_week - pages_per_week)))
    return Proposal(
        spec=spec,
        severity=history.severity,
        wanted=pages_per_week,
        now=tries[0],
        best=best,
        tries=tuple(tries),
    )


def scaled(detector: Detector, factor: float) -> Detector:
    """The same detector with a band so many times as wide, in numbers that people would write."""
    if factor == 1:
        return detector
    return replace(
        detector,
        sigma=_round(detector.sigma * factor),
        severity={name: _round(distance * factor) for name, distance in detector.severity.items()},
    )


@dataclass(frozen=True)
class _History:
    """What is replayed with each sigma."""

    spec: Spec
    past: Past
    wanted: Wanted
    severity: str

    def replayed(self, factor: float, *, on_progress: Callable[[float], None]) -> Try:
        detector = scaled(self.past.detector, factor)
        rungs = {f"rung_{number}": RATIO**number for number in range(1, RUNGS + 1)}
        distances = {name: detector.severity[self.severity] * ratio for name, ratio in rungs.items()}
        pages, judged = self._count(replace(detector, severity={**detector.severity, **distances}), on_progress)
        span = self.past.grid.step * (self.past.grid.steps - self.wanted.first_step(self.past.grid))
        ladder = {factor * ratio: pages[name] for name, ratio in rungs.items()}
        return Try(
            detector=detector, factor=factor, pages=pages[self.severity], ladder=ladder, span=span, judged=judged
        )

    def _count(self, detector: Detector, on_progress: Callable[[float], None]) -> tuple[Counter[str], int]:
        """Pages by severity, and how often anything was said."""
        series, grid = self.past.series, self.past.grid
        first = self.wanted.first_step(grid)
        alerts = firing(detector, grid, first)
        replay = Replay(
            spec=self.spec,
            detectors=[detector],
            grid=grid,
            questions=[alerts, *judgements(detector, grid, first)],
            promtool=self.wanted.promtool,
        )
        fired: list[dict[str, list[int]]] = [{} for _ in series]
        judged = 0
        for answer in replay.play(len(series), partial(_member, self.past), on_progress=on_progress):
            if answer.expr == alerts.expr:
                fired[answer.member].setdefault(answer.labels[SEVERITY], []).append(answer.step)
            else:
                judged += round(answer.value)
        pages = (
            page.severity
            for each, steps in zip(series, fired, strict=True)
            for page in pages_after(each, steps, grid, first)
        )
        return Counter(pages), judged


def _member(past: Past, number: int) -> Member:
    return member_of(past, past.series[number])


def _part(on_progress: Callable[[float], None], done: int) -> Callable[[float], None]:
    return lambda share: on_progress((done + share) / TRIES)


def _next(tries: Sequence[Try], wanted: float) -> float | None:
    """The factor to try next; None where there is nothing more to be found out."""
    if _near(tries[-1], wanted):
        return None
    narrow = max((each for each in tries if each.a_week > wanted), key=_factor, default=None)
    wide = min((each for each in tries if each.a_week <= wanted), key=_factor, default=None)
    if narrow is None:
        narrowest = min(tries, key=_factor)
        # Half as wide, and the ladder from there tells where between.
        return max(NARROWEST, narrowest.factor / 2) if narrowest.factor > NARROWEST else None
    limit = wide.factor if wide else WIDEST * RATIO
    if limit / narrow.factor < RATIO:
        return None
    between = {factor: pages * (WEEK / narrow.span) for factor, pages in narrow.ladder.items() if factor < limit}
    if between:
        return min(between, key=lambda factor: abs(between[factor] - wanted))
    return narrow.factor * math.pow(limit / narrow.factor, _share(narrow, wide, wanted))


def _share(narrow: Try, wide: Try | None, wanted: float) -> float:
    """How far from the one to the other, if the roots of the counts fall evenly."""
    if wide is None:
        return 0.5
    most, least, aim = (math.sqrt(a_week) for a_week in (narrow.a_week, wide.a_week, wanted))
    return min(max((most - aim) / (most - least), 0.2), 0.8)


def _factor(tried: Try) -> float:
    return tried.factor


def _near(tried: Try, wanted: float) -> bool:
    """A page more or less is chance."""
    return abs(tried.a_week - wanted) <= max(CLOSE * wanted, 0.5 * (WEEK / tried.span))


def _round(value: float) -> float:
    return float(f"{value:.3g}")
