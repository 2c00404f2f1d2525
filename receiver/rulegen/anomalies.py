"""Kinds of anomalies that can be put into a history, and what became of them. injection.py puts them there.

A size is counted in deviations of the series' own last day, so that it means the same for every series.
"""

import math
import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from statistics import fmean, median, pstdev
from typing import Final

from receiver.rulegen.history import Grid, Series

SOON: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
SIZES: Final = (3.0, 6.0, 12.0)


class Kind(StrEnum):
    """What goes wrong."""

    SPIKE = "spike"  #: up for half an hour
    LEVEL_SHIFT = "level_shift"  #: up, and it stays there
    DRIFT = "drift"  #: up little by little, over six hours
    DROPOUT = "dropout"  #: down to nothing
    VARIANCE = "variance"  #: restless, though its mean stays
    SEASONAL_SHIFT = "seasonal_shift"  #: what belongs to another time of the day


LASTS: Final[Mapping[Kind, timedelta]] = {
    Kind.SPIKE: timedelta(minutes=30),
    Kind.LEVEL_SHIFT: timedelta(hours=6),
    Kind.DRIFT: timedelta(hours=6),
    Kind.DROPOUT: timedelta(hours=2),
    Kind.VARIANCE: timedelta(hours=6),
    Kind.SEASONAL_SHIFT: timedelta(hours=6),
}
SIZELESS: Final = (Kind.DROPOUT, Kind.SEASONAL_SHIFT)  #: as large as the series makes them


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One anomaly in one copy of a series."""

    kind: Kind
    size: float | None  #: in deviations of the series' last day
    series: Series
    at: int  #: the step at which it begins
    steps: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of all anomalies of one kind and size."""

    kind: Kind
    size: float | None
    injected: int
    delays: Sequence[timedelta] = field(default=())  #: of those that were found, to the alert

    @property
    def found(self) -> int:
        return len(self.delays)

    @property
    def found_soon(self) -> int:
        """Within the first hour."""
        return sum(delay <= SOON for delay in self.delays)

    @property
    def delay(self) -> timedelta | None:
        """The usual one."""
        return timedelta(seconds=median(each.total_seconds() for each in self.delays)) if self.delays else None


def altered(
    values: Sequence[float], injection: Injection, grid: Grid, *, chance: random.Random, upwards: bool
) -> "array[float]":
    """The values with the anomaly in them; what was missing stays missing."""
    at, steps = injection.at, injection.steps
    day = round(DAY / grid.step)
    spread = _spread(values[max(0, at - day) : at])
    size = (injection.size or 0.0) * spread * (1 if upwards else -1)
    result = array("d", values)
    for offset in range(steps):
        value = values[at + offset]  # NaN times or plus anything stays NaN
        match injection.kind:
            case Kind.SPIKE | Kind.LEVEL_SHIFT:
                result[at + offset] = value + size
            case Kind.DRIFT:
                result[at + offset] = value + size * (offset + 1) / steps
            case Kind.DROPOUT:
                result[at + offset] = value * 0
            case Kind.VARIANCE:
                result[at + offset] = value + chance.gauss(0, abs(size))
            case Kind.SEASONAL_SHIFT:
                result[at + offset] = value * 0 + values[at + offset - day // 2]
    return result


def _spread(values: Sequence[float]) -> float:
    """The deviation of what is known; of a flat series a hundredth of its level."""
    known = [value for value in values if not math.isnan(value)]
    return pstdev(known) or abs(fmean(known)) / 100 or 1.0
