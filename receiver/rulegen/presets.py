"""The presets: what a detector means by a key that neither it nor its file's `defaults` sets.

spec.py reads them when it fills a detector in; docs and `amend rules` show them as they stand here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way to set the knobs that trade cost and delay against precision."""

    band: str
    interval: timedelta  #: between two evaluations of the rules
    window: timedelta
    sigma: float
    min_samples: int
    hold: timedelta  #: `for`
    keep_firing_for: timedelta
    #: A hundredth of the usual level is noise in nearly every metric, and a series flat as a board has no
    #: deviation of its own to judge by. Watch an availability near 1 by its error ratio, or set this lower.
    relative: float = 0.01
    absolute: float = 1e-9  #: only so that a series that is always 0 divides by something
    #: Of bands that compare days. They judge a mean of minutes, not a sample: `for` would make them wait twice.
    days: timedelta = timedelta(days=12)
    hold_of_days: timedelta = timedelta()
    season: tuple[timedelta, ...] = (timedelta(days=1), timedelta(weeks=1))
    horizon: timedelta = timedelta(hours=1)


PRESETS: Final[Mapping[str, Preset]] = {
    # For scrapes of 10 s and faster, and faults that must be answered within a minute.
    "high_frequency": Preset(
        band="auto",
        interval=timedelta(seconds=5),
        window=timedelta(hours=1),
        days=timedelta(hours=1),
        hold_of_days=timedelta(seconds=30),
        sigma=3,
        min_samples=60,
        hold=timedelta(seconds=30),
        keep_firing_for=timedelta(minutes=1),
    ),
    "balanced": Preset(
        band="auto",
        interval=timedelta(seconds=30),
        window=timedelta(days=1),
        sigma=3,
        min_samples=120,
        hold=timedelta(minutes=5),
        keep_firing_for=timedelta(minutes=10),
    ),
    # Three days know more of what is usual than one; four deviations forgive more of it.
    "high_accuracy": Preset(
        band="auto",
        interval=timedelta(seconds=15),
        window=timedelta(days=3),
        sigma=4,
        min_samples=1440,
        hold=timedelta(minutes=5),
        keep_firing_for=timedelta(minutes=15),
    ),
    "low_cost": Preset(
        band="auto",
        interval=timedelta(minutes=2),
        window=timedelta(days=1),
        sigma=3,
        min_samples=60,
        hold=timedelta(minutes=10),
        keep_firing_for=timedelta(minutes=15),
    ),
    # The textbook detector, for comparison: it learns from the fault that it judges.
    "classic": Preset(
        band="classic",
        interval=timedelta(seconds=30),
        window=timedelta(minutes=10),
        sigma=2.5,
        min_samples=10,
        hold=timedelta(),
        keep_firing_for=timedelta(),
    ),
}

AUTO: Final = "auto"
NOVELTY: Final = "novelty"


def automatic(window: timedelta) -> str:
    """The band that `auto` stands for: the best that was measured, where the window holds days to compare."""
    return NOVELTY if window >= timedelta(days=2) else "zscore"
