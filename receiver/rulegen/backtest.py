"""When would a detector have paged? `amend rules backtest` reads its history here, and has it judged.

`read` asks a running Prometheus, `judge` replays what it told through the generated rules; tune.py and injection.py
build on the same steps.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from receiver.conventions import BAND_LOWER, BAND_MEAN, BAND_UPPER, DETECTOR, SEVERITY, ZSCORE
from receiver.durations import format_duration
from receiver.rulegen import BANDS
from receiver.rulegen.anomalies import Found
from receiver.rulegen.history import NOTHING, Grid, Past, Series, read_past
from receiver.rulegen.incidents import Incident, Quality, quality
from receiver.rulegen.live import LivePrometheus
from receiver.rulegen.pages import JOINED_WITHIN, Figures, Page, figures, pages_of
from receiver.rulegen.replay import Answer, Member, Replay
from receiver.rulegen.spec import Detector, Spec
from receiver.rulegen.tester import Question

LONGEST_STEP: Final = timedelta(minutes=5)  #: what a rule recorded is looked up for five minutes
#: promtool's engine holds 10,000 samples of a series at once.
COUNTED_AT_ONCE: Final = 5_000
DRAWN: Final = 480  #: points of a plot: more than its pixels show
DRAWN_AGAIN: Final = timedelta(hours=1)  #: a band that is remembered by the hour is drawn anew as seldom
_EDGES: Final = (BAND_MEAN, BAND_LOWER, BAND_UPPER)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which past is to be judged, and how finely."""

    since: timedelta
    until: datetime
    step: timedelta | None = None  #: None: what each detector's windows ask for
    most: int | None = None  #: series of a detector; chance picks them where there are more
    promtool: str = "promtool"

    def first_step(self, grid: Grid) -> int:
        """Where the time to be judged begins, after what the band looks back."""
        return grid.steps - math.ceil(self.since / grid.step)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What became of one series."""

    series: Series
    pages: Sequence[Page]  #: of all severities, in the order of time
    up: Mapping[str, int]  #: by severity, the steps at which the alert fired
    known: int  #: steps with a value
    judged: int  #: steps at which something was said of it
    idle: int  #: steps with a value at which `only_if` did not hold
    curve: "Curve"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A series as it is drawn: for each point the lowest and the highest value since the point before it."""

    every: int  #: steps
    low: "array[float]"
    high: "array[float]"
    band: Mapping[str, "array[float]"]  #: by the name of the recorded series


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a backtest says of one detector."""

    spec: Spec
    detector: Detector
    grid: Grid  #: what was judged; what the band remembers lies before it
    watched: Sequence[Watched]
    seen: int  #: series that there were; fewer are watched where they were too many
    notes: Sequence[str]
    injected: Sequence[Found] = ()  #: made-up anomalies, where they were asked for

    @property
    def span(self) -> timedelta:
        return self.grid.steps * self.grid.step

    @property
    def pages(self) -> list[Page]:
        """In the order of time, the mildest severity first."""
        order = list(self.detector.severity)
        found = (page for each in self.watched for page in each.pages)
        return sorted(found, key=lambda page: (page.start, page.series, order.index(page.severity)))

    @property
    def figures(self) -> list[Figures]:
        """By severity, the mildest first."""
        judged = self.total("judged") * self.grid.step
        return [
            figures(
                severity,
                [page for page in self.pages if page.severity == severity],
                span=self.span,
                judged=judged,
                up=sum(each.up.get(severity, 0) for each in self.watched) * self.grid.step,
            )
            for severity in self.detector.severity
        ]

    def quality(self, severity: str, incidents: Sequence[Incident] | None) -> Quality | None:
        """One severity held against the incidents of this time; None where none concerns this detector."""
        concerned = [
            each
            for each in incidents or ()
            if each.concerns(self.detector) and self.grid.start <= each.start <= self.grid.end
        ]
        return quality([page for page in self.pages if page.severity == severity], concerned) if concerned else None

    def total(self, what: str) -> int:
        """The steps of all series that were `known`, `judged` or `idle`."""
        return sum(getattr(each, what) for each in self.watched)


def read(
    prometheus: LivePrometheus,
    detector: Detector,
    wanted: Wanted,
    *,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Past:
    """The time that is to be judged, and before it as much as the band looks back."""
    step = wanted.step or step_for(detector)
    grid = Grid.until(wanted.until, step=step, span=wanted.since + BANDS[detector.band].looks_back(detector))
    return read_past(prometheus, detector, grid, most=wanted.most, on_progress=on_progress)


def step_for(detector: Detector) -> timedelta:
    """As long as the band bears; `for` is not stretched, and it is cold after no more time than when deployed."""
    longest = min(LONGEST_STEP, BANDS[detector.band].step(detector), detector.hold or LONGEST_STEP)
    return max(detector.interval, longest // detector.interval * detector.interval)


def judge(
    spec: Spec,
    past: Past,
    wanted: Wanted,
    *,
    notes: Sequence[str] = (),
    on_progress: Callable[[float], None] = lambda _: None,
) -> Verdict:
    """Replay a history, and count what would have happened in the part of it that is to be judged."""
    series, detector = past.series, past.detector
    first = wanted.first_step(past.grid)
    span = Grid(past.grid.at(first), past.grid.step, past.grid.steps - first)
    questions = _Questions(detector, past.grid, first)
    replay = Replay(spec=spec, detectors=[detector], grid=past.grid, questions=questions.all, promtool=wanted.promtool)
    tallies = [_Tally(questions.drawn) for _ in series]
    for answer in replay.play(len(series), lambda number: member_of(past, series[number]), on_progress=on_progress):
        questions.count(answer, tallies[answer.member])
    watched = [_watched(past, each, tally, first) for each, tally in zip(series, tallies, strict=True)]
    return Verdict(spec=spec, detector=detector, grid=span, watched=watched, seen=past.values.seen, notes=notes)


def notes_on(prometheus: LivePrometheus, past: Past, wanted: Wanted) -> list[str]:
    """What one must know to read the figures."""
    detector, grid = past.detector, past.grid
    looks_back = BANDS[detector.band].looks_back(detector)
    notes = []
    if grid.step > detector.interval:
        notes.append(
            f"judged every {format_duration(grid.step)}, though the rules are evaluated every"
            f" {format_duration(detector.interval)}: shorter faults may be missed; --step"
            f" {format_duration(detector.interval)} is exact, and slower"
        )
    begin = _begin(past)
    if begin is not None and begin - grid.start > looks_back / 24:
        kept = prometheus.retention()
        keeps = f" (Prometheus keeps {format_duration(kept)})" if kept else ""
        notes.append(
            f"its history begins {begin:%Y-%m-%d %H:%M} UTC{keeps}, later than the {format_duration(looks_back)} that"
            f" the band looks back before the {format_duration(wanted.since)} judged: it knew less at first"
        )
    if past.values.seen > len(past.series):
        notes.append(
            f"{len(past.series)} of its {past.values.seen} series were judged, picked by chance; --max-series takes"
            " more"
        )
    return notes


def member_of(past: Past, series: Series) -> Member:
    return Member(past.values.row(series), past.judged_row(series))


def firing(detector: Detector, grid: Grid, first: int) -> Question:
    """Which alerts fire, by severity, from the step `first` on."""
    labels = ", ".join((DETECTOR, SEVERITY, *detector.by))
    before = math.ceil(JOINED_WITHIN / grid.step)  # an episode that began before is no page of this time
    expr = f'max by ({labels}) (ALERTS{{alertstate="firing"}})'
    return Question(expr, range(max(0, first - before), grid.steps))


def judgements(detector: Detector, grid: Grid, first: int) -> list[Question]:
    """How often the detector said anything, from the step `first` on; the answers are to be added."""
    return [
        Question(_count(detector, (last - begin + 1) * grid.step), [last]) for begin, last in _pieces(first, grid.steps)
    ]


def pages_after(series: Series, fired: Mapping[str, Sequence[int]], grid: Grid, first: int) -> list[Page]:
    """The pages of a series, by the steps at which each severity fired."""
    start = grid.at(first)
    pages = (page for severity, steps in fired.items() for page in pages_of(series, severity, steps, grid))
    return sorted((page for page in pages if page.start >= start), key=lambda page: page.start)


@dataclass
class _Tally:
    """What the answers say of one series."""

    drawn: Sequence[int]
    fired: dict[str, list[int]] = field(default_factory=dict)
    judged: int = 0
    band: dict[str, "array[float]"] = field(default_factory=dict)


class _Questions:
    """What is asked of a replay, and how the answers are counted."""

    def __init__(self, detector: Detector, grid: Grid, first: int) -> None:
        self._every = max(1, math.ceil((grid.steps - first) / DRAWN))
        self.drawn = range(first, grid.steps, self._every)
        self._firing = firing(detector, grid, first)
        self._judged = judgements(detector, grid, first)
        labels = ", ".join(("__name__", *detector.by))
        edges = f'{{__name__=~"{"|".join(_EDGES)}", {DETECTOR}="{detector.name}"}}[{format_duration(DRAWN_AGAIN)}]'
        self._band = Question(f"max by ({labels}) (last_over_time({edges}))", self.drawn)
        self._counts = {question.expr for question in self._judged}

    @property
    def all(self) -> list[Question]:
        return [self._firing, self._band, *self._judged]

    def count(self, answer: Answer, tally: _Tally) -> None:
        if answer.expr == self._firing.expr:
            tally.fired.setdefault(answer.labels[SEVERITY], []).append(answer.step)
        elif answer.expr in self._counts:
            tally.judged += round(answer.value)
        else:
            line = tally.band.setdefault(answer.labels["__name__"], array("d", [NOTHING] * len(self.drawn)))
            line[(answer.step - self.drawn.start) // self._every] = answer.value


def _pieces(first: int, steps: int) -> Iterator[tuple[int, int]]:
    """First and last step of each piece whose samples are counted at once."""
    for begin in range(first, steps, COUNTED_AT_ONCE):
        yield begin, min(begin + COUNTED_AT_ONCE, steps) - 1


def _count(detector: Detector, time: timedelta) -> str:
    # A second less: ranges are closed on both sides in Prometheus 2, and open on the left in 3.
    window = format_duration(time - timedelta(seconds=1))
    return f'count_over_time({ZSCORE}{{{DETECTOR}="{detector.name}"}}[{window}])'


def _watched(past: Past, series: Series, tally: _Tally, first: int) -> Watched:
    values, judged = past.values.row(series)[first:], past.judged_row(series)
    held = judged[first:] if judged is not None else None
    known = [step for step, value in enumerate(values) if not math.isnan(value)]
    return Watched(
        series=series,
        pages=pages_after(series, tally.fired, past.grid, first),
        up={severity: sum(step >= first for step in fired) for severity, fired in tally.fired.items()},
        known=len(known),
        judged=tally.judged,
        idle=sum(math.isnan(held[step]) for step in known) if held is not None else 0,
        curve=_curve(values, tally),
    )


def _curve(values: "array[float]", tally: _Tally) -> Curve:
    every = tally.drawn.step if isinstance(tally.drawn, range) else 1
    pieces = [values[max(0, at - every + 1) : at + 1] for at in range(0, len(values), every)]
    real = [[value for value in piece if not math.isnan(value)] for piece in pieces]
    return Curve(
        every=every,
        low=array("d", [min(piece, default=NOTHING) for piece in real]),
        high=array("d", [max(piece, default=NOTHING) for piece in real]),
        band=tally.band,
    )


def _begin(past: Past) -> datetime | None:
    """The moment of the first value of any series."""
    firsts = (
        next((step for step, value in enumerate(past.values.row(series)) if not math.isnan(value)), past.grid.steps)
        for series in past.series
    )
    first = min(firsts, default=past.grid.steps)
    return past.grid.at(first) if first < past.grid.steps else None
