"""The rules that playbooks react to, from rule files or from a running Prometheus.

`amend check` reads them here; the checks ask which alerts there are, and which labels and annotations they carry.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import promql_parser as promql
import yaml

from receiver.conventions import ALERTNAME
from receiver.documents import Document, Place, load
from receiver.durations import parse_duration
from receiver.errors import AmendError, ConfigError, ConfigErrors
from receiver.lint.labels import NOTHING, Carried, carried
from receiver.matchers import Matcher

INTERVAL = timedelta(minutes=1)  #: Prometheus' own default between two evaluations
PATIENCE = 10.0  #: seconds for one answer of Prometheus


class NoRules(AmendError):
    """The running Prometheus did not tell its rules."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rule:
    """One alerting or recording rule; two that say the same are still two."""

    place: str  #: `rules/shop.rules.yml:14`, or the Prometheus and the group
    alert: str  #: the alert's name; empty for a recording rule
    record: str  #: the series' name; empty for an alerting rule
    expr: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    held: timedelta  #: `for`
    interval: timedelta

    def sets(self, label: str) -> str | None:
        """The text that the rule itself gives a label; None where it comes from the series or from a template."""
        text = self.alert if label == ALERTNAME else self.labels.get(label)
        return None if text is None or "{{" in text else text


@dataclass(frozen=True)
class Rules:
    """All rules there are, and the labels that Prometheus adds to every alert."""

    every: tuple[Rule, ...]
    external: frozenset[str] = frozenset()
    external_known: bool = False  #: asked of Prometheus; rule files do not tell

    @cached_property
    def alerts(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.every if rule.alert)

    def fitting(self, matchers: Iterable[Matcher]) -> list[Rule]:
        """The alerting rules whose alerts can satisfy every matcher."""
        wanted = tuple(matchers)
        return [rule for rule in self.alerts if all(self.can_match(rule, matcher) for matcher in wanted)]

    def can_match(self, rule: Rule, matcher: Matcher) -> bool:
        """Whether an alert of the rule can satisfy a matcher: yes, unless the rule shows that it cannot."""
        text = rule.sets(matcher.name)
        if text is not None:
            return matcher.matches({matcher.name: text})
        return matcher.name in self.carried(rule) or matcher.matches({})

    def carried(self, rule: Rule) -> Carried:
        """The labels that an alert of the rule may carry."""
        if rule not in self._carried:
            self._carried[rule] = self._labels(rule, frozenset()).plus({*self.external, ALERTNAME})
        return self._carried[rule]

    @cached_property
    def _carried(self) -> dict[Rule, Carried]:
        return {}

    @cached_property
    def _recorded(self) -> dict[str, list[Rule]]:
        recorded: dict[str, list[Rule]] = {}
        for rule in self.every:
            if rule.record:
                recorded.setdefault(rule.record, []).append(rule)
        return recorded

    def _labels(self, rule: Rule, within: frozenset[Rule]) -> Carried:
        def recorded(selector: promql.VectorSelector) -> Carried | None:
            sources = [each for each in self._recorded.get(selector.name or "", []) if may_select(selector, each)]
            if not sources:
                return None
            result = NOTHING
            for source in sources:
                # a rule that reads what it records adds no label of its own by doing so
                result |= NOTHING if source in within else self._labels(source, within | {source})
            return result

        return carried(rule.expr, recorded).plus(rule.labels)


def may_select(selector: promql.VectorSelector, rule: Rule) -> bool:
    """Whether a selector can take series that the rule records, by the labels that the rule sets."""
    for matcher in selector.matchers.matchers:
        text = rule.sets(matcher.name)
        if text is not None and matcher.op == promql.MatchOp.Equal and matcher.value != text:
            return False
    return True


def read(paths: Iterable[Path]) -> Rules:
    """The rules of rule files; ConfigErrors with what is no rule in them."""
    rules: list[Rule] = []
    errors: list[ConfigError] = []
    for path in paths:
        try:
            rules.extend(_of_file(load(path)))
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise ConfigErrors(errors)
    return Rules(tuple(rules))


def _of_file(document: Document) -> Iterator[Rule]:
    value = document.value if isinstance(document.value, dict) else {}
    if "tests" in value and "groups" not in value:  # promtool's unit tests, caught by `--rules generated/*.yml`
        return
    groups = value.get("groups")
    if not isinstance(groups, list):
        raise document.error((), 'not a rule file: a list "groups" is expected, as Prometheus reads it')
    for index, group in enumerate(groups):
        place: Place = ("groups", index)
        if not isinstance(group, dict) or not isinstance(group.get("rules", []), list):
            raise document.error(place, 'not a rule group: "name" and a list "rules" are expected')
        interval = _duration(document, (*place, "interval"), group.get("interval"), INTERVAL)
        for number, rule in enumerate(group.get("rules", [])):
            yield _of_item(document, (*place, "rules", number), rule, interval)


def _of_item(document: Document, place: Place, item: Any, interval: timedelta) -> Rule:
    if not isinstance(item, dict) or not isinstance(item.get("expr"), str | int | float):
        raise document.error(place, 'not a rule: "alert" or "record", and "expr" are expected')
    return Rule(
        place=f"{document.path}:{document.line(place)}",
        alert=str(item.get("alert") or ""),
        record=str(item.get("record") or ""),
        expr=str(item["expr"]),
        labels=_texts(document, place, item, "labels"),
        annotations=_texts(document, place, item, "annotations"),
        held=_duration(document, (*place, "for"), item.get("for"), timedelta()),
        interval=interval,
    )


def _texts(document: Document, place: Place, item: Mapping[str, Any], key: str) -> Mapping[str, str]:
    texts = item.get(key) or {}
    if not isinstance(texts, dict):
        raise document.error((*place, key), f'"{key}" must be a mapping (key: value)')
    return {str(name): str(text) for name, text in texts.items()}


def _duration(document: Document, place: Place, value: Any, default: timedelta) -> timedelta:
    if value is None:
        return default
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise document.error(place, str(error)) from error


def ask(url: str) -> Rules:
    """The rules that a running Prometheus evaluates; NoRules when it does not tell."""
    groups = _ask(url, "rules").get("groups", [])
    config = yaml.load(_ask(url, "status/config").get("yaml", ""), yaml.CSafeLoader) or {}
    external = (config.get("global") or {}).get("external_labels") or {}
    rules = tuple(_of_answer(url, group, item) for group in groups for item in group.get("rules", []))
    return Rules(rules, frozenset(external), external_known=True)


def _of_answer(url: str, group: Mapping[str, Any], item: Mapping[str, Any]) -> Rule:
    alerting = item["type"] == "alerting"
    return Rule(
        place=f"{url} (group {group['name']})",
        alert=item["name"] if alerting else "",
        record="" if alerting else item["name"],
        expr=item["query"],
        labels=item.get("labels") or {},
        annotations=item.get("annotations") or {},
        held=timedelta(seconds=item.get("duration", 0)),
        interval=timedelta(seconds=group.get("interval", INTERVAL.total_seconds())),
    )


def _ask(url: str, what: str) -> Mapping[str, Any]:
    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v1/{what}", timeout=PATIENCE, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoRules(f"cannot reach Prometheus at {url}: {error}; is it running? (--prometheus)") from error
    except ValueError as error:
        raise NoRules(f"{url} answers, but not as Prometheus does; check --prometheus") from error
    if not isinstance(body, dict) or body.get("status") != "success":
        raise NoRules(f"Prometheus at {url} does not tell its {what}: HTTP {answer.status_code} (--prometheus)")
    data: Mapping[str, Any] = body["data"]
    return data
