"""Cuts long series into stretches that the engine runs side by side; run.py puts the results together again.

A run costs by its steps and hardly by its series. The cut changes nothing for rules that remember no more than MEMORY.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from benchmarks.engine import Input
from benchmarks.nab.corpus import Series

GRID: Final = timedelta(minutes=5)  #: between two steps, which is the step of most files
#: The run-up of a stretch, whose results are thrown away. Whole weeks, so that hours and weekdays stay what they are,
#: and more than twice the 15 days that a Prometheus keeps by default.
MEMORY: Final = timedelta(weeks=5)
LONG: Final = timedelta(days=95)


@dataclass(frozen=True)
class Stretch:
    """Part of a series on the engine's clock, which is `start` steps behind the series' own."""

    label: str  #: what `series` is called in the engine
    series: Series
    start: int
    run_up: int
    values: Mapping[int, float]

    @property
    def input(self) -> Input:
        return Input(f'nab_value{{series="{self.label}"}}', self.values)


def stretches(series: Series) -> Iterator[Stretch]:
    values = series.on_grid(int(GRID.total_seconds()))
    last = max(values)
    if last * GRID <= LONG:
        yield Stretch(series.name, series, 0, 0, values)
        return
    memory = MEMORY // GRID
    for start in range(0, max(1, last - memory + 1), memory):
        part = {step - start: values[step] for step in range(start, start + 2 * memory) if step in values}
        if part:
            yield Stretch(f"{series.name}~{start}", series, start, memory if start else 0, part)
