"""Pages: when somebody would have been told. backtest.py makes them of the steps at which an alert fired.

A page is the start of a firing episode; what fires again within an hour is the same episode. The benchmark of the
detectors counts the same way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receiver.rulegen.history import Grid, Series

JOINED_WITHIN: Final = timedelta(hours=1)
WEEK: Final = timedelta(weeks=1)


@dataclass(frozen=True, kw_only=True)
class Page:
    """One firing episode of one series in one severity."""

    series: Series
    severity: str
    start: datetime
    end: datetime

    @property
    def lasted(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the pages of one severity amount to."""

    severity: str
    pages: int
    a_week: float
    time_up: float  #: the share of the judged series' time during which the alert was up
    longest: timedelta


def pages_of(series: Series, severity: str, fired: Iterable[int], grid: Grid) -> list[Page]:
    """The episodes of an alert that fired at these steps."""
    return [
        Page(series=series, severity=severity, start=grid.at(first), end=grid.at(last + 1))
        for first, last in episodes(fired, grid.step)
    ]


def episodes(fired: Iterable[int], step: timedelta) -> list[tuple[int, int]]:
    """First and last step of each; a step longer than the hour joins its neighbour all the same."""
    found: list[tuple[int, int]] = []
    for each in sorted(fired):
        if found and (each - found[-1][1] == 1 or (each - found[-1][1]) * step <= JOINED_WITHIN):
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found


def figures(severity: str, pages: Sequence[Page], *, span: timedelta, judged: timedelta, up: timedelta) -> Figures:
    """`judged` is the time of all series in which something was said of them, `up` that in which the alert fired."""
    return Figures(
        severity=severity,
        pages=len(pages),
        a_week=len(pages) * (WEEK / span),
        time_up=up / judged if judged else 0.0,
        longest=max((page.lasted for page in pages), default=timedelta()),
    )
