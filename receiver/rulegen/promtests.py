"""A unit test for promtool of every detector: what it must say, and when it must keep silent.

generate.py writes them beside the rules. The rule file is tested as it is deployed, byte for byte, whatever PromQL
its `expr` is: a test has no raw metrics, so the rule of `amend:value` gives nothing, and the test feeds
`amend:value` (and `amend:only_if`) itself. The expression's own syntax is checked by `promtool check rules`; what
it measures, only its author can know.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from textwrap import indent
from typing import Final

from receiver.conventions import BAND_MEAN, DETECTOR, ONLY_IF, VALUE, ZSCORE
from receiver.durations import format_duration
from receiver.labels import selector
from receiver.rulegen import BANDS
from receiver.rulegen.alerts import static_labels, with_words
from receiver.rulegen.band import Numbers
from receiver.rulegen.expressions import parse, speaks_alone
from receiver.rulegen.promql import number
from receiver.rulegen.rules import Group, folded, quoted
from receiver.rulegen.spec import Detector, Spec
from receiver.rulegen.watched import judged_on

MOST: Final = 720  #: evaluations of a test: what needs more to be shown together is shown less of


@dataclass(frozen=True, kw_only=True)
class _Check:
    at: int  #: in ticks
    fires: Mapping[str, str] | None = None  #: the annotations of the alerts that fire then
    severities: Sequence[str] | None = None  #: those of them that do, if not all
    exists: str = ""  #: a series that must be there all the same, so that silence means something
    missing: str = ""  #: a series that must not


@dataclass(frozen=True, kw_only=True)
class _Case:
    """What one detector is fed in a test, and what it must say then."""

    spec: Spec
    detector: Detector
    tick: timedelta
    values: Sequence[float]
    judged: int  #: ticks during which `only_if` holds
    checks: Sequence[_Check]


def test_file(spec: Spec, groups: Iterable[Group], header: Iterable[str]) -> str:
    """The whole test file of a spec; `groups` are those of its rule file, in its order."""
    tick = tick_of(spec)
    told = [_Timeline(spec, detector, tick) for detector in spec.detectors if not _cannot_be_fed(detector)]
    # One test of all detectors rather than one each: promtool evaluates every rule of the file in every test.
    tests = {
        "a spike fires, with its numbers, and neither before nor after": [each.spike() for each in told],
        "nothing is judged while too little is known": [
            each.cold() for each in told if each.band.warmup(each.detector, tick)
        ],
        "a flat series, and differences below min_deviation, are left alone": [
            each.flat() for each in told if each.band.forgives_small(each.detector)
        ],
        "what heads for its bound fires before it is there": [each.approach() for each in told if each.approaching],
        "a peak that comes every season is left alone": [each.season() for each in told if each.repeating],
        "nothing is judged while only_if does not hold": [
            each.idle() for each in told if each.detector.only_if is not None
        ],
    }
    return "\n".join(
        (
            *header,
            "",
            f"rule_files: [{spec.name}.rules.yml]",
            f"evaluation_interval: {format_duration(tick)}",
            "group_eval_order:  # else promtool shuffles them",
            *(f"- {group.name}" for group in groups),
            "",
            *(_excuse(detector) for detector in spec.detectors if _cannot_be_fed(detector)),
            "tests:",
            *(line for name, cases in tests.items() if cases for line in ("", _test(name, cases))),
            "",
        )
    )


def _cannot_be_fed(detector: Detector) -> bool:
    """Its value rule speaks without any metric, under the very labels that a test would feed."""
    asked = [detector.only_if] if detector.only_if is not None else []
    if not detector.by:
        asked.append(detector.expr)
    return any(speaks_alone(parse(each)) for each in asked)


def _excuse(detector: Detector) -> str:
    alone = "its expr or only_if gives a sample even without metrics, and cannot be fed another"
    return f"# {detector.name} has no test: {alone}."


def tick_of(spec: Spec) -> timedelta:
    """promtool evaluates all groups of a file alike: as seldom as their windows bear, for the sake of time."""
    common = timedelta(seconds=math.gcd(*(round(each.interval.total_seconds()) for each in spec.detectors)))
    fine, coarse = (
        max(common, longest // common * common)
        for longest in (
            min(BANDS[each.band].fine_step(each) for each in spec.detectors),
            min(BANDS[each.band].step(each) for each in spec.detectors),
        )
    )
    bands = [(BANDS[each.band], each) for each in spec.detectors]
    most = max(len(band.quiet(each, band.level(each), every=fine)) for band, each in bands)
    return fine if most <= MOST else coarse


class _Timeline:
    """The test cases of one detector, in ticks."""

    def __init__(self, spec: Spec, detector: Detector, tick: timedelta) -> None:
        self.spec, self.detector, self.tick = spec, detector, tick
        self.band = BANDS[detector.band]
        self.level = self.band.level(detector)
        self.sign = -1 if detector.direction == "below" else 1
        self.hold = math.ceil(detector.hold / tick)
        self.quiet = self.band.quiet(detector, self.level, every=tick)
        self.approaching = self.band.approach(detector, self.level, every=tick)
        self.high = self._far_out()
        self.repeating = self.band.repeats(detector, self.level, self.high, every=tick)

    def _far_out(self) -> float:
        """A value that is safely beyond the highest tier, from its first sample until the alert fires."""
        highest = max(self.detector.severity.values())
        wobble = max(self.band.small(self.detector, self.level), max(self.quiet) - self.level, abs(self.level) / 100)
        high = self.level + self.sign * 5 * wobble * highest
        # Not without end: the textbook's distance cannot grow beyond a few deviations.
        for _ in range(16):
            if min(abs(self._numbers(high, lasted).z_score) for lasted in (1, self.hold + 1)) > 1.2 * highest:
                break
            high += high - self.level
        return high

    def spike(self) -> _Case:
        start = len(self.quiet)
        firing = start + self.hold
        lingers = self.band.settles(self.detector) + self.detector.keep_firing_for
        after = firing + 2 + math.ceil(lingers / self.tick)
        pending = [_Check(at=firing - 1, exists=ZSCORE)] if self.hold else []
        return self._case(
            values=[*self.quiet, *[self.high] * (self.hold + 1), *[self.level] * (after - firing)],
            judged=after + 1,
            checks=[
                _Check(at=start - 1, exists=ZSCORE),
                *pending,
                _Check(at=firing, fires=self._annotations(self.high, firing)),
                _Check(at=after, exists=ZSCORE),
            ],
        )

    def cold(self) -> _Case:
        end = self.hold + 3
        return self._case(
            values=[self.level, *[self.high] * end], judged=end + 1, checks=[_Check(at=end, missing=ZSCORE)]
        )

    def flat(self) -> _Case:
        """A series without any deviation of its own, and then a difference too small to matter."""
        start = len(self.quiet)
        end = start + self.hold + 1
        near = self.level + self.sign * 0.9 * self.band.small(self.detector, self.level)
        return self._case(
            values=[*[self.level] * start, *[near] * (end - start + 1)],
            judged=end + 1,
            checks=[_Check(at=start - 1, exists=ZSCORE), _Check(at=end, exists=ZSCORE)],
        )

    def approach(self) -> _Case:
        values = [*self.quiet, *self.approaching]
        end = len(values) - 1
        held = [
            self.band.numbers(self.detector, values[: end + 1 - back], every=self.tick) for back in range(self.hold + 1)
        ]
        nearest = min(abs(each.z_score) for each in held)
        return self._case(
            values=values,
            judged=end + 1,
            checks=[
                _Check(at=len(self.quiet) - 1, exists=ZSCORE),
                _Check(
                    at=end,
                    fires=self._in_words(values[-1], held[0]),
                    severities=[name for name, distance in self.detector.severity.items() if distance < nearest],
                ),
            ],
        )

    def season(self) -> _Case:
        end = len(self.repeating) - 1
        return self._case(values=self.repeating, judged=end + 1, checks=[_Check(at=end, exists=ZSCORE)])

    def idle(self) -> _Case:
        start = len(self.quiet)
        end = start + self.hold + 1
        return self._case(
            values=[*self.quiet, *[self.high] * (end - start + 1)],
            judged=start,
            checks=[_Check(at=end, exists=BAND_MEAN, missing=ZSCORE)],
        )

    def _case(self, *, values: Sequence[float], judged: int, checks: Sequence[_Check]) -> _Case:
        return _Case(
            spec=self.spec, detector=self.detector, tick=self.tick, values=values, judged=judged, checks=checks
        )

    def _numbers(self, value: float, lasted: int) -> Numbers:
        """What is said of a value that came after the quiet and was seen so often."""
        return self.band.numbers(self.detector, [*self.quiet, *[value] * lasted], every=self.tick)

    def _annotations(self, value: float, at: int) -> Mapping[str, str]:
        return self._in_words(value, self._numbers(value, at + 1 - len(self.quiet)))

    def _in_words(self, value: float, said: Numbers) -> Mapping[str, str]:
        numbers = {
            "value": value,
            "mean": said.mean,
            "stddev": said.stddev,
            "z_score": said.z_score,
            "score": self.band.score(self.detector, abs(said.z_score)),
            "deviation_percent": _percent(value - said.mean, of=abs(said.mean)),
        }
        words = {name: f"{each:.4g}" if math.isfinite(each) else f"{each:+}".title() for name, each in numbers.items()}
        return with_words(self.spec, self.detector, words, _labels(self.detector))


def _percent(difference: float, *, of: float) -> float:
    """As PromQL divides: by zero, too."""
    return 100 * difference / of if of else math.copysign(math.inf, difference)


def _labels(detector: Detector) -> dict[str, str]:
    return {label: f"{label}-1" for label in detector.by}


def _test(name: str, cases: Sequence[_Case]) -> str:
    counts = [text for case in cases for check in case.checks for text in _count_checks(case, check)]
    return "\n".join(
        (
            f"- name: {name}",
            f"  interval: {format_duration(cases[0].tick)}",
            "  input_series:",
            *(text for case in cases for text in _inputs(case)),
            "  alert_rule_test:",
            *(_alert_check(case, check) for case in cases for check in case.checks),
            "  promql_expr_test:",
            *counts,
        )
    )


def _inputs(case: _Case) -> list[str]:
    detector = case.detector
    inputs = [_input(VALUE, detector, detector.by, _notation(case.values))]
    if detector.only_if is not None:
        ended = "" if case.judged >= len(case.values) else " stale"
        inputs.append(_input(ONLY_IF, detector, judged_on(detector), f"1x{case.judged - 1}{ended}"))
    return inputs


def _notation(values: Sequence[float]) -> str:
    """`100x3` is promtool's way to write 100 four times."""
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    return " ".join(f"{number(value)}x{count - 1}" if count > 1 else number(value) for value, count in runs)


def _input(metric: str, detector: Detector, labels: Iterable[str], values: str) -> str:
    return "\n".join(
        (
            f"  - series: '{_fed(metric, detector, labels)}'",
            "    values: >-",
            indent(folded(values), "      "),
        )
    )


def _fed(metric: str, detector: Detector, labels: Iterable[str]) -> str:
    known = _labels(detector)
    return selector(metric, {DETECTOR: detector.name, **{label: known[label] for label in labels}})


def _alert_check(case: _Case, check: _Check) -> str:
    detector, at = case.detector, format_duration(check.at * case.tick)
    head = f"  - eval_time: {at}\n    alertname: {detector.alert}\n    exp_alerts:"
    if check.fires is None:
        return f"{head} []"
    lines = [head]
    for severity in detector.severity if check.severities is None else check.severities:
        labels = {**_labels(detector), **static_labels(case.spec, detector, severity)}
        lines += ["    - exp_labels:", *_mapping(labels), "      exp_annotations:", *_mapping(check.fires)]
    return "\n".join(lines)


def _mapping(values: Mapping[str, str]) -> list[str]:
    return [f"        {name}: {quoted(value)}" for name, value in values.items()]


def _count_checks(case: _Case, check: _Check) -> Iterable[str]:
    """Silence alone proves little: was there a judgement at all, or rightly none?"""
    for metric, expected in ((check.exists, "[{value: 1}]"), (check.missing, "[]")):
        if metric:
            yield "\n".join(
                (
                    f"  - expr: 'count({_fed(metric, case.detector, case.detector.by)})'",
                    f"    eval_time: {format_duration(check.at * case.tick)}",
                    f"    exp_samples: {expected}",
                )
            )
