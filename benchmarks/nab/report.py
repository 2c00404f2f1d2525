"""Figures as a table for people; the commands print it where nobody asks for JSON.

One row per detector, category or series; what cannot be had is a dash.
"""

from collections.abc import Mapping
from typing import Final

from benchmarks.nab.figures import Figures

_COLUMNS: Final[Mapping[str, str]] = {
    "NAB by page": "nab_standard",
    "recall": "event_recall",
    "precision": "event_precision",
    "F1": "event_f1",
    "false pages/series-week": "false_pages_per_series_week",
    "up outside": "flagged_share_outside",
    "hit": "hit",
    "windows": "windows",
    "false": "false_pages",
    "delay h": "median_delay_h_after_label",
}


def table(rows: Mapping[str, Figures], *, about: str) -> str:
    """A Markdown table; the first column says which `about` a row is."""
    head = [about, *_COLUMNS]
    lines = [[name, *(_cell(getattr(each, key)) for key in _COLUMNS.values())] for name, each in rows.items()]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in [head, *lines]
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [padded[0], rule, *padded[1:]])


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"
