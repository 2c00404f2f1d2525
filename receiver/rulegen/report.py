"""The report of a backtest: one HTML file that needs nothing else, to be mailed, attached or looked at alone.

`amend rules backtest --report` writes it. What labels and specs hold stays text, and its size is bounded however many
series had pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from receiver.durations import format_duration
from receiver.rulegen.backtest import Verdict, Wanted, Watched
from receiver.rulegen.incidents import Incident, Quality
from receiver.rulegen.pages import Figures, Page
from receiver.rulegen.plot import DAYS, HEIGHT, WIDTH, Plot, plot

PLOTS: Final = 60  #: in one report, some 30 kB each
LISTED: Final = 20  #: pages of one series


@dataclass(frozen=True, kw_only=True)
class Row:
    """One severity of one detector."""

    figures: Figures
    quality: Quality | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A series that is drawn."""

    labels: Mapping[str, str]
    plot: Plot
    pages: Sequence[Page]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One detector."""

    verdict: Verdict
    rows: Sequence[Row]
    shown: Sequence[Shown]
    paged: int  #: series with a page
    known: int
    idle: int
    judged: int


def report(verdicts: Sequence[Verdict], wanted: Wanted, incidents: Sequence[Incident] | None) -> str:
    """The whole file. `incidents` is None where nobody told any."""
    drawn = _drawn(verdicts)
    return (
        _environment()
        .get_template("report.html")
        .render(
            start=wanted.until - wanted.since,
            end=wanted.until,
            since=wanted.since,
            incidents=incidents,
            sections=[_section(verdict, drawn[verdict.detector.name], incidents) for verdict in verdicts],
            width=WIDTH,
            height=HEIGHT,
            days=DAYS,
            listed=LISTED,
        )
    )


def _section(verdict: Verdict, drawn: Sequence[Watched], incidents: Sequence[Incident] | None) -> Section:
    concerned = [each for each in incidents or () if each.concerns(verdict.detector)]
    return Section(
        verdict=verdict,
        rows=[Row(figures=each, quality=verdict.quality(each.severity, incidents)) for each in verdict.figures],
        shown=[
            Shown(labels=dict(each.series), plot=plot(verdict, each, concerned), pages=each.pages) for each in drawn
        ],
        paged=sum(bool(each.pages) for each in verdict.watched),
        known=verdict.total("known"),
        idle=verdict.total("idle"),
        judged=verdict.total("judged"),
    )


def _drawn(verdicts: Sequence[Verdict]) -> Mapping[str, Sequence[Watched]]:
    """The series with most pages of each detector; each detector in turn, until there are enough."""
    ranked = [
        sorted(filter(lambda each: each.pages, verdict.watched), key=lambda each: (-len(each.pages), each.series))
        for verdict in verdicts
    ]
    turns = [(index, each) for turn in zip_longest(*ranked) for index, each in enumerate(turn) if each is not None]
    chosen = turns[:PLOTS]
    return {
        verdict.detector.name: [each for index, each in chosen if index == number]
        for number, verdict in enumerate(verdicts)
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"utc": _utc, "duration": _duration, "number": _number, "percent": _percent}
    return environment


def _visible(value: object) -> object:
    """A stranger's label may hold what turns the reading direction, or cannot be seen: spelled out."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return type(value)("".join(each if each.isprintable() or each == "\n" else _spelled(each) for each in value))


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _duration(duration: timedelta) -> str:
    return format_duration(timedelta(seconds=round(duration.total_seconds())))


def _number(value: float) -> str:
    return f"{value:.4g}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}" if share < 0.1 else f"{share:.0%}"
