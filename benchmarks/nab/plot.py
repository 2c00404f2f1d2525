"""Draws a scored series as SVG: the value in its band, the labelled windows, and where an alert was up.

The command calls it for the best and the worst series; every number comes from the rule engine, this only draws them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

from benchmarks.nab.corpus import Series
from benchmarks.nab.pages import Flags, pages
from benchmarks.nab.run import Steps
from benchmarks.nab.stretches import GRID
from receiver.conventions import BAND_LOWER, BAND_MEAN, BAND_UPPER

ASKED: Final = f'{{__name__=~"{BAND_MEAN}|{BAND_UPPER}|{BAND_LOWER}"}}'
"""What is asked of the engine for a plot."""

FONT: Final = 'font-family="sans-serif" font-size="11" fill="#444"'
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 260, 64, 8, 26, 26
LEGEND = "yellow: labelled · red: alert up, ▾ a page · green: the band · grey: learning, not scored"


@dataclass(frozen=True)
class Canvas:
    """Where steps and values stand in the picture."""

    first: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - self.first) / max(1, self.last - self.first)

    def y(self, value: float) -> float:
        """An edge far away is cut off at the picture's own."""
        inside = min(max(value, self.low), self.high)
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - inside) / (self.high - self.low)

    def point(self, step: float, value: float) -> str:
        return f"{self.x(step):.1f},{self.y(value):.1f}"

    def box(self, start: float, end: float, style: str) -> str:
        width = max(0.7, self.x(end) - self.x(start))
        return f'<rect x="{self.x(start):.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}" {style}/>'


def draw(series: Series, flags: Flags, band: Mapping[str, Steps], *, title: str) -> str:
    grid = int(GRID.total_seconds())
    slots = series.slots(grid)
    canvas = _canvas(series, slots)
    upper, lower = (band.get(name, {}) for name in (BAND_UPPER, BAND_LOWER))
    windows = [
        canvas.box(slots[left], slots[right], 'fill="#fc3" fill-opacity="0.4"') for left, right in series.windows
    ]
    alerts = [canvas.box(slots[row], slots[row] + 1, 'fill="#d33" fill-opacity="0.3"') for row in _up(flags)]
    ticks = [
        f'<path d="M{canvas.x(slots[row]):.1f} {TOP - 7} l-4 -6 h8 z" fill="#d33"/>' for row, _ in pages(series, flags)
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{LEFT}" y="11">{escape(title)}</text>',
            f'<text x="{WIDTH - RIGHT}" y="11" text-anchor="end" fill="#888">{LEGEND}</text>',
            canvas.box(slots[0], slots[series.probation], 'fill="#888" fill-opacity="0.15"'),
            *windows,
            *_axes(series, slots, canvas),
            *(_area(canvas, upper, lower)),
            *_line(canvas, band.get(BAND_MEAN, {}), 'stroke="#2a7"'),
            *_line(canvas, series.on_grid(grid), 'stroke="#124" stroke-width="0.7"'),
            *alerts,
            *ticks,
            "</svg>\n",
        )
    )


def _canvas(series: Series, slots: Sequence[int]) -> Canvas:
    low, high = min(series.values), max(series.values)
    margin = 0.1 * (high - low) or max(1.0, abs(high))
    return Canvas(slots[0], slots[-1], low - margin, high + margin)


def _up(flags: Flags) -> list[int]:
    return [row for row, flagged in enumerate(flags) if flagged]


def _axes(series: Series, slots: Sequence[int], canvas: Canvas) -> Iterator[str]:
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = canvas.low + share * (canvas.high - canvas.low)
        y = canvas.y(value)
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
    for share in (0, 0.25, 0.5, 0.75, 1):
        row = int(share * (len(slots) - 1))
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        day = datetime.fromtimestamp(series.times[row], UTC).strftime("%d %b %Y")
        yield f'<text x="{canvas.x(slots[row]):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{day}</text>'


def _area(canvas: Canvas, upper: Steps, lower: Steps) -> Iterator[str]:
    """The band, in as many pieces as it has gaps."""
    for run in _unbroken(canvas, upper.keys() & lower.keys()):
        there = [canvas.point(steps[0], max(upper[step] for step in steps)) for steps in run]
        back = [canvas.point(steps[0], min(lower[step] for step in steps)) for steps in reversed(run)]
        yield f'<polygon points="{" ".join((*there, *back))}" fill="#2a7" fill-opacity="0.25"/>'


def _line(canvas: Canvas, values: Steps, style: str) -> Iterator[str]:
    for run in _unbroken(canvas, values.keys()):
        extremes = [{min(steps, key=values.__getitem__), max(steps, key=values.__getitem__)} for steps in run]
        points = " ".join(canvas.point(step, values[step]) for steps in extremes for step in sorted(steps))
        yield f'<polyline points="{points}" fill="none" {style}/>'


def _unbroken(canvas: Canvas, steps: Iterable[int]) -> Iterator[list[list[int]]]:
    """Runs of steps without a gap; in each, those together that fall on the same half of a pixel."""
    run: list[list[int]] = []
    before = None
    for step in sorted(steps):
        if step > canvas.last:
            break
        if before is not None and step != before + 1:
            yield run
            run = []
        if run and round(2 * canvas.x(step)) == round(2 * canvas.x(run[-1][0])):
            run[-1].append(step)
        else:
            run.append([step])
        before = step
    if run:
        yield run
