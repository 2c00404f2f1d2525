"""The quartile band: Tukey's fences, `sigma` quartile ranges beyond the quartiles, each side by its own measure.

generate.py calls it through the registry. It is for values that lie askew, such as latencies: the band is as wide
above the median as they are above it, and as narrow below.
"""

import math
from collections.abc import Sequence
from datetime import timedelta

from receiver.conventions import (
    ABOVE,
    BAND_LOWER,
    BAND_MEAN,
    BAND_STDDEV,
    BAND_UPPER,
    BELOW,
    LEARNED,
    LEARNED_ABOVE,
    LEARNED_BELOW,
    LEARNED_MEDIAN,
    VALUE,
)
from receiver.durations import format_duration
from receiver.rulegen.band import Numbers
from receiver.rulegen.promql import either, enclosed, given, number, over, over_block
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.robust import quantile, size_of
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import score_record, zscore_record
from receiver.rulegen.zscore import (
    ZScore,
    block_of,
    enough,
    floored,
    learned_record,
    offset_of,
    samples_record,
    settled_record,
)


class Iqr(ZScore):
    """quartiles ± sigma quartile ranges of the window before, around the median."""

    def rules(self, detector: Detector) -> list[Record]:
        block = block_of(detector)
        return [
            *([] if block else [samples_record(detector), settled_record(detector)]),
            _median_record(detector, block),
            _range_record(detector, block, above=True),
            _range_record(detector, block, above=False),
            _fence_record(detector, above=True),
            _fence_record(detector, above=False),
            _scale_record(detector),
            zscore_record(detector),
            score_record(detector),
            learned_record(detector, block),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        block = block_of(detector)
        return [_memory(detector, block)] if block else []

    def distance(self, detector: Detector, /, z_score: str) -> str:
        return f"its distance is {z_score}, and the band ends at {detector.sigma:g}"

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        learned = values[: len(values) - math.ceil(offset_of(detector) / every)]
        median, above, below = _ranges(detector, learned, every)
        out, inner = (above, below) if values[-1] >= median else (below, above)
        nearest = min(detector.severity.values())
        floor = max(detector.absolute, abs(median) * detector.relative) / nearest
        scale = max((out + detector.sigma * (out + inner)) / detector.sigma, floor)
        return Numbers(median, scale, (values[-1] - median) / scale)


def _ranges(detector: Detector, learned: Sequence[float], every: timedelta) -> tuple[float, float, float]:
    """The median, and from there to the quartiles."""
    block = block_of(detector)
    if block is None:
        low, median, high = (quantile(share, learned) for share in (0.25, 0.5, 0.75))
        return median, high - median, median - low
    size = size_of(block, every)
    blocks = [learned[max(0, end - size) : end] for end in range(1, len(learned) + 1)]
    medians = [quantile(0.5, each) for each in blocks]
    low, median, high = (quantile(share, medians) for share in (0.25, 0.5, 0.75))
    above = quantile(0.5, [quantile(0.75, each) - middle for each, middle in zip(blocks, medians, strict=True)])
    below = quantile(0.5, [middle - quantile(0.25, each) for each, middle in zip(blocks, medians, strict=True)])
    return median, math.hypot(high - median, above), math.hypot(median - low, below)


def _memory(detector: Detector, block: timedelta) -> Group:
    length = format_duration(block)

    def of_block(share: float) -> str:
        return over_block("quantile_over_time", f"{share}, {series(LEARNED, detector)}", block)

    median = series(LEARNED_MEDIAN, detector)
    return Group(
        name=group_name(detector, "memory"),
        interval=block,
        why=f"What the band remembers of {detector.name}: quartiles of blocks of {length}, so that"
        f" {format_duration(detector.window)} are read from a few hundred samples.",
        rules=(
            recorded(
                detector,
                LEARNED_MEDIAN,
                of_block(0.5),
                f"The median of the last {length}; a second less, so that Prometheus 2, whose ranges are closed on"
                " both sides, puts no sample into two blocks.",
            ),
            recorded(detector, LEARNED_ABOVE, f"{of_block(0.75)} - {median}", "From there to the upper quartile."),
            recorded(detector, LEARNED_BELOW, f"{median} - {of_block(0.25)}", "From there to the lower quartile."),
            samples_record(detector),
            settled_record(detector),
        ),
    )


def _past(detector: Detector, share: float, metric: str) -> str:
    return over(
        "quantile_over_time", f"{share}, {series(metric, detector)}", detector.window, offset=offset_of(detector)
    )


def _median_record(detector: Detector, block: timedelta | None) -> Record:
    return recorded(
        detector,
        BAND_MEAN,
        given(_past(detector, 0.5, LEARNED_MEDIAN if block else LEARNED), enough(detector)),
        f"The usual level: the median. Looking {format_duration(offset_of(detector))} away from now, it has not seen a"
        " fault that is younger.",
    )


def _range_record(detector: Detector, block: timedelta | None, *, above: bool) -> Record:
    mean = series(BAND_MEAN, detector)
    quartile = _past(detector, 0.75 if above else 0.25, LEARNED_MEDIAN if block else LEARNED)
    between = f"{quartile} - {mean}" if above else f"{mean} - {quartile}"
    within = _past(detector, 0.5, LEARNED_ABOVE if above else LEARNED_BELOW)
    side = "upper" if above else "lower"
    why = f"From there to the {side} quartile"
    if block:
        why += ", between the blocks and inside of them: squares add up, as of deviations"
        between = f"sqrt(\n  ({between}) ^ 2\n  +\n  {within} ^ 2\n)"
    return recorded(detector, ABOVE if above else BELOW, between, f"{why}.")


def _fence_record(detector: Detector, *, above: bool) -> Record:
    mean, sigma = series(BAND_MEAN, detector), number(detector.sigma)
    own, other = (series(each, detector) for each in ((ABOVE, BELOW) if above else (BELOW, ABOVE)))
    scale = floored(detector, f"{own} / {sigma} + {own} + {other}")
    return recorded(
        detector,
        BAND_UPPER if above else BAND_LOWER,
        f"{mean} {'+' if above else '-'} {sigma} * {enclosed(scale)}",
        f"Tukey's {'upper' if above else 'lower'} fence, {sigma} quartile ranges beyond the quartile; never so near"
        f" that a difference below {number(detector.absolute)} or {number(detector.relative * 100)} % of the usual"
        " level could alert.",
    )


def _scale_record(detector: Detector) -> Record:
    value, mean = series(VALUE, detector), series(BAND_MEAN, detector)
    upper, lower = (series(each, detector) for each in (BAND_UPPER, BAND_LOWER))
    return recorded(
        detector,
        BAND_STDDEV,
        f"{enclosed(either(given(f'{upper} - {mean}', f'{value} >= {mean}'), f'{mean} - {lower}'))} /"
        f" {number(detector.sigma)}",
        f"The scale on the side where the value is: the fence is at {number(detector.sigma)}.",
    )
