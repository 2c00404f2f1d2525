"""What the rules of days.py make of a list of values, for the numbers that a generated unit test expects.

novelty.py calls it.
"""

from collections.abc import Sequence
from datetime import timedelta
from math import ceil, floor
from statistics import fmean

from receiver.rulegen.days import BLIND, DAY, HOUR, NORMAL, ODD, SHORT, SPAN, least_factor
from receiver.rulegen.promql import SECOND
from receiver.rulegen.spec import Detector


class PastDays:
    """Values that came one `every`, the first at time 0, seen from the time of the last."""

    def __init__(self, detector: Detector, values: Sequence[float], every: timedelta) -> None:
        self._detector = detector
        self._now = (len(values) - 1) * every
        self._values = _Series(values, every)
        # What only_if lets through is recorded after the days were: the newest value is not among theirs.
        late = detector.only_if is not None
        learned = _Series(values, every, late=every) if late else self._values
        shorts = [self._values.block(SHORT, until=each * SHORT) for each in range(floor(self._now / SHORT) + 1)]
        fives = _Series([_mean(each) for each in shorts], SHORT)
        hourly = ceil(HOUR / every) * every
        begin = late * every
        until = self._now - BLIND - (every if detector.part else timedelta())  # a part is judged before its memory is
        hours = (begin + each * hourly for each in range(floor((until - begin) / hourly) + 1))
        known = [time for time in hours if time >= until - detector.window]
        self._means = [fmean(learned.block(DAY, until=time)) for time in known]
        days = [fives.block(DAY, until=time - late * SECOND) for time in known]
        self._highest, self._lowest = [max(day) for day in days], [min(day) for day in days]

    def short(self) -> float:
        return fmean(self._values.block(SHORT, until=self._now))

    def level(self) -> float:
        return _quantile(0.5, self._means)

    def highest(self) -> float:
        return self._edge(self._highest, self.level())

    def lowest(self) -> float:
        return -self._edge([-each for each in self._lowest], -self.level())

    def _edge(self, days: Sequence[float], centre: float) -> float:
        far, near = _quantile(1 - ODD, days), _quantile(ODD, days)
        usual = (far + near) / 2 + self._detector.sigma * (far - near) / NORMAL
        span = self._highest[-1] - self._lowest[-1]
        small = least_factor(self._detector)
        least = max(self._detector.relative * small * abs(centre), self._detector.absolute * small)
        return max(max(usual, days[-1]) + self._detector.sigma * span / SPAN, far + least)


class _Series:
    """Samples one `every`; None where there is none. They are seen `late` after their time."""

    def __init__(self, values: Sequence[float | None], every: timedelta, *, late: timedelta = timedelta()) -> None:
        self._values, self._every, self._late = values, every, late

    def block(self, length: timedelta, *, until: timedelta) -> list[float]:
        first = max(0, ceil((until - length + SECOND) / self._every))
        found = self._values[first : floor((until - self._late) / self._every) + 1]
        return [each for each in found if each is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _quantile(share: float, values: Sequence[float]) -> float:
    """As Prometheus takes it: between the two values that are nearest."""
    ordered = sorted(values)
    rank = share * (len(ordered) - 1)
    low, high = ordered[floor(rank)], ordered[ceil(rank)]
    return low + (high - low) * (rank - floor(rank))
