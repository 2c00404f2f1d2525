"""Which of all metrics get a detector: the most telling ones first, and a reason for each that is left out.

`amend rules init` calls it. What the name alone rules out is not asked about, nor is the rest once there are enough.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from receiver.rulegen.proposals import LeftOut, Metric, Proposal, failures_of
from receiver.rulegen.survey import Family, Kind, Selection, Survey, is_plain
from receiver.rulegen.vocabulary import FAILURES, PILES, ROOM, SPENT, TRAFFIC, words_of

MOST_READ: Final = 20_000  #: series behind one expression, which reads them at each evaluation

#: Left out by their names alone; the first that matches gives the reason.
NOT_WORTH: Final[tuple[tuple[str, str], ...]] = (
    (r"up|scrape_.*|promhttp_.*", "about the scrape itself, not about what is scraped"),
    (r"ALERTS|ALERTS_FOR_STATE", "recorded by rules from other metrics"),
    (r"prometheus_.*|alertmanager_.*|amend_.*", "the monitoring's own; watch it with rules of its own"),
    (r"go_.*|python_.*|nodejs_.*|process_(?!resident_memory_bytes$|open_fds$).*", "about the language's runtime"),
    (r".*_created", "the moment when a series began"),
    (r".*_timestamp(_m?seconds)?", "a moment in time, not a level"),
    (r".*_info", "tells labels, not a level"),
)


def propose(survey: Survey, selections: Iterable[Selection], *, most: int) -> Iterator[Proposal | LeftOut]:
    """For each metric its detectors, `most` in all, or why it has none."""
    families: dict[str, Family] = {}
    for family in (each for selected in selections for each in survey.families(selected)):
        first = families.setdefault(family.name, family)
        if first is not family:
            yield LeftOut(family.name, f"{first.selection.text} has it, too; give one selector for both, with =~")
    counters = {each.name: each for each in families.values() if each.kind is Kind.COUNTER}
    failing = {bad.name: total.name for total in counters.values() if (bad := failures_of(total, counters))}
    made = 0
    for family in sorted(families.values(), key=_worth):
        if why := _not_worth(survey, family):
            yield LeftOut(family.name, why)
        elif family.name in failing:
            yield LeftOut(family.name, f"part of the error ratio of {failing[family.name]}")
        elif made >= most:
            yield _beyond(family, most)
        else:
            for choice in Metric(survey, family, counters).choices():
                made += isinstance(choice, Proposal)
                yield choice if made <= most else _beyond(family, most)


def _beyond(family: Family, most: int) -> LeftOut:
    return LeftOut(family.name, f"beyond the first {most} detectors; narrow down with --match, or raise --limit")


def _not_worth(survey: Survey, family: Family) -> str:
    """Why nothing more need be asked about a metric."""
    if ":" in family.name or family.name in survey.recorded:
        return "recorded by rules from other metrics"
    if not is_plain(family.name):
        return "its name needs the quotes of Prometheus 3, which specs do not take"
    if found := next((why for pattern, why in NOT_WORTH if re.fullmatch(pattern, family.name)), ""):
        return found
    if family.kind is Kind.INFO:
        return "tells labels, not a level"
    if family.series > MOST_READ:
        return f"more than {MOST_READ:,} series to read at each evaluation; narrow down with --match, or record sums"
    return ""


def _worth(family: Family) -> tuple[int, str]:
    """Sorts by how much a metric tells about whether users are served."""
    words = words_of(family.name)
    traffic = bool(words & TRAFFIC)
    match family.kind:
        case Kind.HISTOGRAM | Kind.NATIVE:
            rank = 0 if traffic else 2
        case Kind.COUNTER:
            rank = 1 if traffic else 3 if words & FAILURES else 6
        case Kind.SUMMARY:
            rank = 4
        case _:
            rank = 5 if words & (PILES | ROOM | SPENT) else 7
    return rank, family.name
