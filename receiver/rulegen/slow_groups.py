"""Groups of rules that are evaluated far more seldom than their detector judges: what a band remembers by the hour.

promtool evaluates all groups alike, which would cost a replay most of its time. So replay.py evaluates these groups
first, at their own interval as Prometheus does, and gives what they recorded to those that judge.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from receiver.conventions import LEARNED, ONLY_IF, VALUE
from receiver.durations import parse_duration
from receiver.rulegen.recorded import series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import judged

_SELECTED = re.compile(r"(amend:\w+)\{[^}]*\}(?:\[(\w+)[\]:])?")


@dataclass(frozen=True)
class SlowGroups:
    """Groups that can be evaluated by themselves, and how often."""

    groups: Sequence[Group]
    every: timedelta
    learned: bool  #: they read what the band learns, which is the value where it is judged

    @property
    def records(self) -> list[Record]:
        return [rule for group in self.groups for rule in group.rules if isinstance(rule, Record)]


def slow_groups(detector: Detector, groups: Sequence[Group], *, step: timedelta) -> SlowGroups | None:
    """Those of a detector; None where there are none, or they rest on what is judged, as the z-score's do."""
    rules = {rule.record: (group, rule) for group in groups for rule in group.rules if isinstance(rule, Record)}
    watch = rules[VALUE][0]
    slow = [group for group in groups if group is not watch and any(isinstance(rule, Record) for rule in group.rules)]
    every = max((group.interval for group in slow), default=step)
    if every <= step or every % step:
        return None
    read = _reached(slow, rules)
    learned = (
        LEARNED in read and LEARNED in rules and rules[LEARNED][1].expr == judged(detector, series(VALUE, detector))
    )
    judgement = {name for name in read if name in rules and rules[name][0] is watch} - {VALUE, ONLY_IF}
    if judgement - ({LEARNED} if learned else set()):
        return None
    found = SlowGroups(slow, every, learned)
    return found if _bear(found, watch.rules) else None


def _reached(groups: Iterable[Group], rules: Mapping[str, tuple[Group, Record]]) -> set[str]:
    """The names of all that these groups read, and of what that was made of."""
    found: set[str] = set()
    waiting = [rule.expr for group in groups for rule in group.rules]
    while waiting:
        new = {name for name, _ in _SELECTED.findall(waiting.pop())} - found
        found |= new
        waiting += [rules[name][1].expr for name in new if name in rules]
    return found


def _bear(slow: SlowGroups, rules: Iterable[object]) -> bool:
    """Whether all others look back far enough for what is recorded so seldom."""
    names = {rule.record for rule in slow.records}
    looks = [
        window
        for rule in rules
        if isinstance(rule, Record)
        for name, window in _SELECTED.findall(rule.expr)
        if name in names
    ]
    return all(window and parse_duration(window) >= 2 * slow.every for window in looks)
