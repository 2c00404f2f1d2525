"""The numbers of a first playbook: its condition, its limits, and how long it waits to see whether it helped.

The texts of the playbook and of its test are written from the same plan, so that the one fits the other.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from receiver.first_playbook.aim import Aim
from receiver.first_playbook.cure import Remedy
from receiver.first_playbook.subject import Bounds, Subject

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

ROUND: Final = (
    *(each * MINUTE for each in (10, 15, 20, 30, 45, 60, 90)),
    *(each * HOUR for each in (2, 3, 4, 6, 8, 12)),
    *(each * DAY for each in (1, 2, 3, 5, 7, 14)),
)
"""Durations that people write."""

LONGEST_LOOK: Final = 6 * HOUR  #: a range beyond it is waited for by nobody
ABSENT: Final = 2 * MINUTE
HALF_AS_MUCH: Final = 50.0  #: percent away from what is usual: less is little, however even the series is

COOLDOWNS: Final = {
    Remedy.RESTART: 30 * MINUTE,
    Remedy.DELETE_POD: 30 * MINUTE,
    Remedy.SCALE: 30 * MINUTE,
    Remedy.CORDON: HOUR,
    Remedy.ANALYZE: MINUTE,
}
ATTEMPTS: Final = {
    Remedy.RESTART: 2,
    Remedy.DELETE_POD: 1,
    Remedy.SCALE: 2,
    Remedy.CORDON: 1,
    Remedy.ANALYZE: 1,
}


@dataclass(frozen=True)
class Comparison:
    """One part of the condition."""

    number: str
    operator: str  #: `>=` or `<=`
    bound: float

    def __str__(self) -> str:
        return f"{self.number} {self.operator} {self.bound:g}"

    @property
    def far(self) -> float:
        """A number that holds without doubt."""
        return self.bound + (1 if self.operator == ">=" else -1) * max(1.0, abs(self.bound))

    @property
    def short(self) -> float:
        """One that does not hold."""
        return self.bound + (-1 if self.operator == ">=" else 1) * max(1.0, abs(self.bound)) / 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is counted."""

    remedy: Remedy
    condition: tuple[Comparison, ...]  #: all of which must hold
    either: bool  #: one of which must hold
    cooldown: timedelta
    attempts: int
    within: timedelta
    resolved_within: timedelta | None  #: None where no Prometheus can be asked
    healthy: bool

    @property
    def acts(self) -> bool:
        return self.remedy is not Remedy.ANALYZE

    @property
    def verified(self) -> bool:
        """Somebody looks whether it helped. Of those who only tell it would hold back what they tell of others."""
        return self.acts and (self.healthy or self.resolved_within is not None)

    @property
    def deadline(self) -> timedelta:
        return (self.resolved_within or 5 * MINUTE) + ABSENT

    @property
    def condition_text(self) -> str:
        return (" or " if self.either else " and ").join(map(str, self.condition))


def plan(subject: Subject, aim: Aim | None, remedy: Remedy, *, asks_prometheus: bool) -> Plan:
    acts = remedy is not Remedy.ANALYZE
    condition, either = _condition(subject, acts=acts)
    resolved = (
        _rounded(subject.needed + min(subject.looks_back, LONGEST_LOOK) + 5 * MINUTE) if asks_prometheus else None
    )
    healthy = aim is not None and aim.kind not in {"Pod", "Node"}
    cooldown, attempts = COOLDOWNS[remedy], ATTEMPTS[remedy]
    once = (resolved or 5 * MINUTE) + ABSENT + cooldown
    return Plan(
        remedy=remedy,
        condition=condition,
        either=either,
        cooldown=cooldown,
        attempts=attempts,
        within=_rounded(max(6 * HOUR, (attempts + 1) * once)),
        resolved_within=resolved,
        healthy=acts and healthy,
    )


def _condition(subject: Subject, *, acts: bool) -> tuple[tuple[Comparison, ...], bool]:
    bounds = subject.bounds
    if bounds is None:
        return (), False
    above = [Comparison(bounds.number, ">=", bounds.above)] if bounds.above is not None else []
    below = [Comparison(bounds.number, "<=", bounds.below)] if bounds.below is not None else []
    if not acts:
        return (*above, *below), True
    if not above:
        return tuple(below), False
    return (*above, *_much(subject, bounds)), False


def _much(subject: Subject, bounds: Bounds) -> list[Comparison]:
    """How far from what is usual it must be, where the rule tells that, beside how unusual it is."""
    if subject.unusual and bounds.number != "deviation_percent" and "deviation_percent" in subject.numbers:
        return [Comparison("deviation_percent", ">=", HALF_AS_MUCH)]
    return []


def _rounded(span: timedelta) -> timedelta:
    """Up to a duration that people write, and longer than `span`."""
    return next((each for each in ROUND if each > span), timedelta(days=span.days + 1))


def numbers(subject: Subject, plan: Plan) -> dict[str, float]:
    """Numbers of an alert for which the condition holds, and those that messages tell."""
    told = {number: usual for number, usual in (("value", 0.9), ("mean", 0.3)) if number in subject.numbers}
    return told | {each.number: each.far for each in (plan.condition[:1] if plan.either else plan.condition)}


def too_small(plan: Plan) -> dict[str, float] | None:
    """Numbers for which it does not hold; None without a condition, or where none are plainly so."""
    if not plan.condition:
        return None
    if plan.either and len(plan.condition) > 1:
        low, high = sorted(each.bound for each in plan.condition)
        return {plan.condition[0].number: (low + high) / 2} if low < high else None
    return {plan.condition[-1].number: plan.condition[-1].short}
