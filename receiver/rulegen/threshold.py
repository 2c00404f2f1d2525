"""The threshold band: is a value past its bound, and how far, measured by how far from it the value usually is?

generate.py calls it through the registry, forecast.py for what the two have in common. The severity at `sigma` is
raised exactly when the value is past the bound, whatever the history, and also without any.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from statistics import fmean
from typing import Final

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_STDDEV,
    BAND_UPPER,
    LEARNED,
    LEARNED_MEAN,
    VALUE,
    ZSCORE,
)
from receiver.durations import format_duration
from receiver.rulegen.band import STEPS, Band, Numbers
from receiver.rulegen.promql import SECOND, either, enclosed, number, over, over_block
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import judged, score_record
from receiver.rulegen.zscore import block_of

#: What usually is at the bound, or past it, is measured by a tenth of the bound.
LEAST: Final = 0.1
#: Keeps a value that passes the bound by its last digit from being rounded onto it.
PAST: Final = 1e-9


class Threshold(Band):
    """Past `bound` or not; the distance is relative to that between the bound and the usual level."""

    def rules(self, detector: Detector) -> list[Record]:
        return [
            learned_record(detector),
            *scale_records(detector),
            distance_record(
                detector,
                VALUE,
                f"The distance from the usual level, signed: {number(detector.sigma)} at the bound. What is past it by"
                " its last digit is beyond all the same.",
            ),
            score_record(detector),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        block = block_of(detector)
        return [memory_group(detector, block)] if block else []

    def looks_back(self, detector: Detector) -> timedelta:
        return detector.window

    def mistakes(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        if detector.bound is None:
            yield "bound", f"`bound` is missing; {detector.band} needs the number that must not be passed"
        if detector.direction == "both":
            yield "direction", "a bound has one side; write `direction: above` or `direction: below`"

    def reads(self, _: Detector, /) -> frozenset[str]:
        return frozenset({"window", "bound"})

    def summary(self, detector: Detector) -> str:
        return f"is {detector.direction} its bound"

    def distance(self, detector: Detector, /, _: str) -> str:
        return f"its bound is {number(bound_of(detector))}"

    def step(self, detector: Detector) -> timedelta:
        return detector.window / 2

    def fine_step(self, detector: Detector) -> timedelta:
        return detector.window / STEPS

    def warmup(self, _: Detector, every: timedelta) -> timedelta:
        return 0 * every

    def forgives_small(self, _: Detector, /) -> bool:
        return False  # a bound is a bound

    def level(self, detector: Detector, /) -> float:
        return bound_of(detector) - outwards(detector) * 2 * least(detector)

    def small(self, detector: Detector, /, _: float) -> float:
        return least(detector)

    def quiet(self, detector: Detector, /, level: float, *, every: timedelta) -> list[float]:
        return [level] * (1 + math.ceil(detector.interval / every))

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        return said(detector, values, values[-1], every=every)


def bound_of(detector: Detector) -> float:
    assert detector.bound is not None, f"{detector.name}: mistakes() lets no {detector.band} through without a bound"
    return detector.bound


def outwards(detector: Detector) -> int:
    """The sign of the side that is past the bound."""
    return -1 if detector.direction == "below" else 1


def least(detector: Detector) -> float:
    """The smallest distance between the bound and the usual level that distances are measured by."""
    return max(detector.absolute, max(detector.relative, LEAST) * abs(bound_of(detector)))


def within(detector: Detector, what: str) -> str:
    """`what`, where it is not past the bound."""
    return f"{what} {'<=' if outwards(detector) > 0 else '>='} {number(bound_of(detector))}"


def learned_record(detector: Detector) -> Record:
    return recorded(
        detector,
        LEARNED,
        judged(detector, within(detector, series(VALUE, detector))),
        "What the usual level is made of: the value while it is not past the bound.",
    )


def memory_group(detector: Detector, block: timedelta, *more: Record) -> Group:
    length = format_duration(block)
    return Group(
        name=group_name(detector, "memory"),
        interval=block,
        why=f"What is remembered of {detector.name}: means of blocks of {length}, so that"
        f" {format_duration(detector.window)} are read from a few hundred samples.",
        rules=(
            recorded(
                detector,
                LEARNED_MEAN,
                over_block("avg_over_time", series(LEARNED, detector), block),
                f"The mean of the last {length}; a second less, so that Prometheus 2, whose ranges are closed"
                " on both sides, puts no sample into two blocks.",
            ),
            *more,
        ),
    )


def scale_records(detector: Detector) -> list[Record]:
    """The band that ends at the bound, with the usual level in its middle."""
    sign, sigma = outwards(detector), number(detector.sigma)
    bound, floor = number(bound_of(detector)), number(least(detector))
    value, mean, stddev = (series(each, detector) for each in (VALUE, BAND_MEAN, BAND_STDDEV))
    usual = over("avg_over_time", series(LEARNED_MEAN if block_of(detector) else LEARNED, detector), detector.window)
    gap = f"{bound} - {usual}" if sign > 0 else f"{usual} - {bound}"
    edge, other = (BAND_UPPER, BAND_LOWER) if sign > 0 else (BAND_LOWER, BAND_UPPER)
    inwards = "-" if sign > 0 else "+"
    return [
        recorded(
            detector,
            BAND_STDDEV,
            either(f"clamp_min({gap}, {floor}) / {sigma}", f"0 * {value} + {floor} / {sigma}"),
            f"The distance from the usual level to the bound, in {sigma} parts; {floor} is the least that it is"
            " taken for, and what it is taken for while nothing is known.",
        ),
        recorded(detector, BAND_MEAN, f"{bound} {inwards} {sigma} * {stddev}", "The usual level."),
        recorded(detector, edge, f"0 * {stddev} + {bound}", "The bound, where the band ends."),
        recorded(
            detector,
            other,
            f"{mean} {inwards} {sigma} * {stddev}",
            "As far on the other side, where nothing alerts.",
        ),
    ]


def distance_record(detector: Detector, metric: str, why: str) -> Record:
    """The z-score of what `metric` holds."""
    what, stddev = series(metric, detector), series(BAND_STDDEV, detector)
    bound, sigma, past = number(bound_of(detector)), number(detector.sigma), number(PAST)
    if outwards(detector) > 0:
        distance = f"{sigma}\n+\n({what} - {bound}) / {stddev}\n+\n{past} * ({what} > bool {bound})"
    else:
        distance = f"({what} - {bound}) / {stddev}\n-\n{sigma}\n-\n{past} * ({what} < bool {bound})"
    return recorded(detector, ZSCORE, judged(detector, enclosed(distance)), why)


def said(detector: Detector, known: Sequence[float], judged_value: float, *, every: timedelta) -> Numbers:
    """What is said of a value when these are known."""
    usual = _usual(detector, known, every)
    sign, bound = outwards(detector), bound_of(detector)
    gap = least(detector) if usual is None else max(sign * (bound - usual), least(detector))
    stddev = gap / detector.sigma
    return Numbers(bound - sign * gap, stddev, sign * detector.sigma + (judged_value - bound) / stddev)


def _usual(detector: Detector, known: Sequence[float], every: timedelta) -> float | None:
    sign, bound, block = outwards(detector), bound_of(detector), block_of(detector)
    inside = [value if sign * value <= sign * bound else None for value in known]
    if block is not None:
        inside = block_means(inside[:-1], block, every)  # what is remembered is a step behind
    learned = [value for value in inside if value is not None]
    return fmean(learned) if learned else None


def block_means(values: Sequence[float | None], block: timedelta, every: timedelta) -> list[float | None]:
    """The mean of the block that ends with each of them; None stands where there is no sample."""
    size = math.floor((block - SECOND) / every) + 1
    blocks = (
        [each for each in values[max(0, end - size) : end] if each is not None] for end in range(1, len(values) + 1)
    )
    return [fmean(each) if each else None for each in blocks]
