"""A folder of labelled series: `data/<category>/<name>.csv` and `labels.json`, in the format of the Numenta benchmark.

The commands load it; the engine gets the values, and only the figures ever look at the windows.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median_high

from receiver.errors import ConfigError

WEEK = 7 * 86400


@dataclass(frozen=True)
class Series:
    """One file. Times are Unix seconds; windows are its rows, the first and the last both inside."""

    name: str
    times: Sequence[int]
    values: Sequence[float]
    windows: Sequence[tuple[int, int]]
    labels: Sequence[int]  #: the instants that the annotators marked

    @property
    def category(self) -> str:
        return self.name.partition("/")[0]

    @property
    def probation(self) -> int:
        """So many rows at its start are for learning, and not scored."""
        return min(int(0.15 * len(self.times)), 750)

    @property
    def scored(self) -> Sequence[tuple[int, int]]:
        """The windows that do not end within the learning period."""
        return [window for window in self.windows if window[1] >= self.probation]

    def in_window(self, row: int) -> bool:
        return any(left <= row <= right for left, right in self.windows)

    @cached_property
    def step(self) -> int:
        """Seconds between two rows, usually."""
        return median_high([later - earlier for earlier, later in pairwise(self.times) if later > earlier])

    def slots(self, grid: int) -> list[int]:
        """The grid step at which each row shows: the first at or after its time.

        Time begins at step 0 for the engine. Whole weeks are taken away, so that hours and weekdays stay what they
        are, and less than one step of the grid, so that the first row falls on it.
        """
        shift = self.times[0] // WEEK * WEEK
        shift += (self.times[0] - shift) % grid
        slots = [-(-(time - shift) // grid) for time in self.times]
        for row in range(1, len(slots)):  # one file's clock goes back by an hour
            slots[row] = max(slots[row], slots[row - 1])
        return slots

    def on_grid(self, grid: int) -> Mapping[int, float]:
        """The value at each grid step: held until the next row, yet no longer than three of its own steps.

        After these the series is stale, as that of a vanished target is.
        """
        slots = self.slots(grid)
        hold = max(1, 3 * self.step // grid)
        ends = [*slots[1:], slots[-1] + max(1, self.step // grid)]
        held: dict[int, float] = {}
        for slot, end, value in zip(slots, ends, self.values, strict=True):
            for step in range(slot, max(slot + 1, min(end, slot + hold))):
                held[step] = value
        return held


def load(folder: Path, *, only: str = "") -> list[Series]:
    """All series of the corpus whose name contains `only`."""
    path = folder / "labels.json"
    if not path.is_file():
        raise ConfigError(path, None, "is not there; name a folder with data/ and labels.json, as NAB has them")
    labels = json.loads(path.read_text())
    return [_read(folder, name, labels[name]) for name in sorted(labels) if only in name]


def _read(folder: Path, name: str, truth: Mapping[str, Sequence[object]]) -> Series:
    with (folder / "data" / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [_seconds(row["timestamp"]) for row in rows]
    return Series(
        name=name,
        times=times,
        values=[float(row["value"]) for row in rows],
        windows=[_rows(times, window) for window in truth["windows"]],
        labels=[_seconds(label) for label in truth["labels"]],
    )


def _rows(times: Sequence[int], window: object) -> tuple[int, int]:
    assert isinstance(window, Iterable)
    first, last = (times.index(_seconds(edge)) for edge in window)
    return first, last


def _seconds(text: object) -> int:
    """A timestamp without a zone is read as UTC; NAB writes some with microseconds."""
    return int(datetime.fromisoformat(str(text)[:19]).replace(tzinfo=UTC).timestamp())
