"""The Numenta Anomaly Benchmark's score: 0 is a detector that says nothing, 100 a perfect one.

figures.py takes it of pages and of every row. The formula is Lavin and Ahmad's, "Evaluating Real-time Anomaly Detection
Algorithms" (2015), as NAB's scorer has it; it gives all published detectors' scores to the second decimal.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.nab.corpus import Series
from benchmarks.nab.pages import Flags, Judged


@dataclass(frozen=True)
class Profile:
    """What is lost by a false detection and by a window that is missed; a hit is worth up to 1."""

    false: float
    missed: float


STANDARD: Final = Profile(false=0.11, missed=1)
PROFILES: Final[Mapping[str, Profile]] = {
    "nab_standard": STANDARD,
    "nab_low_fp": Profile(false=0.22, missed=1),
    "nab_low_fn": Profile(false=0.11, missed=2),
}


def nab_score(judged: Judged, profile: Profile = STANDARD) -> float:
    """Of a whole corpus: between what silence would get and what perfection would."""
    windows = sum(len(series.windows) for series, _ in judged)
    silent = -profile.missed * sum(len(series.scored) for series, _ in judged)
    raw = sum(raw_score(series, flags, profile) for series, flags in judged)
    return 100 * (raw - silent) / (windows - silent) if windows else math.nan


def raw_score(series: Series, flags: Flags, profile: Profile = STANDARD) -> float:
    """Of one series: its windows' earliest hits, less what was missed and what was false."""
    flagged = [row for row in range(series.probation, len(flags)) if flags[row]]
    total = 0.0
    for left, right in series.windows:
        inside = [row for row in flagged if left <= row <= right]
        if inside:
            total += _sigmoid(-(right - inside[0] + 1) / (right - left + 1)) / _sigmoid(-1)
        elif right >= series.probation:
            total -= profile.missed
    return total + profile.false * sum(_falseness(series, row) for row in flagged if not series.in_window(row))


def _falseness(series: Series, row: int) -> float:
    """A detection soon after a window is a late one rather than a false one, and costs less than the full -1."""
    before = [window for window in series.windows if window[1] < row]
    if not before:
        return -1
    left, right = before[-1]
    return _sigmoid((row - right) / (right - left))


def _sigmoid(position: float) -> float:
    """Near 1 at a window's start (-1), 0 at its end (0), -1 far behind it."""
    return -1 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1
