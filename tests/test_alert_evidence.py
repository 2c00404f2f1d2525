"""Which of Prometheus' rules an alert is, and what an alert's labels may ask."""

import asyncio
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import promql_parser

from receiver import conventions as names
from receiver.alert_evidence import alerting_rules
from receiver.labels import quoted
from receiver.playbook import Verify
from receiver.prometheus import Prometheus, Rule, Sample
from receiver.run import Episode
from receiver.verify import Verifier

START = datetime(2026, 3, 2, tzinfo=UTC)
VERIFY = Verify.model_validate({"resolved_within": "60s", "absent_for": "20s"})


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
