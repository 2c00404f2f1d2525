"""What rules tell of an alert: the labels that its target can be named by, its metrics, its words, and its numbers.

`find` is the door of a first playbook: past it everything is one Subject, however many rules raise the alert.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import promql_parser as promql

from receiver.conventions import ALERTNAME, DETECTOR, NUMBERS, SEVERITY, SUMMARY, VALUE
from receiver.documents import did_you_mean
from receiver.errors import AmendError
from receiver.lint.labels import Carried
from receiver.lint.rules import Rule, Rules, may_select

OURS: Final = VALUE.partition(":")[0] + ":"  #: what the series of a detector begin with
LARGEST: Final = 1e12  #: a bound beyond it is none that a person compares with: Inf, or a moment in milliseconds
SCRAPED: Final = ("job", "instance")  #: what Prometheus puts on whatever it scrapes

USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "kube_deployment_": ("namespace", "deployment"),
    "kube_statefulset_": ("namespace", "statefulset"),
    "kube_daemonset_": ("namespace", "daemonset"),
    "kube_pod_": ("namespace", "pod"),
    "kube_node_": ("node",),
}
"""Labels that metrics have which everybody knows, for expressions that say nothing of labels."""

_READ = re.compile(r"(?:\$labels|\.Labels)\.([a-zA-Z_][a-zA-Z0-9_]*)")
_NUMBER = re.compile(r'\{\{-?\s*(?:\$value|\.Value)\s*(?:\|\s*printf\s+"%(?:v|g|f|\.(\d+)[fg])"\s*)?-?\}\}')


class NoSuchAlert(AmendError):
    """No alerting rule has this name."""


@dataclass(frozen=True)
class Bounds:
    """The alert fires from here on: above, below, or past either; the loosest of its rules."""

    number: str  #: the annotation that holds what is compared
    above: float | None
    below: float | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One alert, as all the rules of its name tell of it."""

    name: str
    rules: tuple[Rule, ...]
    labels: frozenset[str]  #: that the alert carries, whichever of the rules raised it
    certain: bool  #: the expressions name their labels; otherwise some are taken for granted
    readable: bool  #: the expressions could be parsed
    metrics: frozenset[str]  #: scraped ones, through all recording rules
    looks_back: timedelta  #: the longest range of an expression: for so long the past keeps it true
    bounds: Bounds | None

    @property
    def severities(self) -> tuple[str, ...]:
        """Empty where one of the rules does not say outright."""
        found = [rule.sets(SEVERITY) or "" for rule in self.rules]
        return tuple(dict.fromkeys(found)) if all(found) else ()

    @property
    def needed(self) -> timedelta:
        """How long the slowest rule takes to change its mind."""
        return max(rule.held + rule.interval for rule in self.rules)

    @property
    def generated(self) -> bool:
        return all(rule.sets(DETECTOR) for rule in self.rules)

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(number for number in NUMBERS if self.annotates(number))

    def annotates(self, name: str) -> bool:
        return all(name in rule.annotations for rule in self.rules)

    def fixed(self) -> Mapping[str, str]:
        """The labels of the first rule that are the same for every alert of it."""
        texts = {label: self.rules[0].sets(label) for label in self.rules[0].labels}
        return {label: text for label, text in texts.items() if text}

    @property
    def from_series(self) -> tuple[str, ...]:
        """The labels that tell one alert of this name from another."""
        return tuple(sorted(self.labels - {ALERTNAME, *self.rules[0].labels}))

    @property
    def unusual(self) -> bool:
        """It compares with what is usual, and not with a bound that somebody set."""
        return all("usual" in rule.annotations.get(SUMMARY, "") for rule in self.rules)


def find(name: str, rules: Rules) -> Subject:
    """The alert of this name; NoSuchAlert with the way out."""
    found = tuple(rule for rule in rules.alerts if rule.alert == name)
    if not found:
        recorded = next((rule for rule in rules.every if rule.record == name), None)
        if recorded:
            told = f'"{name}" is a series that {recorded.place} records; a playbook answers alerts, so name an alert'
            raise NoSuchAlert(told)
        known = sorted({rule.alert for rule in rules.alerts})
        if not known:
            raise NoSuchAlert(f'no alert is called "{name}": the rules have no alert at all; name others with --rules')
        raise NoSuchAlert(f'no alert is called "{name}"{_near(name, known)}')
    behind = [_Behind(rules, rule) for rule in found]
    each = [_labels(rules.carried(rule), rule, told) for rule, told in zip(found, behind, strict=True)]
    return Subject(
        name=name,
        rules=found,
        labels=frozenset.intersection(*each),
        certain=not any(rules.carried(rule).any for rule in found),
        readable=all(told.readable for told in behind),
        metrics=frozenset(metric for told in behind for metric in told.metrics),
        looks_back=max((span for told in behind for span in told.ranges), default=timedelta()),
        bounds=_bounds(found),
    )


def _near(name: str, known: list[str]) -> str:
    """The name that was meant; of hundreds, not all are told."""
    folded = {each.lower(): each for each in known}
    if name.lower() in folded:
        return f'; did you mean "{folded[name.lower()]}"?'
    near = did_you_mean(name, known)
    if near.startswith("; did you mean"):
        return near
    some = ", ".join(known[:5])
    return f"; known here: {some}" + (f" and {len(known) - 5} more" if len(known) > 5 else "")


class _Behind:
    """The metrics, matchers and ranges that an alert comes of, through recording rules."""

    def __init__(self, rules: Rules, rule: Rule) -> None:
        self.metrics: set[str] = set()
        self.matched: set[str] = set()
        self.ranges: list[timedelta] = []
        self.readable = True
        self._rules = rules
        self._seen: set[Rule] = set()
        self._follow(rule)

    def _follow(self, rule: Rule) -> None:
        self._seen.add(rule)
        try:
            tree = promql.parse(rule.expr)
        except ValueError:
            self.readable = False
            return
        for node in _nodes(tree):
            if isinstance(node, promql.MatrixSelector | promql.SubqueryExpr):
                self.ranges.append(node.range or timedelta())
            elif isinstance(node, promql.VectorSelector):
                self._select(node)

    def _select(self, selector: promql.VectorSelector) -> None:
        name = selector.name or ""
        # what a band remembers reaches back for weeks; what it watches is the value
        wanted = VALUE if name.startswith(OURS) else name
        sources = [
            each for each in self._rules.every if wanted and each.record == wanted and may_select(selector, each)
        ]
        for source in sources:
            if source not in self._seen:
                self._follow(source)
        for matcher in selector.matchers.matchers:
            if matcher.name == "__name__":
                self.metrics.add(matcher.value)
            elif matcher.op in (promql.MatchOp.Equal, promql.MatchOp.Re) and matcher.value:
                self.matched.add(matcher.name)
        if name and not sources:
            self.metrics.add(name)


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    match node:
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr() | promql.AggregateExpr():
            yield from _nodes(node.expr)
        case promql.BinaryExpr():
            yield from _nodes(node.lhs)
            yield from _nodes(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from _nodes(argument)


def _labels(carried: Carried, rule: Rule, behind: _Behind) -> frozenset[str]:
    """The labels that an alert of the rule has for sure, or by all that is known of it."""
    if not carried.any:
        return carried.named
    texts = (*rule.annotations.values(), *rule.labels.values())
    likely = {name for text in texts for name in _READ.findall(text)} | behind.matched
    likely |= {
        label
        for begin, labels in USUAL.items()
        if behind.metrics and all(metric.startswith(begin) for metric in behind.metrics)
        for label in labels
    }
    if behind.readable:
        likely |= {*SCRAPED}
    return carried.named | {label for label in likely if label in carried}


def _bounds(rules: Sequence[Rule]) -> Bounds | None:
    """Where all the rules compare the same number, which they put into an annotation, with a bound of their own."""
    for number in NUMBERS:
        found = [_compared(rule, number) for rule in rules]
        if all(found):
            above = [bound for pairs in found for operator, bound in pairs if operator == ">"]
            below = [bound for pairs in found for operator, bound in pairs if operator == "<"]
            return Bounds(number, min(above, default=None), max(below, default=None))
    return None


def _compared(rule: Rule, number: str) -> list[tuple[str, float]]:
    written = _NUMBER.fullmatch(rule.annotations.get(number, "").strip())
    if not written:
        return []
    try:
        pairs = list(_comparisons(promql.parse(rule.expr)))
    except ValueError:
        return []
    digits = int(written[1] or 4)
    # an annotation of few digits may round an alert's number to the other side of its bound
    return pairs if all(round(bound, digits) == bound and bound == float(f"{bound:.4g}") for _, bound in pairs) else []


def _comparisons(node: Any) -> Iterable[tuple[str, float]]:
    """`x > 3 or x < -3` as its two bounds; ValueError where it is anything else."""
    match node:
        case promql.ParenExpr():
            return _comparisons(node.expr)
        case promql.BinaryExpr() if str(node.op) == "or":
            return [*_comparisons(node.lhs), *_comparisons(node.rhs)]
        case promql.BinaryExpr() if (
            str(node.op) in {">", ">=", "<", "<="} and (bound := _literal(node.rhs)) is not None
        ):
            if node.modifier is not None and node.modifier.return_bool:
                raise ValueError("bool makes another number of it")
            return [(str(node.op)[0], bound)] if abs(bound) < LARGEST else []
        case _:
            raise ValueError("no comparison with a number")


def _literal(node: Any) -> float | None:
    match node:
        case promql.NumberLiteral():
            return float(node.val)
        case promql.ParenExpr():
            return _literal(node.expr)
        case promql.UnaryExpr() if (inner := _literal(node.expr)) is not None:
            return -inner
        case _:
            return None


def in_words(name: str) -> str:
    """`HttpLatencyAnomaly` as `http latency anomaly`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+", " ", name)
    return apart.lower().strip()
