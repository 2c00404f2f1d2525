"""The figures of a detector on some series: the benchmark's score, and what the people who are paged would ask.

The commands print them, of the whole corpus, of a category or of one series.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.nab.corpus import WEEK, Series
from benchmarks.nab.nab_score import PROFILES, nab_score, raw_score
from benchmarks.nab.pages import Flags, Judged, onsets, pages


@dataclass(frozen=True, kw_only=True)
class Figures:
    """None where there is nothing to divide by, as in a category without windows."""

    nab_standard: float | None  #: by page; 0 is silent, 100 is perfect
    nab_low_fp: float | None
    nab_low_fn: float | None
    nab_standard_every_row: float | None  #: with every row that an alert is up as a detection of its own
    nab_raw: float  #: the standard score before it is scaled, which adds up over series
    windows: int
    hit: int  #: windows in which a page began
    false_pages: int  #: pages that began outside of all windows
    event_recall: float | None
    event_precision: float
    event_f1: float | None
    false_pages_per_series_week: float
    pages_per_series_week: float
    flagged_share_outside: float  #: share of the time outside of windows that an alert is up
    median_delay_h_after_label: float | None  #: hours; a window begins before its label, so it can be negative


def figures(judged: Judged) -> Figures:
    once = [(series, onsets(series, flags)) for series, flags in judged]
    scores = {name: nab_score(once, profile) for name, profile in PROFILES.items()}
    windows, hits, false, sent = 0, 0, 0, 0
    for series, flags in judged:
        begun = [first for first, _ in pages(series, flags)]
        scored = series.scored
        windows += len(scored)
        hits += sum(any(left <= row <= right for row in begun) for left, right in scored)
        false += sum(not series.in_window(row) for row in begun)
        sent += len(begun)
    recall, precision = _share(hits, windows), _share(hits, hits + false)
    weeks = sum((series.times[-1] - series.times[series.probation]) / WEEK for series, _ in judged)
    delays = [delay for series, flags in judged for delay in _delays(series, flags)]
    return Figures(
        **{name: _rounded(score, windows) for name, score in scores.items()},
        nab_standard_every_row=_rounded(nab_score(judged), windows),
        nab_raw=round(sum(raw_score(series, flags) for series, flags in once), 2),
        windows=windows,
        hit=hits,
        false_pages=false,
        event_recall=_rounded(recall, windows, 3),
        event_precision=round(precision, 3),
        event_f1=_rounded(2 * _share(precision * recall, precision + recall), windows, 3),
        false_pages_per_series_week=round(_share(false, weeks), 2),
        pages_per_series_week=round(_share(sent, weeks), 2),
        flagged_share_outside=round(_flagged_outside(judged), 4),
        median_delay_h_after_label=round(median(delays), 2) if delays else None,
    )


def _delays(series: Series, flags: Flags) -> Iterable[float]:
    """Hours from a window's label to the first page in it."""
    begun = [first for first, _ in pages(series, flags)]
    for left, right in series.scored:
        page = next((row for row in begun if left <= row <= right), None)
        label = next((at for at in series.labels if series.times[left] <= at <= series.times[right]), None)
        if page is not None and label is not None:
            yield (series.times[page] - label) / 3600


def _flagged_outside(judged: Judged) -> float:
    outside, flagged = 0, 0
    for series, flags in judged:
        rows = [row for row in range(series.probation, len(flags)) if not series.in_window(row)]
        outside += len(rows)
        flagged += sum(flags[row] for row in rows)
    return _share(flagged, outside)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _rounded(score: float, windows: int, digits: int = 2) -> float | None:
    return round(score, digits) if windows else None
