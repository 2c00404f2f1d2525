"""The z-score band: how many standard deviations is a value from the mean of its own past?

generate.py calls it through the registry. What it promises beside the arithmetic: the band neither learns a fault
while it is young, nor keeps crying over a level that came to stay.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from statistics import fmean, pvariance
from textwrap import indent
from typing import Final

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_STDDEV,
    BAND_UPPER,
    LEARNED,
    LEARNED_MEAN,
    LEARNED_VARIANCE,
    SAMPLES,
    SCORE,
    SETTLED,
    VALUE,
)
from receiver.durations import format_duration
from receiver.rulegen.band import Band, Numbers
from receiver.rulegen.promql import SECOND, either, enclosed, given, number, over, over_block, unless
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import (
    edge_records,
    judged,
    score_record,
    zscore_record,
)

#: A fault is invisible to the band for its first 24th of the window: one hour of a day.
BLIND: Final = 24
#: A level that stayed outside for a quarter of the window is a new level: six hours of a day. Its mean then needs
#: a tenth of the window (at 3 sigma) to come inside, so that it is learned after four tenths in all.
PATIENCE: Final = 4
#: Where learned values are cut off, in widths of the band: wide enough that a restless series keeps the deviation
#: that it has, narrow enough that a fault hides its successor from nobody.
CUT: Final = 2
#: Blocks in a window: enough for its moments to be those of its samples, few enough to be read every time.
BLOCKS: Final = 288
#: Three series of moments are read instead of one of samples: below this many samples a block that costs more.
PAYS: Final = 6
_BLOCK_SIZES: Final = tuple(timedelta(minutes=each) for each in (5, 10, 15, 20, 30, 60, 120, 240))


class ZScore(Band):
    """mean ± sigma standard deviations of the window before."""

    def rules(self, detector: Detector) -> list[Record]:
        block = block_of(detector)
        return [
            *([] if block else [samples_record(detector), settled_record(detector)]),
            _mean(detector, block),
            _stddev(detector, block),
            *edge_records(detector),
            zscore_record(detector),
            score_record(detector),
            learned_record(detector, block),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        block = block_of(detector)
        return [_memory(detector, block)] if block else []

    def looks_back(self, detector: Detector) -> timedelta:
        return detector.window + offset_of(detector)

    def mistakes(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        if detector.hold > detector.window / 8:
            late = f"`for` is {format_duration(detector.hold)}, more than an eighth of the window of"
            late += f" {format_duration(detector.window)}"
            yield "for", f"{late}: the band would learn the fault first; lengthen the window or shorten `for`"

    def distance(self, _: Detector, /, z_score: str) -> str:
        return f"that is {z_score} standard deviations away"

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        return offset_of(detector) + detector.min_samples * every

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        """Mean and deviation of what is far enough from now to be learned."""
        learned = values[: len(values) - math.ceil(offset_of(detector) / every)]
        mean, deviation = _moments(detector, learned, every)
        nearest = min(detector.severity.values())
        stddev = max(deviation, detector.absolute / nearest, abs(mean) * detector.relative / nearest)
        return Numbers(mean, stddev, (values[-1] - mean) / stddev)


def _moments(detector: Detector, learned: Sequence[float], every: timedelta) -> tuple[float, float]:
    block = block_of(detector)
    if block is None:
        return fmean(learned), math.sqrt(pvariance(learned))
    size = math.floor((block - SECOND) / every) + 1
    blocks = [learned[max(0, end - size) : end] for end in range(1, len(learned) + 1)]
    means = [fmean(each) for each in blocks]
    return fmean(means), math.sqrt(fmean([pvariance(each) for each in blocks]) + pvariance(means))


def block_of(detector: Detector) -> timedelta | None:
    """The block whose moments stand for its samples; None where the window is short enough to read as it is."""
    size = next((each for each in _BLOCK_SIZES if each * BLOCKS >= detector.window), _BLOCK_SIZES[-1])
    fits = size <= detector.window / BLIND  # else the newest moments would be older than what they may know
    return size if fits and size >= detector.interval * PAYS else None


def offset_of(detector: Detector) -> timedelta:
    """How far the band looks away from now, so that an alert is firing before the band has seen its fault."""
    wanted = max(detector.window / BLIND, detector.hold + detector.interval)
    return detector.interval * math.ceil(wanted / detector.interval)


def _memory(detector: Detector, block: timedelta) -> Group:
    learned = series(LEARNED, detector)
    length = format_duration(block)
    return Group(
        name=group_name(detector, "memory"),
        interval=block,
        why=f"What the band remembers of {detector.name}: mean and variance of blocks of {length}, so that"
        f" {format_duration(detector.window)} are read from a few hundred samples.",
        rules=(
            recorded(
                detector,
                LEARNED_MEAN,
                over_block("avg_over_time", learned, block),
                f"The mean of the last {length}; a second less, so that Prometheus 2, whose ranges are closed"
                " on both sides, puts no sample into two blocks.",
            ),
            recorded(
                detector,
                LEARNED_VARIANCE,
                over_block("stdvar_over_time", learned, block),
                "The variance inside the same block. With the means it gives the variance of all samples, and"
                " unlike a sum of squares it keeps its digits when the mean is large.",
            ),
            samples_record(detector),
            settled_record(detector),
        ),
    )


def samples_record(detector: Detector, metric: str = LEARNED) -> Record:
    return recorded(
        detector,
        SAMPLES,
        over("count_over_time", series(metric, detector), detector.window, offset=offset_of(detector)),
        f"How much the band knows: with fewer than {detector.min_samples} samples it judges nothing.",
    )


def settled_record(detector: Detector) -> Record:
    patience = detector.window / PATIENCE
    score = series(SCORE, detector)
    return recorded(
        detector,
        SETTLED,
        given(f"{over('min_over_time', score, patience)} > 0.5", f"{score} offset {format_duration(patience)}"),
        f"There once the value has been outside its band for {format_duration(patience)} without a break: this is"
        " a new level, to be learned as it is.",
    )


def _mean(detector: Detector, block: timedelta | None) -> Record:
    source = series(LEARNED_MEAN if block else LEARNED, detector)
    offset = offset_of(detector)
    return recorded(
        detector,
        BAND_MEAN,
        given(over("avg_over_time", source, detector.window, offset=offset), enough(detector)),
        f"The usual level. Looking {format_duration(offset)} away from now, it has not seen a fault that is younger.",
    )


def _stddev(detector: Detector, block: timedelta | None) -> Record:
    def past(function: str, metric: str) -> str:
        return over(function, series(metric, detector), detector.window, offset=offset_of(detector))

    if block:
        within, between = past("avg_over_time", LEARNED_VARIANCE), past("stdvar_over_time", LEARNED_MEAN)
        measured = f"sqrt(\n  {within}\n  +\n  {between}\n)"
    else:
        measured = past("stddev_over_time", LEARNED)
    return recorded(
        detector,
        BAND_STDDEV,
        floored(detector, measured),
        f"The usual distance from it, never so small that a difference below {number(detector.absolute)} or"
        f" {number(detector.relative * 100)} % of the usual level could alert: a flat series has no deviation of"
        " its own.",
    )


def floored(detector: Detector, measured: str) -> str:
    """A scale that no difference below `min_deviation` reaches a severity by, whatever was measured."""
    nearest = number(min(detector.severity.values()))
    mean = series(BAND_MEAN, detector)
    measured = f"clamp_min(\n{indent(measured, '  ')},\n  {number(detector.absolute)} / {nearest}\n)"
    floor = f"abs({mean}) * {number(detector.relative)} / {nearest}"
    return either(f"{measured} > {floor}", floor) if detector.relative else given(measured, mean)


def enough(detector: Detector) -> str:
    """The condition that the band knows enough to judge."""
    return f"{latest(series(SAMPLES, detector), block_of(detector))} >= {detector.min_samples}"


def learned_record(detector: Detector, block: timedelta | None) -> Record:
    value, settled = series(VALUE, detector), series(SETTLED, detector)
    mean, upper, lower = (series(each, detector) for each in (BAND_MEAN, BAND_UPPER, BAND_LOWER))
    cut = enclosed(either(f"{CUT} * {upper} - {mean} < {value}", f"{CUT} * {lower} - {mean} > {value}"))
    expression = either(enclosed(unless(cut, latest(settled, block))), value)
    if detector.only_if is not None:
        expression = judged(detector, enclosed(expression))
    return recorded(
        detector,
        LEARNED,
        expression,
        f"What the band learns: the value, cut off at {CUT} widths of the band, so that a fault does not widen the"
        " band that shows it; as it is once the new level has settled, and while there is no band yet.",
    )


def latest(selector: str, block: timedelta | None) -> str:
    """A series of the memory's slow group outlives the five minutes that Prometheus looks back for a sample."""
    return over("last_over_time", selector, 3 * block) if block else selector
