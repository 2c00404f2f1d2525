"""What a detector's expressions gave in the past: the values of its series on an even grid of moments.

backtest.py and tune.py read it once from a running Prometheus. It lies on disk, so that neither many series nor long
times need much memory.
"""

import math
import os
import tempfile
import zlib
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Final, Self

from receiver.conventions import ONLY_IF, VALUE
from receiver.rulegen import BANDS
from receiver.rulegen.live import LivePrometheus
from receiver.rulegen.rules import Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import judged_on

NOTHING: Final = math.nan  #: where a series has no sample

Series = tuple[tuple[str, str], ...]
"""The labels that tell a series from its like, in order."""

_NUMBER: Final = array("d").itemsize
_LOTS: Final = 1 << 32


@dataclass(frozen=True)
class Grid:
    """Moments at even distances."""

    start: datetime
    step: timedelta
    steps: int

    @classmethod
    def until(cls, end: datetime, *, step: timedelta, span: timedelta) -> "Grid":
        """The moments of the span before `end`, at whole multiples of the step, so that two grids meet."""
        seconds = step.total_seconds()
        last = end.timestamp() // seconds * seconds
        steps = math.ceil(span / step)
        return cls(datetime.fromtimestamp(last - (steps - 1) * seconds, UTC), step, steps)

    @property
    def end(self) -> datetime:
        return self.at(self.steps - 1)

    def at(self, step: int) -> datetime:
        return self.start + step * self.step

    def step_of(self, moment: datetime) -> int:
        return round((moment - self.start) / self.step)


class Table:
    """A row of numbers per series, a column per step, on disk.

    With more than `most` series it keeps some that chance has picked, always the same ones.
    """

    def __init__(self, grid: Grid, *, most: int | None = None) -> None:
        self.grid = grid
        self._most = most
        self._file = tempfile.TemporaryFile(prefix="amend-")  # noqa: SIM115 - as long as the table
        self._rows: dict[Series, int] = {}
        self._given_back: list[int] = []
        self._seen: set[int] = set()
        self._drawn_below = _LOTS

    @property
    def series(self) -> list[Series]:
        return sorted(self._rows)

    @property
    def seen(self) -> int:
        """How many series there were, kept or not."""
        return len(self._seen)

    def put(self, series: Series, first: int, values: "array[float]") -> None:
        """Values of a series from the step `first` on."""
        lot = zlib.crc32(repr(series).encode())
        self._seen.add(lot)
        if lot >= self._drawn_below:
            return
        if series not in self._rows:
            self._rows[series] = self._new_row()
            self._draw_again()
        if series in self._rows:
            os.pwrite(self._file.fileno(), values.tobytes(), (self._rows[series] * self.grid.steps + first) * _NUMBER)

    def row(self, series: Series) -> "array[float]":
        """All values of a series; NOTHING where it had none."""
        size = self.grid.steps * _NUMBER
        values = array("d")
        values.frombytes(os.pread(self._file.fileno(), size, self._rows[series] * size))
        return values

    def get(self, series: Series) -> "array[float]":
        """As `row`, and NOTHING all the time of a series that was never there."""
        return self.row(series) if series in self._rows else _nothing(self.grid.steps)

    def close(self) -> None:
        self._file.close()

    def _new_row(self) -> int:
        row = self._given_back.pop() if self._given_back else len(self._rows)
        size = self.grid.steps * _NUMBER
        os.pwrite(self._file.fileno(), _nothing(self.grid.steps).tobytes(), row * size)
        return row

    def _draw_again(self) -> None:
        """Half of the lots are enough, once there are too many series."""
        while self._most is not None and len(self._rows) > self._most:
            self._drawn_below //= 2
            for series in self.series:
                if zlib.crc32(repr(series).encode()) >= self._drawn_below:
                    self._given_back.append(self._rows.pop(series))


@dataclass(frozen=True)
class Past:
    """The history of one detector: its values, and when `only_if` held. Use it in a `with` block."""

    detector: Detector
    grid: Grid
    values: Table
    judged: Table | None

    @property
    def series(self) -> list[Series]:
        return self.values.series

    def judged_row(self, series: Series) -> "array[float] | None":
        """Where `only_if` held for a series; None where the detector has none."""
        if self.judged is None:
            return None
        shared = judged_on(self.detector)
        return self.judged.get(tuple((name, value) for name, value in series if name in shared))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.values.close()
        if self.judged:
            self.judged.close()


def read_past(
    prometheus: LivePrometheus,
    detector: Detector,
    grid: Grid,
    *,
    most: int | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Past:
    """Ask Prometheus for what the detector's first rules would have recorded, at each moment of the grid."""
    exprs = _exprs(detector)
    values = _read(prometheus, exprs[VALUE], grid, most=most, on_progress=lambda done: on_progress(done / len(exprs)))
    if ONLY_IF not in exprs:
        return Past(detector, grid, values, None)
    judged = _read(prometheus, exprs[ONLY_IF], grid, most=None, on_progress=lambda done: on_progress((1 + done) / 2))
    return Past(detector, grid, values, judged)


def _exprs(detector: Detector) -> dict[str, str]:
    """The generated rules that read the user's own metrics; all others read what these record."""
    rules = (rule for group in BANDS[detector.band].groups(detector) for rule in group.rules)
    return {rule.record: rule.expr for rule in rules if isinstance(rule, Record) and rule.record in (VALUE, ONLY_IF)}


def _read(
    prometheus: LivePrometheus, expr: str, grid: Grid, *, most: int | None, on_progress: Callable[[float], None]
) -> Table:
    table = Table(grid, most=most)
    for part in prometheus.range(expr, grid.start, grid.end, grid.step, on_progress=on_progress):
        first, last = grid.step_of(part.start), grid.step_of(part.end)
        begin, seconds = grid.at(first).timestamp(), grid.step.total_seconds()
        for each in part.series:
            values = _nothing(last - first + 1)
            for at, value in each.samples:
                values[round((at - begin) / seconds)] = value
            # The name goes when a rule records it, as it does in Prometheus.
            table.put(_series(each.labels), first, values)
    return table


def _series(labels: Mapping[str, str]) -> Series:
    return tuple(sorted((name, value) for name, value in labels.items() if name != "__name__"))


def _nothing(steps: int) -> "array[float]":
    return array("d", repeat(NOTHING, steps))
