"""What a running Prometheus scrapes: metrics with all their series, how often they come, and whether they move.

proposals.py asks it about one metric after the other. Each answer is bounded: of a metric with very many series a
sample is looked at, and numbers of series are counted by Prometheus.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

import promql_parser as promql

from receiver.labels import quoted
from receiver.rulegen.live import LivePrometheus, Metadata, NotThere, Sample

MOST_SAMPLED: Final = 2_000  #: series of one metric that are looked at
LATELY: Final = "1h"  #: the time in which a metric must have moved


class Kind(StrEnum):
    """What a metric is, as its exporter says or its name and labels show."""

    HISTOGRAM = "histogram"  #: with buckets as series of their own
    NATIVE = "native histogram"  #: with its buckets inside of its samples
    SUMMARY = "summary"
    COUNTER = "counter"
    GAUGE = "gauge"
    INFO = "info"  #: says something in labels, or which of some states holds
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Selection:
    """The part of all series that is looked at: one selector of the user's."""

    text: str  #: as it can be asked
    name: str | None  #: the metric that it names, if it names one
    matchers: tuple[str, ...]  #: those about labels, which every expression must repeat

    def of(self, metric: str, *more: str) -> str:
        """`metric{job="shop"}`: the part of a metric that is selected."""
        inner = ",".join((*self.matchers, *more))
        return f"{metric}{{{inner}}}" if inner else metric


EVERYTHING: Final = Selection('{__name__!=""}', None, ())


def selection(text: str) -> Selection:
    """ValueError with the way out, where it is no selector."""
    way_out = """write for example '{job="shop"}' or 'http_requests_total'"""
    try:
        tree = promql.parse(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no selector: {error}; {way_out}") from error
    if not isinstance(tree, promql.VectorSelector) or tree.offset or tree.at:
        raise ValueError(f"{text!r} is more than a selector; {way_out}")
    if tree.matchers.or_matchers:
        raise ValueError(f"{text!r} holds an `or`; give --match twice instead")
    kept = [(each.name, str(each.op), each.value) for each in tree.matchers.matchers if each.name != "__name__"]
    if odd := next((name for name, _, _ in kept if not is_plain(name)), None):
        raise ValueError(f"{text!r} names the label {odd!r}, which only Prometheus 3 can be asked for; {way_out}")
    return Selection(text, tree.name, tuple(f"{name}{_OPERATORS[op]}{visible(value)}" for name, op, value in kept))


_OPERATORS: Final = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def is_plain(name: str) -> bool:
    """A name that every Prometheus can be asked for without quotes."""
    return name.isascii() and name.isidentifier()


def visible(value: str) -> str:
    """A quoted value in printable characters alone: it goes into files that people read."""
    return "".join(each if each.isprintable() else _escape(each) for each in quoted(value))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A metric: everything that is scraped under one name, `_bucket`, `_sum` and `_count` included."""

    name: str
    kind: Kind
    unit: str  #: as its exporter says, which few do
    help: str
    series: int
    selection: Selection

    @property
    def selector(self) -> str:
        """What has one sample for each thing that is measured."""
        counted = self.kind is Kind.HISTOGRAM or (self.kind is Kind.SUMMARY and not self.has_quantiles)
        return self.selection.of(f"{self.name}_count" if counted else self.name)

    has_quantiles: bool = False


class Survey:
    """One look at a Prometheus."""

    def __init__(self, prometheus: LivePrometheus) -> None:
        self._prometheus = prometheus

    def families(self, selected: Selection) -> list[Family]:
        """Every metric of which a sample is at hand now, by name."""
        found = self._prometheus.instant(f"count by (__name__) ({selected.text})")
        counts = {each.labels["__name__"]: int(each.value) for each in found if "__name__" in each.labels}
        parts: dict[str, list[str]] = {}
        for name in sorted(counts):
            parts.setdefault(_family_name(name, counts, self._metadata), []).append(name)
        return [
            self._family(name, members, sum(counts[each] for each in members), selected)
            for name, members in sorted(parts.items())
        ]

    def jobs(self, selections: Iterable[Selection]) -> list[str]:
        """The names of the jobs that are looked at."""
        answers = [self._prometheus.instant(f"count by (job) ({selected.text})") for selected in selections]
        return sorted({each.labels["job"] for answer in answers for each in answer if each.labels.get("job")})

    def sample(self, family: Family) -> list[Sample]:
        """Its series with their values, or some of them where there are very many."""
        if family.kind is Kind.NATIVE:  # topk overlooks them; as a count, each has a value
            return self._prometheus.instant(f"count without (__name__) ({family.selector})")
        return self._prometheus.instant(f"topk({MOST_SAMPLED}, {family.selector})")

    def groups(self, family: Family, by: Sequence[str]) -> int:
        """How many series are left of it when it is aggregated by these labels."""
        return self._number(f"count(count by ({', '.join(by)}) ({family.selector}))")

    def buckets(self, family: Family) -> int:
        """How many bounds a histogram has."""
        return self._number(f"count(count by (le) ({family.selection.of(f'{family.name}_bucket')}))")

    def moved(self, selector: str) -> bool:
        """Whether any of these series changed lately."""
        return self._number(f"count(changes({selector}[{LATELY}]) > 0)") > 0

    def fell(self, selector: str) -> bool:
        """Whether any of them went down lately, as a counter does only when its process starts anew."""
        return self._number(f"count(resets({selector}[{LATELY}]) > 0)") > 0

    def is_switch(self, selector: str) -> bool:
        """Whether all of them were 0 or 1 all the time lately."""
        past = f"max_over_time({selector}[{LATELY}]) > 1 or min_over_time({selector}[{LATELY}]) < 0"
        return self._number(f"count({selector} % 1 != 0 or {past})") == 0

    def interval(self, jobs: Iterable[str]) -> timedelta | None:
        """How often the slowest of these jobs is scraped; None where Prometheus does not say."""
        return max((self._intervals[job] for job in jobs if job in self._intervals), default=None)

    def retention(self) -> timedelta | None:
        return self._prometheus.retention()

    @cached_property
    def recorded(self) -> frozenset[str]:
        """The names of the series that Prometheus' own rules make."""
        try:
            return frozenset(rule.name for rule in self._prometheus.rules() if rule.kind == "recording")
        except NotThere:
            return frozenset()

    @cached_property
    def _metadata(self) -> Mapping[str, Metadata]:
        try:
            return self._prometheus.metadata()
        except NotThere:
            return {}

    @cached_property
    def _intervals(self) -> Mapping[str, timedelta]:
        slowest: dict[str, timedelta] = {}
        try:
            targets = self._prometheus.targets()
        except NotThere:
            return slowest
        for target in targets:
            job = target.labels.get("job", "")
            if target.interval:
                slowest[job] = max(target.interval, slowest.get(job, timedelta()))
        return slowest

    def _number(self, expr: str) -> int:
        return sum(int(each.value) for each in self._prometheus.instant(expr))

    def _family(self, name: str, members: Sequence[str], series: int, selected: Selection) -> Family:
        told = self._metadata.get(name) or self._metadata.get(name.removesuffix("_total").removesuffix("_info"))
        return Family(
            name=name,
            kind=_kind(name, members, told.type if told else ""),
            unit=told.unit if told else "",
            help=told.help if told else "",
            series=series,
            selection=selected,
            has_quantiles=name in members,
        )


def _family_name(name: str, all_names: Iterable[str], metadata: Mapping[str, Metadata]) -> str:
    """`http_seconds` for `http_seconds_bucket`, where that is no metric of its own."""
    base, _, suffix = name.rpartition("_")
    if not base or suffix not in {"bucket", "sum", "count"} or name in metadata:
        return name
    if suffix == "bucket" or f"{base}_bucket" in all_names or base in metadata:
        return base
    return base if f"{base}_sum" in all_names and f"{base}_count" in all_names else name


def _kind(name: str, members: Sequence[str], told: str) -> Kind:
    if f"{name}_bucket" in members:
        return Kind.HISTOGRAM
    if name not in members or f"{name}_count" in members:
        return Kind.SUMMARY
    match told:
        case "counter" | "gauge" | "summary":
            return Kind(told)
        case "histogram" | "gaugehistogram":
            return Kind.NATIVE
        case "info" | "stateset":
            return Kind.INFO
    return Kind.COUNTER if name.endswith("_total") else Kind.UNKNOWN
