"""Did it help? Looks at the alert's own expression, at the samples behind it, and at the workload.

The pipeline asks again and again until the verdict is in. Silence is never success: without samples, with a filtered
value or a baseline that has learned the fault the verdict is `unknown`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from receiver import conventions as names
from receiver.errors import AmendError
from receiver.evidence import Comparison, Sources, first_comparison, frozen, holds, sources
from receiver.playbook import Verify
from receiver.prometheus import Prometheus, Rule, Sample
from receiver.run import Episode, Outcome
from receiver.workload import Workload


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


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A verification under way, as it is kept with the run."""

    since: datetime  #: when the steps were done
    fired_at: datetime  #: when the alert began: what the baseline was then
    quiet_since: datetime | None = None
    last: Look = Look(Sight.BLIND, "not looked yet")

    @classmethod
    def from_state(cls, state: Mapping[str, str | None]) -> "Watch":
        quiet = state.get("quiet_since")
        return cls(
            since=datetime.fromisoformat(state["since"] or ""),
            fired_at=datetime.fromisoformat(state["fired_at"] or ""),
            quiet_since=datetime.fromisoformat(quiet) if quiet else None,
            last=Look(Sight(state["sight"] or "blind"), state["why"] or ""),
        )

    def as_state(self) -> dict[str, str | None]:
        return {
            "since": self.since.isoformat(),
            "fired_at": self.fired_at.isoformat(),
            "quiet_since": self.quiet_since.isoformat() if self.quiet_since else None,
            "sight": self.last.sight,
            "why": self.last.why,
        }


@dataclass(frozen=True)
class Verdict:
    """The outcome, and what it rests on."""

    outcome: Outcome
    why: str


def judge(watch: Watch, look: Look, verify: Verify, *, now: datetime) -> tuple[Watch, Verdict | None]:
    """What a new look makes of the verification: go on watching, or a verdict."""
    quiet_since = (watch.quiet_since or now) if look.sight is Sight.QUIET else None
    seen = Watch(since=watch.since, fired_at=watch.fired_at, quiet_since=quiet_since, last=look)
    if quiet_since and now - quiet_since >= verify.absent_for:
        return seen, Verdict(Outcome.FIXED, look.why)
    if now - watch.since < verify.deadline:
        return seen, None
    outcome = Outcome.NOT_FIXED if look.sight is Sight.FIRING else Outcome.UNKNOWN
    why = look.why if look.sight is not Sight.QUIET else "false only since a moment ago: not long enough to tell"
    return seen, Verdict(outcome, why)


class Verifier:
    """Looks with Prometheus' eyes."""

    def __init__(self, prometheus: Prometheus | None) -> None:
        self._prometheus = prometheus

    async def look(self, verify: Verify, episode: Episode, workload: Workload | None, *, fired_at: datetime) -> Look:
        """One look at everything that `verify` asks for; the least favourable part decides."""
        looks = [Look(Sight.QUIET, "")]
        if verify.healthy:
            looks.append(_health(workload))
        if verify.query is not None:
            looks.append(await self._query(verify.query))
        if verify.resolved_within is not None:
            looks.append(await self._expression(episode, fired_at))
        order = (Sight.FIRING, Sight.BLIND, Sight.QUIET)
        worst = min(looks, key=lambda look: order.index(look.sight))
        if worst.sight is Sight.QUIET:
            return Look(Sight.QUIET, "; ".join(look.why for look in looks if look.why))
        return worst

    async def _query(self, expr: str) -> Look:
        if self._prometheus is None:
            return Look(Sight.BLIND, "no Prometheus is configured")
        try:
            samples = await self._prometheus.query(expr)
        except AmendError as error:
            return Look(Sight.BLIND, str(error))
        if holds(samples, expr):
            return Look(Sight.QUIET, f"true: {expr}")
        return Look(Sight.FIRING, f"not true: {expr}")

    async def _expression(self, episode: Episode, fired_at: datetime) -> Look:
        if self._prometheus is None:
            return Look(Sight.BLIND, "no Prometheus is configured")
        try:
            rules = await self._prometheus.rules()
            rule = alerting_rule(rules, episode.labels)
            if rule is None:
                return Look(Sight.BLIND, f'Prometheus has no rule for the alert "{episode.alertname}" with its labels')
            return await _Evidence(self._prometheus, rules, rule, episode).look(fired_at)
        except AmendError as error:
            return Look(Sight.BLIND, str(error))
        except ValueError as error:
            return Look(Sight.BLIND, f"the rule's expression is in a dialect that cannot be read: {error}")


class _Evidence:
    """The questions about one alert: each asks Prometheus one thing and can end the look."""

    def __init__(self, prometheus: Prometheus, rules: Sequence[Rule], rule: Rule, episode: Episode) -> None:
        self._prometheus = prometheus
        self._rules = rules
        self._rule = rule
        self._labels = episode.labels

    async def look(self, fired_at: datetime) -> Look:
        if await self._ask(self._rule.expr):
            return Look(Sight.FIRING, "the alert's expression is still true")
        comparison = first_comparison(self._rule.expr)
        if comparison is None:
            return Look(Sight.BLIND, "the alert's expression has no comparison: its absence shows nothing")
        blind = (
            await self._filtered(comparison)
            or await self._absent(comparison)
            or await self._unscraped(comparison)
            or await self._learned(fired_at)
        )
        if blind:
            return Look(Sight.BLIND, blind)
        return Look(Sight.QUIET, "the alert's expression is false, with samples behind it")

    async def _filtered(self, comparison: Comparison) -> str | None:
        """True on its own and yet not firing: what follows `and` or `unless` has filtered it out."""
        if comparison.text != self._rule.expr and await self._ask(comparison.text):
            return "the watched value still breaches; it only no longer meets the conditions beside it"
        if names.DETECTOR not in self._rule.labels:
            return None
        for each in comparison.filters:  # of our own rules we know that these are about enough traffic to judge
            if not await self._ask(each, leniently=True):
                return "there is not enough traffic to judge"
        return None

    async def _absent(self, comparison: Comparison) -> str | None:
        if not any(sample.usable for sample in await self._ask(comparison.watched)):
            return "the watched series has no samples"
        if comparison.bound and not any(s.usable for s in await self._ask(comparison.bound, leniently=True)):
            return "what the value is compared with has no samples"
        return None

    async def _unscraped(self, comparison: Comparison) -> str | None:
        """rate() and recorded series outlive a failed scrape for minutes; the scraped series do not."""
        return await self._missing(sources(comparison.watched, self._rules))

    async def _missing(self, needed: Sources | str) -> str | None:
        if isinstance(needed, str):
            by = ",".join(name for name in sorted(self._labels) if name not in self._added)
            if await self._ask(f"count by ({by}) ({needed})", leniently=True):
                return None
            return f"{needed} has no current samples: the scrape fails, or the series is gone"
        missing = [await self._missing(part) for part in needed.parts]
        lacking = sorted(each for each in missing if each)
        if not lacking or (needed.any and len(lacking) < len(missing)):
            return None
        return lacking[0]

    async def _learned(self, fired_at: datetime) -> str | None:
        """Quiet against today's baseline, yet still a breach of the one that was in force when the alert fired."""
        told = "the value has not come back: the baseline has learned the fault"
        detector = self._rule.labels.get(names.DETECTOR) or self._labels.get(names.DETECTOR)
        if detector is None:
            then = frozen(self._rule.expr, fired_at)
            return told if then and await self._ask(then) else None
        value, was, upper, lower = [
            await self._number(name, detector, at)
            for name, at in (
                (names.VALUE, None),
                (names.VALUE, fired_at),
                (names.BAND_UPPER, fired_at),
                (names.BAND_LOWER, fired_at),
            )
        ]
        if value is None or was is None:
            return None
        above = upper is not None and was > upper and value > upper
        below = lower is not None and was < lower and value < lower
        return told if above or below else None

    async def _number(self, metric: str, detector: str, at: datetime | None) -> float | None:
        samples = await self._ask(f'{metric}{{detector="{detector}"}}', at=at)
        usable = [sample.value for sample in samples if sample.usable]
        return usable[0] if usable else None

    @property
    def _added(self) -> set[str]:
        """Labels that the rule puts on the alert: the series do not carry them."""
        return {*self._rule.labels, names.ALERTNAME}

    async def _ask(self, expr: str, *, at: datetime | None = None, leniently: bool = False) -> list[Sample]:
        """The samples that are about this alert.

        A sample's labels must all be the alert's; `leniently`, those that both carry must agree.
        """
        samples = await self._prometheus.query(expr, at=at)
        own = {name: value for name, value in self._labels.items() if name not in self._added}
        detector = self._rule.labels.get(names.DETECTOR)
        if detector:
            own[names.DETECTOR] = detector
        return [sample for sample in samples if _about(sample.labels, own, leniently)]


def _about(labels: Mapping[str, str], own: Mapping[str, str], leniently: bool) -> bool:
    for name, value in labels.items():
        if name == "__name__" or (leniently and name not in own):
            continue
        if own.get(name) != value:
            return False
    return True


def alerting_rule(rules: Sequence[Rule], labels: Mapping[str, str]) -> Rule | None:
    """The rule that raised an alert: by its name, and by the labels that it sets.

    Labels with templates are no help in telling rules apart; of several that fit, the one that says most is taken.
    """
    fitting = [
        rule
        for rule in rules
        if rule.kind == "alerting"
        and rule.name == labels.get(names.ALERTNAME)
        and all("{{" in value or labels.get(name) == value for name, value in rule.labels.items())
    ]
    return max(fitting, key=lambda rule: len(rule.labels), default=None)


def _health(workload: Workload | None) -> Look:
    if workload is None:
        return Look(Sight.BLIND, "the workload cannot be looked at")
    if workload.healthy:
        return Look(Sight.QUIET, f"{workload} is healthy")
    return Look(Sight.FIRING, f"{workload} is not healthy: {workload.why}")
