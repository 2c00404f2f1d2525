"""Pages: an alert that begins to fire, with what follows within the hour as part of the same.

figures.py counts them as people who are woken do; the benchmark's own score is taken of them, too.
"""

from collections.abc import Sequence
from typing import Final

from benchmarks.nab.corpus import Series

Flags = Sequence[bool]
"""For each row of a series, whether an alert was up."""

Judged = Sequence[tuple[Series, Flags]]

JOINED_WITHIN: Final = 3600  #: seconds of quiet that do not end a page


def pages(series: Series, flags: Flags) -> list[tuple[int, int]]:
    """First and last row of each. One that is up when the learning period ends was sent before, and does not count."""
    found: list[tuple[int, int]] = []
    for row in (row for row, flagged in enumerate(flags) if flagged):
        if found and (row == found[-1][1] + 1 or series.times[row] - series.times[found[-1][1]] <= JOINED_WITHIN):
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return [page for page in found if page[0] >= series.probation]


def onsets(series: Series, flags: Flags) -> list[bool]:
    """Each page's first row alone."""
    first = {page[0] for page in pages(series, flags)}
    return [row in first for row in range(len(flags))]
