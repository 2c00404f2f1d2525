"""What Prometheus has to show for an alert: is it still true, and are there samples behind its being false?

Verification makes its verdict of what is seen here. An empty answer counts for nothing until the series that it rests
on are known to be there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from receiver import conventions as names
from receiver.evidence import Comparison, Sources, comparisons, frozen, sources, watched
from receiver.labels import quoted, selector
from receiver.prometheus import Prometheus, Rule, Sample

LEARNED = "the value has not come back: the baseline has learned the fault"

_COPIED = re.compile(r"\{\{-?\s*\$labels\.(\w+)\s*-?\}\}")
"""A rule's label that only repeats one of the series."""

_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""A label's name that needs no quotes; an alert may carry any other."""


class Sight(StrEnum):
    """What one look saw."""

    FIRING = "firing"  #: the alert's expression is still true
    QUIET = "quiet"  #: it is false, and there are samples to show it
    BLIND = "blind"  #: nothing can be said


@dataclass(frozen=True)
class Look:
    """One look, and why it saw that."""

    sight: Sight
    why: str


class Evidence:
    """Whether there are samples behind an expression."""

    def __init__(self, prometheus: Prometheus, rules: Sequence[Rule]) -> None:
        self._prometheus = prometheus
        self._rules = rules
        self._seen: dict[str, bool] = {}

    async def missing(self, expr: str, *, true: bool) -> str | None:
        """What there must be for the answer of an expression to count, and is not; None when all is there."""
        if not true:
            for each in watched(expr):
                if not any(sample.usable for sample in await self._ask(each)):
                    return f"{each} has no samples"
        return await self._unscraped(expr)

    async def _unscraped(self, expr: str) -> str | None:
        """rate() and recorded series outlive a failed scrape for minutes; the scraped series do not."""
        return await self._lacking(sources(expr, self._rules))

    async def _lacking(self, needed: Sources | str) -> str | None:
        if isinstance(needed, str):
            if needed not in self._seen:
                self._seen[needed] = await self._scraped(needed)
            return None if self._seen[needed] else f"{needed} has no current samples: the scrape fails, or it is gone"
        lacking = [why for why in [await self._lacking(part) for part in needed.parts] if why]
        enough = not lacking or (needed.any and len(lacking) < len(needed.parts))
        return None if enough else min(lacking)

    async def _scraped(self, series: str) -> bool:
        return bool(await self._ask(f"count({series})"))

    async def _ask(self, expr: str) -> list[Sample]:
        return await self._prometheus.query(expr)


class AlertEvidence(Evidence):
    """The questions about one alert: each asks Prometheus one thing and can end the look."""

    def __init__(self, prometheus: Prometheus, rules: Sequence[Rule], rule: Rule, labels: Mapping[str, str]) -> None:
        super().__init__(prometheus, rules)
        self._rule = rule
        self._own = _own_labels(rule, labels)
        self._hidden = {*rule.labels, names.ALERTNAME} - self._own.keys()
        # the rule says whose bands to ask for: an alert's labels are whatever a target or a sender put there
        self._detector = rule.labels.get(names.DETECTOR)

    async def fires(self, *, at: datetime | None = None) -> bool:
        return bool(await self._ask(self._rule.expr, at=at))

    async def look(self, fired_at: datetime) -> Look:
        """What a false expression means."""
        decisive = comparisons(self._rule.expr)
        if not decisive:
            return Look(Sight.BLIND, "the alert's expression has no comparison: its absence shows nothing")
        # What was usual when it fired is what was so before its expression became true.
        before = fired_at - timedelta(seconds=self._rule.held + self._rule.interval)
        for comparison in decisive:
            blind = (
                await self._filtered(comparison)
                or await self._absent(comparison)
                or await self._unscraped(comparison.watched)
                or await self._learned(comparison, before)
            )
            if blind:
                return Look(Sight.BLIND, blind)
        learned = await self._learned_by_detector(fired_at, before)
        if learned:
            return Look(Sight.BLIND, learned)
        return Look(Sight.QUIET, "the alert's expression is false, with samples behind it")

    async def _filtered(self, comparison: Comparison) -> str | None:
        """True on its own and yet not firing: what follows `and` or `unless` has filtered it out."""
        if comparison.text != self._rule.expr and await self._ask(comparison.text):
            return "the watched value still breaches; it only no longer meets the conditions beside it"
        return None

    async def _absent(self, comparison: Comparison) -> str | None:
        if not any(sample.usable for sample in await self._ask(comparison.watched)):
            return "the watched series has no samples"
        if comparison.bound and not any(s.usable for s in await self._ask(comparison.bound, leniently=True)):
            return "what the value is compared with has no samples"
        return None

    async def _learned(self, comparison: Comparison, before: datetime) -> str | None:
        """Quiet against today's baseline: is it so against the one of then?"""
        then = None if self._detector else frozen(comparison.text, before, self._rules)
        for each in comparisons(then) if then else ():
            if await self._ask(each.text):
                return LEARNED
            # NaN will do here: a series that was flat has no deviation to be judged by
            known = await self._ask(each.watched)
            if not known or (each.bound and not await self._ask(each.bound, leniently=True)):
                return "there is no telling what was usual when it fired"
        return None

    async def _learned_by_detector(self, fired_at: datetime, before: datetime) -> str | None:
        """The same for our own rules, which record their bands."""
        if self._detector is None:
            return None
        value, was, upper, lower = [
            await self._number(name, self._detector, at)
            for name, at in (
                (names.VALUE, None),
                (names.VALUE, fired_at),
                (names.BAND_UPPER, before),
                (names.BAND_LOWER, before),
            )
        ]
        if value is None or was is None or upper is None or lower is None:
            return "there is no telling what was usual when it fired"
        above = was > upper and value > upper
        below = was < lower and value < lower
        return LEARNED if above or below else None

    async def _number(self, metric: str, detector: str, at: datetime | None) -> float | None:
        samples = await self._ask(selector(metric, {names.DETECTOR: detector}), at=at)
        usable = [sample.value for sample in samples if sample.usable]
        return usable[0] if usable else None

    async def _scraped(self, series: str) -> bool:
        by = ",".join(name if _PLAIN.fullmatch(name) else quoted(name) for name in sorted(self._own))
        return bool(await self._ask(f"count by ({by}) ({series})", leniently=True))

    async def _ask(self, expr: str, *, at: datetime | None = None, leniently: bool = False) -> list[Sample]:
        """The samples that are about this alert.

        A sample's labels must all be the alert's; `leniently`, those that both carry must agree.
        """
        samples = await self._prometheus.query(expr, at=at)
        return [sample for sample in samples if self._about(sample.labels, leniently=leniently)]

    def _about(self, labels: Mapping[str, str], *, leniently: bool) -> bool:
        for name, value in labels.items():
            if name == "__name__" or name in self._hidden or (leniently and name not in self._own):
                continue
            if self._own.get(name) != value:
                return False
        return True


def alerting_rules(rules: Sequence[Rule], labels: Mapping[str, str]) -> list[Rule]:
    """The rules that may have raised an alert: by its name, and by the labels that they set.

    Labels with templates are no help in telling rules apart; those that say most are taken.
    """
    fitting = [
        rule
        for rule in rules
        if rule.kind == "alerting"
        and rule.name == labels.get(names.ALERTNAME)
        and all("{{" in value or labels.get(name) == value for name, value in rule.labels.items())
    ]
    most = max((len(rule.labels) for rule in fitting), default=0)
    return [rule for rule in fitting if len(rule.labels) == most]


def _own_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of an alert that its series carry, as far as the rule has not written over them."""
    own = {name: value for name, value in labels.items() if name not in rule.labels and name != names.ALERTNAME}
    for name, text in rule.labels.items():
        copied = _COPIED.fullmatch(text.strip())
        if copied and name in labels:
            own.setdefault(copied[1], labels[name])
    if names.DETECTOR in rule.labels:  # our own series carry it, too
        own[names.DETECTOR] = rule.labels[names.DETECTOR]
    return own
