"""What one look makes of a verification, and which of Prometheus' rules an alert is."""

import asyncio
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import promql_parser
import pytest

from receiver import conventions as names
from receiver.labels import quoted
from receiver.playbook import Verify
from receiver.prometheus import Prometheus, Rule, Sample
from receiver.run import Episode, Outcome
from receiver.verify import Look, Sight, Verifier, Watch, alerting_rules, judge

START = datetime(2026, 3, 2, tzinfo=UTC)
VERIFY = Verify.model_validate({"resolved_within": "60s", "absent_for": "20s"})

FIRING = Look(Sight.FIRING, "still true")
QUIET = Look(Sight.QUIET, "false, with samples")
BLIND = Look(Sight.BLIND, "no samples")


def verdict(*looks: tuple[float, Look]) -> tuple[Outcome, float] | None:
    """The outcome of a verification with these looks (seconds after its begin), and when it came."""
    watch = Watch(since=START, fired_at=START)
    for seconds, look in looks:
        watch, found = judge(watch, look, VERIFY, now=START + timedelta(seconds=seconds))
        watch = Watch.from_state(watch.as_state())  # as it is kept between two looks
        if found:
            return found.outcome, seconds
    return None


def every(step: float, look: Look, *, since: float = 0, until: float = 200) -> list[tuple[float, Look]]:
    return [(since + number * step, look) for number in range(int((until - since) / step) + 1)]


def test_what_stays_false_is_fixed_as_soon_as_it_has_been_so_for_absent_for() -> None:
    assert verdict(*every(5, QUIET)) == (Outcome.FIXED, 20)
    assert verdict(*every(5, FIRING, until=30), *every(5, QUIET, since=35)) == (Outcome.FIXED, 55)


def test_what_stays_true_is_not_fixed_at_the_deadline() -> None:
    assert verdict(*every(5, FIRING)) == (Outcome.NOT_FIXED, 80)


def test_what_cannot_be_seen_is_unknown_at_the_deadline() -> None:
    assert verdict(*every(5, BLIND)) == (Outcome.UNKNOWN, 80)


@pytest.mark.parametrize("between", [FIRING, BLIND])
def test_absent_for_begins_anew_after_anything_but_quiet(between: Look) -> None:
    looks = [*every(5, QUIET, until=15), (17, between), *every(5, QUIET, since=20)]
    assert verdict(*looks) == (Outcome.FIXED, 40)


def test_what_became_false_only_just_before_the_deadline_is_unknown() -> None:
    assert verdict(*every(5, FIRING, until=70), *every(5, QUIET, since=75)) == (Outcome.UNKNOWN, 80)


def test_a_long_time_without_a_look_proves_nothing() -> None:
    assert verdict((0, QUIET), (5, QUIET), (70, QUIET)) is None
    assert verdict((0, QUIET), (5, QUIET), (70, QUIET), (80, QUIET)) == (Outcome.UNKNOWN, 80)


# ── which rule it was ──


def rule(name: str = "Slow", *, expr: str = "x > 1", **labels: str) -> Rule:
    return Rule(kind="alerting", name=name, expr=expr, labels=labels, interval=15)


def test_an_alert_is_of_the_rule_with_its_name_and_the_labels_that_the_rule_sets() -> None:
    high, low = rule(severity="high"), rule(severity="low")
    rules = [rule("Other", severity="high"), low, high]
    assert alerting_rules(rules, {"alertname": "Slow", "severity": "high", "job": "a"}) == [high]
    assert alerting_rules(rules, {"alertname": "Slow"}) == []


def test_the_rule_that_says_most_is_taken_and_all_that_say_as_much() -> None:
    plain, first, second = rule(), rule(severity="high"), rule(severity="high", expr="y > 1")
    assert alerting_rules([plain, first, second], {"alertname": "Slow", "severity": "high"}) == [first, second]


def test_a_recording_rule_of_that_name_is_none() -> None:
    recorded = Rule(kind="recording", name="Slow", expr="x", labels={}, interval=15)
    assert alerting_rules([recorded], {"alertname": "Slow"}) == []


def test_a_label_with_a_template_rules_nothing_out() -> None:
    templated = rule(severity="{{ if gt $value 5.0 }}high{{ else }}low{{ end }}")
    assert alerting_rules([templated], {"alertname": "Slow", "severity": "low"}) == [templated]


# ── what an alert's labels may ask ──


class Overheard(Prometheus):
    """One that answers 1 to everything but the alert's own expression, and remembers what it was asked."""

    def __init__(self, rule: Rule) -> None:
        super().__init__("http://127.0.0.1")
        self.rule = rule
        self.asked: list[str] = []

    async def query(self, expr: str, *, at: datetime | None = None) -> list[Sample]:
        self.asked.append(expr)
        return [] if expr == self.rule.expr else [Sample({}, 1.0)]

    async def rules(self) -> list[Rule]:
        return [self.rule]


HOSTILE = 'x"} or vector(0) or y{z="'


def overheard(of: Rule, **labels: str) -> list[str]:
    prometheus = Overheard(of)
    whatever: dict[str, Any] = dict.fromkeys(each.name for each in fields(Episode))
    episode = Episode(**{**whatever, "labels": labels})
    asyncio.run(Verifier(prometheus).look(VERIFY, episode, None, fired_at=START))
    asyncio.run(prometheus.close())
    return prometheus.asked


def test_a_detector_that_only_the_alert_names_is_never_asked_for() -> None:
    asked = overheard(rule(), alertname="Slow", detector=HOSTILE)
    assert "x > 1" in asked
    assert not [expr for expr in asked if "vector(0)" in expr or names.BAND_UPPER in expr]


def test_the_bands_of_the_rules_own_detector_are_asked_for_by_its_quoted_name() -> None:
    asked = overheard(rule(detector=HOSTILE), alertname="Slow", detector=HOSTILE)
    (bands,) = {expr for expr in asked if expr.startswith(names.BAND_UPPER)}
    parsed: Any = promql_parser.parse(bands)
    (matcher,) = parsed.matchers.matchers
    assert (matcher.name, matcher.value) == (names.DETECTOR, HOSTILE)


def test_the_name_of_a_label_is_quoted_where_it_is_not_plain() -> None:
    name = 'a) (up) or vector(0) # "'
    asked = overheard(rule(), **{"alertname": "Slow", "job": "shop", name: "b"})
    assert [expr for expr in asked if "vector(0)" in expr] == [f"count by ({quoted(name)},job) (x{{}})"]
