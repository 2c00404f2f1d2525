"""One series as a picture: its value in its band, with pages and incidents. report.py puts it into its page.

The picture stretches to any width, so no text stands in it: report.html writes the axes beside it.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from receiver.conventions import BAND_LOWER, BAND_MEAN, BAND_UPPER
from receiver.rulegen.backtest import Curve, Verdict, Watched
from receiver.rulegen.incidents import Incident

WIDTH: Final = 1000
HEIGHT: Final = 200
NARROWEST: Final = 2.0  #: of what is marked, so that a short page is seen in a long time
DAYS: Final = 5  #: names of times below the picture

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A stretch of time."""

    x: float
    width: float
    tier: int  #: 0 for the mildest severity
    text: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Everything that is drawn of one series, in the picture's own units."""

    value: str
    band: Sequence[str]
    mean: str
    pages: Sequence[Mark]
    incidents: Sequence[Mark]
    top: float  #: the value at the upper edge
    bottom: float
    times: Sequence[datetime]  #: at even distances, from the left edge to the right


def plot(verdict: Verdict, watched: Watched, incidents: Sequence[Incident]) -> Plot:
    """The picture of a series."""
    curve, grid = watched.curve, verdict.grid
    bottom, top = _range(curve)

    def x(step: float) -> float:
        return WIDTH * step / max(1, grid.steps)

    def y(value: float) -> float:
        return HEIGHT * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom))

    def mark(start: datetime, end: datetime, tier: int, text: str) -> Mark:
        left, right = (min(max(x((each - grid.start) / grid.step), 0.0), WIDTH) for each in (start, end))
        return Mark(min(left, WIDTH - NARROWEST), max(right - left, NARROWEST), tier, text)

    def column(point: int) -> float:
        return x(point * curve.every)

    def line(values: "array[float] | None") -> str:
        return " ".join(_path(piece) for piece in _pieces(values, column, y))

    tiers = list(verdict.detector.severity)
    return Plot(
        value=" ".join(_path(piece) for piece in _strokes(curve, column, y)),
        band=[_closed(piece) for piece in _bands(curve.band, column, y)],
        mean=line(curve.band.get(BAND_MEAN)),
        pages=[
            mark(page.start, page.end, tiers.index(page.severity), f"{page.severity} {_time(page.start, page.end)}")
            for page in watched.pages
        ],
        incidents=[
            mark(each.start, each.end, 0, f"{each.note or 'incident'} {_time(each.start, each.end)}")
            for each in incidents
            if each.matches(watched.series) and each.start < grid.end and each.end > grid.start
        ],
        top=top,
        bottom=bottom,
        times=[grid.start + (grid.end - grid.start) * part / (DAYS - 1) for part in range(DAYS)],
    )


def _range(curve: Curve) -> tuple[float, float]:
    """From the lowest value to the highest, and of the band as much again at most: it may be far away."""
    values = [value for value in (*curve.low, *curve.high) if not math.isnan(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low) or abs(high) / 10 or 1.0
    edges = [edge for name in (BAND_LOWER, BAND_UPPER) for edge in curve.band.get(name, ()) if math.isfinite(edge)]
    bottom = min(low, max(min(edges, default=low), low - room / 2))
    top = max(high, min(max(edges, default=high), high + room / 2))
    return bottom - room / 20, top + room / 20


def _strokes(curve: Curve, x: Callable[[int], float], y: Callable[[float], float]) -> Iterator[Points]:
    """From the lowest to the highest value of each point: what is between two points shows, too."""
    present = ((point, low, high) for point, (low, high) in enumerate(zip(curve.low, curve.high, strict=True)))
    for there, run in groupby(present, key=lambda each: not math.isnan(each[1])):
        if there:
            yield [(x(point), y(value)) for point, low, high in run for value in dict.fromkeys((low, high))]


def _pieces(values: "array[float] | None", x: Callable[[int], float], y: Callable[[float], float]) -> Iterator[Points]:
    for there, run in groupby(enumerate(values or ()), key=lambda each: math.isfinite(each[1])):
        if there:
            yield [(x(point), y(value)) for point, value in run]


def _bands(
    band: Mapping[str, "array[float]"], x: Callable[[int], float], y: Callable[[float], float]
) -> Iterator[Points]:
    lower, upper = band.get(BAND_LOWER), band.get(BAND_UPPER)
    # Above a bound alone, or below it, the band has no other edge.
    length = len(lower or upper or ())
    low = lower if lower is not None else array("d", [-math.inf] * length)
    high = upper if upper is not None else array("d", [math.inf] * length)
    edges = enumerate(zip(low, high, strict=True))
    for there, run in groupby(edges, key=lambda each: not any(map(math.isnan, each[1]))):
        if there:
            points = list(run)
            above = [(x(point), y(edge[1])) for point, edge in points]
            yield [*above, *((x(point), y(edge[0])) for point, edge in reversed(points))]


def _path(points: Points) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _closed(points: Points) -> str:
    return f"{_path(points)}Z"


def _time(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%d %H:%M} – {end:%Y-%m-%d %H:%M} UTC"
