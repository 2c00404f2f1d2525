"""Made-up histories: series of the usual shapes, alike with the same seed. Tests, docs and benchmarks replay them.

They show what a band does with a shape; how well it does on real metrics only real metrics can show.
"""

import math
import random
from array import array
from collections.abc import Callable, Mapping
from typing import Final

from receiver.rulegen.history import Grid, Past, Table
from receiver.rulegen.spec import Detector

Shape = Callable[[float, random.Random], float]
"""A value at that many days since 1970."""


def _steady(_: float, chance: random.Random) -> float:
    return 100 + chance.gauss(0, 3)


def _daily(day: float, chance: random.Random) -> float:
    return 100 + 40 * math.sin(2 * math.pi * day) + chance.gauss(0, 4)


def _weekly(day: float, chance: random.Random) -> float:
    weekend = int(day + 3) % 7 >= 5  # 1970 began on a Thursday
    return (60 if weekend else 100) + 30 * math.sin(2 * math.pi * day) + chance.gauss(0, 4)


def _skewed(_: float, chance: random.Random) -> float:
    return 20 * math.exp(chance.gauss(0, 0.5))


def _growing(day: float, chance: random.Random) -> float:
    return 100 + 2 * (day % 365) + 10 * math.sin(2 * math.pi * day) + chance.gauss(0, 3)


SHAPES: Final[Mapping[str, Shape]] = {
    "steady": _steady,
    "daily": _daily,
    "weekly": _weekly,
    "skewed": _skewed,
    "growing": _growing,
}


def made_up(detector: Detector, grid: Grid, *, each: int = 1, seed: int = 0) -> Past:
    """A history with `each` series of every shape, for a detector that tells series apart by one label."""
    (label,) = detector.by
    table = Table(grid)
    for name, shape in SHAPES.items():
        for number in range(each):
            chance = random.Random(f"{seed} {name} {number}")  # noqa: S311 - to be repeated, not kept secret
            days = (grid.at(step).timestamp() / 86400 for step in range(grid.steps))
            table.put(((label, f"{name}-{number}"),), 0, array("d", [shape(day, chance) for day in days]))
    return Past(detector, grid, table, None)
