"""The detectors that fit a metric, by what it is, and why: what `amend rules init` knows about metrics.

choice.py asks for them, metric by metric; first_spec.py writes them down. Where none fits there is a reason.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from receiver.durations import format_duration
from receiver.rulegen.grouping import Grouping, group
from receiver.rulegen.live import Sample
from receiver.rulegen.presets import PRESETS
from receiver.rulegen.survey import LATELY, MOST_SAMPLED, Family, Kind, Survey, visible
from receiver.rulegen.vocabulary import (
    FAILED,
    FAILURES,
    MACHINES,
    NO_SUMS,
    PILES,
    STATUS,
    direction,
    snake_case,
    spoken,
    unit_of,
    words_of,
)

SLOWEST: Final = timedelta(minutes=5)  #: between two scrapes: Prometheus looks back no further for a sample
RANGE: Final = timedelta(minutes=5)  #: what a rate is taken over
SCRAPES: Final = 4  #: that a rate needs at least, so that one may fail
BUSY: Final = "0.2"  #: a second: below one in five seconds, quantiles and ratios are chance
MOMENT: Final = 1e9  #: as a number of seconds, a date since 2001


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A detector for one metric, in the keys of a spec; whatever the preset says anyway is left unsaid."""

    metric: str
    kind: Kind
    help: str  #: in the exporter's words
    name: str
    description: str
    expr: str
    by: tuple[str, ...]
    series: int
    unit: str
    why: tuple[str, ...]
    direction: str = "both"
    absolute: str = ""  #: `min_deviation: {absolute: …}`
    only_if: str = ""
    interval: timedelta | None = None


@dataclass(frozen=True)
class LeftOut:
    """A metric that gets no detector."""

    metric: str
    why: str


Choice = Proposal | LeftOut


class Metric:
    """One metric that is looked at closely."""

    def __init__(self, survey: Survey, family: Family, counters: Mapping[str, Family]) -> None:
        self.survey = survey
        self.family = family
        self.counters = counters
        self.failures = failures_of(family, counters) if family.kind is Kind.COUNTER else None
        self.samples: Sequence[Sample] = ()
        self.range = RANGE
        self.interval: timedelta | None = None

    def choices(self) -> Iterator[Choice]:
        self.samples = self.survey.sample(self.family)
        if not self.samples:
            yield self._left_out("gone while it was looked at")
            return
        pace = self.survey.interval({each.labels.get("job", "") for each in self.samples})
        if pace and pace > SLOWEST:
            yield self._left_out(f"scraped every {format_duration(pace)}, and Prometheus looks back 5m for a sample")
            return
        if pace:
            self.range = max(RANGE, SCRAPES * pace)
            whole = timedelta(seconds=math.ceil(pace.total_seconds()))
            self.interval = whole if pace > PRESETS["balanced"].interval else None
        yield from self._of_kind()()

    def _of_kind(self) -> Callable[[], Iterator[Choice]]:
        return {
            Kind.HISTOGRAM: self._histogram,
            Kind.NATIVE: self._native,
            Kind.SUMMARY: self._summary,
            Kind.COUNTER: self._counter,
            Kind.GAUGE: self._gauge,
        }.get(self.family.kind, self._unknown)

    # ── by kind ──

    def _histogram(self) -> Iterator[Choice]:
        count = f"{self.family.name}_count"
        if not self.survey.moved(self.family.selector):
            yield self._left_out(f"nothing was observed within {LATELY}")
            return
        if (bounds := self.survey.buckets(self.family)) < 3:
            yield self._left_out(f"{bounds} buckets tell no quantile")
            return
        grouping = self._grouped(of_instances=False)
        buckets = self._rate(f"{self.family.name}_bucket", ("le", *grouping.by))
        yield self._quantile(grouping, f"histogram_quantile(0.95,\n  {buckets}\n)", busy=self._rate(count, grouping.by))
        stem = re.split("_(?:duration|latency|time|seconds)", self.family.name)[0]
        if not {f"{stem}_total", f"{stem}s_total"} & {*self.counters}:  # which has an error ratio of its own
            yield from self._error_ratio(count, grouping)

    def _native(self) -> Iterator[Choice]:
        grouping = self._grouped(of_instances=False)
        rate = f"rate({self.family.selector}[{format_duration(self.range)}])"
        busy = _over("sum", grouping.by, f"histogram_count({rate})")
        yield self._quantile(grouping, f"histogram_quantile(0.95,\n  {_over('sum', grouping.by, rate)}\n)", busy=busy)

    def _quantile(self, grouping: Grouping, expr: str, *, busy: str) -> Proposal:
        return self._proposal(
            "p95",
            grouping,
            description=f"95th percentile of {self._words}",
            expr=expr,
            unit=self._unit,
            direction="above",
            only_if=f"{busy} > {BUSY}",
            why=("the slowest 5 % are what users feel first; less is no fault",),
        )

    def _summary(self) -> Iterator[Choice]:
        name = self.family.name
        grouping = self._grouped(of_instances=self.family.has_quantiles)
        busy = f"{self._rate(f'{name}_count', grouping.by)} > {BUSY}"
        quantile = _best_quantile(self.samples)
        if not quantile:
            yield self._proposal(
                "mean",
                grouping,
                description=f"Mean of {self._words}",
                expr=f"{self._rate(f'{name}_sum', grouping.by)}\n/\n{self._rate(f'{name}_count', grouping.by)}",
                unit=self._unit,
                direction="above",
                only_if=busy,
                why=("a summary without quantiles tells a sum and a count, and so a mean",),
            )
            return
        share = f"{float(quantile) * 100:g}"
        yield self._proposal(
            f"p{share}",
            grouping,
            description=f"{share}th percentile of {self._words}",
            expr=_over("max", grouping.by, self.family.selection.of(name, f"quantile={visible(quantile)}")),
            unit=self._unit,
            direction="above",
            only_if=busy,
            why=("quantiles of a summary cannot be averaged: the worst of a group counts",),
        )

    def _counter(self) -> Iterator[Choice]:
        name = self.family.name
        bad = bool(words_of(name) & FAILURES)
        if not bad and not self.survey.moved(self.family.selector):
            yield self._left_out(f"did not move within {LATELY}")
            return
        grouping = self._grouped(of_instances=False)
        yield from self._error_ratio(name, grouping)
        hourly = _over("sum", grouping.by, f"rate({self.family.selector}[{LATELY}])")
        yield self._proposal(
            "rate",
            grouping,
            description=f"Rate of {self._words}",
            expr=self._rate(name, grouping.by, *self._idle()),
            unit=f"{self._unit} per second".strip(),
            direction="above" if bad else "both",
            absolute="0.02" if bad else "",
            only_if=f"{hourly} > {BUSY}" if not bad and not self._unit else "",
            why=(
                ("more failures are a fault, fewer are none; 0.02 a second are six in five minutes",)
                if bad
                else ("a counter tells by its rate; both more and less than usual are worth a look",)
            ),
        )

    def _error_ratio(self, total: str, grouping: Grouping) -> Iterator[Proposal]:
        """Of a counter that tells failures apart by a label, or has a counter of failures beside it."""
        failed, why = self._failed(total)
        if not failed:
            return
        labels = self._labels_in_common() if self.failures else None
        by = grouping if labels is None or {*grouping.by} <= labels else self._grouped(of_instances=False, among=labels)
        every = self._rate(total, by.by)
        bad = _over("sum", by.by, f"rate({failed}[{format_duration(self.range)}])")
        yield self._proposal(
            "error_ratio",
            by,
            description=f"Share of {self._words} that fail",
            expr=f"(\n  {bad}\n  or\n  0 * {every}\n)\n/\n{every}",
            unit="ratio",
            direction="above",
            absolute="0.01",
            only_if=f"{every} > {BUSY}",
            why=(why, "one failure more in a hundred is the least that matters"),
        )

    def _failed(self, total: str) -> tuple[str, str]:
        """What selects the failures, and why it does."""
        if self.failures:
            return self.failures.selector, f"{self.failures.name} stands beside it"
        for label in STATUS:
            values = {each.labels[label] for each in self.samples if label in each.labels}
            if any(re.fullmatch(r"[1-5](\d\d|xx)", value) for value in values):
                seen = any(value.startswith("5") for value in values)
                why = f"the label {label} tells 5xx apart{'' if seen else ', of which there are none now'}"
                return self.family.selection.of(total, f'{label}=~"5.."'), why
            if words := sorted(value for value in values if value.lower() in FAILED):
                return self.family.selection.of(total, f"{label}=~{visible('|'.join(words))}"), (
                    f"the label {label} tells failures apart"
                )
        return "", ""

    def _labels_in_common(self) -> set[str]:
        assert self.failures
        return {label for sample in self.survey.sample(self.failures) for label in sample.labels}

    def _gauge(self) -> Iterator[Choice]:
        selector, words = self.family.selector, words_of(self.family.name)
        values = [each.value for each in self.samples]
        if self._unit == "seconds" and all(value > MOMENT for value in values if value):
            yield self._left_out("a moment in time, not a level")
            return
        if not self.survey.moved(selector):
            yield self._left_out(f"did not move within {LATELY}")
            return
        if {*values} <= {0.0, 1.0} and self._unit != "ratio" and self.survey.is_switch(selector):
            yield self._left_out("only ever 0 or 1: a state, for a rule that says which of them is bad")
            return
        grouping = self._grouped(of_instances=True)
        side, why = direction(words, self._unit)
        # A sum would also move when an instance comes or goes.
        worst = self._unit in NO_SUMS or "load" in words or (grouping.merges_instances and not words & PILES)
        function = "sum" if not worst else "min" if side == "below" else "max"
        yield self._proposal(
            "",
            grouping,
            description=self._words.capitalize(),
            expr=_over(function, grouping.by, selector),
            unit=self._unit,
            direction=side,
            why=(why,),
        )

    def _unknown(self) -> Iterator[Choice]:
        if self._unit == "" and not self.survey.fell(self.family.selector):
            yield self._left_out(f"may be a counter: no exporter says, and it never fell within {LATELY}")
            return
        yield from self._gauge()

    # ── what they share ──

    @property
    def _unit(self) -> str:
        return unit_of(self.family.name, self.family.unit)

    @property
    def _words(self) -> str:
        return spoken(self.family.name)

    def _grouped(self, *, of_instances: bool, among: set[str] | None = None) -> Grouping:
        labels = [each.labels for each in self.samples]

        def count(by: Sequence[str]) -> int:
            if len(labels) < MOST_SAMPLED:
                return len({tuple(each.get(name) for name in by) for each in labels})
            return self.survey.groups(self.family, by)

        machines = self.family.name.startswith(MACHINES)
        return group(labels, count, of_instances=of_instances or machines, among=among)

    def _idle(self) -> Iterator[str]:
        """What leaves idle time out of a counter of seconds: with it, they add up to all the time there is."""
        for label in ("mode", "state"):
            if self._unit == "seconds" and any(each.labels.get(label) == "idle" for each in self.samples):
                yield f'{label}!="idle"'

    def _rate(self, name: str, by: Sequence[str], *more: str) -> str:
        return _over("sum", by, f"rate({self.family.selection.of(name, *more)}[{format_duration(self.range)}])")

    def _proposal(
        self,
        what: str,
        grouping: Grouping,
        *,
        description: str,
        expr: str,
        unit: str,
        why: tuple[str, ...],
        direction: str,
        absolute: str = "",
        only_if: str = "",
    ) -> Proposal:
        pace = (f"scraped every {format_duration(self.interval)}",) if self.interval else ()
        return Proposal(
            metric=self.family.name,
            kind=self.family.kind,
            help=self.family.help,
            name=snake_case(f"{self.family.name.removesuffix('_total')}_{what}"),
            description=description,
            expr=expr,
            by=grouping.by,
            series=grouping.series,
            unit=unit,
            why=(*why, grouping.why, *pace),
            direction=direction,
            absolute=absolute,
            only_if=only_if,
            interval=self.interval,
        )

    def _left_out(self, why: str) -> LeftOut:
        return LeftOut(self.family.name, why)


def failures_of(total: Family, counters: Mapping[str, Family]) -> Family | None:
    """The counter of failures that stands beside one of everything: `jobs_failed_total` beside `jobs_total`."""
    base = total.name.removesuffix("_total")
    if words_of(base) & FAILURES:
        return None
    stems = (base, base.removesuffix("s"))
    names = (f"{stem}_{word}_total" for stem in stems for word in ("errors", "failed", "failures", "error", "failure"))
    return next((counters[name] for name in names if name in counters), None)


def _best_quantile(samples: Sequence[Sample]) -> str:
    """The one that is nearest to 0.95, as the exporter writes it."""
    written = {each.labels.get("quantile", "") for each in samples}
    able = {text: float(text) for text in written if re.fullmatch(r"0?\.\d+", text)}
    return min(able, key=lambda text: (abs(able[text] - 0.95), text), default="")


def _over(function: str, by: Sequence[str], inner: str) -> str:
    return f"{function} by ({', '.join(by)}) ({inner})" if by else f"{function}({inner})"
