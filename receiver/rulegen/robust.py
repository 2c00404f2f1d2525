"""The robust band: how far is a value from the median of its past, measured by what nine tenths of that past keep to?

generate.py calls it through the registry. A tenth of the past may be as wild as it likes: it neither moves the band nor
widens it, and what is there for more than a tenth of the time is not unusual.
"""

import math
from bisect import insort
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from receiver.conventions import (
    BAND_MEAN,
    BAND_STDDEV,
    DEVIATION,
    LEARNED,
    LEARNED_DEVIATION,
    LEARNED_MEDIAN,
)
from receiver.durations import format_duration
from receiver.rulegen.band import Numbers
from receiver.rulegen.promql import SECOND, enclosed, given, number, over, over_block
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import edge_records, score_record, zscore_record
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

#: The median of the deviations (MAD) is 0 where more than half of the samples are alike, as in an error ratio that is
#: mostly 0: every other sample would be an anomaly. Nine tenths of them know of the rest.
SHARE: Final = 0.9
#: How many standard deviations nine tenths of normal noise keep to.
NORMAL: Final = 1.645


class Robust(ZScore):
    """median ± sigma scaled deviations of the window before."""

    def rules(self, detector: Detector) -> list[Record]:
        block = block_of(detector)
        return [
            *([] if block else [samples_record(detector, DEVIATION), settled_record(detector)]),
            _median_record(detector, block),
            _scale_record(detector, block),
            *edge_records(detector),
            zscore_record(detector),
            score_record(detector),
            learned_record(detector, block),
            recorded(
                detector,
                DEVIATION,
                f"abs({series(LEARNED, detector)} - {series(BAND_MEAN, detector)})",
                "How far that is from the usual level.",
            ),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        block = block_of(detector)
        return [_memory(detector, block)] if block else []

    def distance(self, detector: Detector, /, z_score: str) -> str:
        return f"its distance is {z_score}, and the band ends at {detector.sigma:g}"

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        return offset_of(detector) + (detector.min_samples + 1) * every

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        block = block_of(detector)
        middles = list(_medians(values, size_of(block, every) if block else 1))
        deviations = [abs(value - middle) for value, middle in zip(values[1:], middles[:-1], strict=True)]
        known = deviations[: len(deviations) - math.ceil(offset_of(detector) / every)]
        if block:
            size = size_of(block, every)
            known = [quantile(SHARE, known[max(0, end - size) : end]) for end in range(1, len(known) + 1)]
        nearest = min(detector.severity.values())
        mean = middles[-2]
        floor = max(detector.absolute, abs(mean) * detector.relative) / nearest
        stddev = max(quantile(SHARE, known) / NORMAL, floor)
        return Numbers(mean, stddev, (values[-1] - mean) / stddev)


def quantile(share: float, values: Sequence[float]) -> float:
    """As Prometheus does: between two samples on a straight line."""
    return _between(share, sorted(values))


def _between(share: float, ordered: Sequence[float]) -> float:
    rank = share * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)


def size_of(block: timedelta, every: timedelta) -> int:
    """Samples in a block."""
    return math.floor((block - SECOND) / every) + 1


def _medians(values: Sequence[float], size: int) -> Iterator[float]:
    """After each value, the median of the medians of all blocks so far."""
    blocks: list[float] = []
    for end in range(1, len(values) + 1):
        insort(blocks, quantile(0.5, values[max(0, end - size) : end]))
        yield _between(0.5, blocks)


def _memory(detector: Detector, block: timedelta) -> Group:
    length = format_duration(block)
    return Group(
        name=group_name(detector, "memory"),
        interval=block,
        why=f"What the band remembers of {detector.name}: medians of blocks of {length}, so that"
        f" {format_duration(detector.window)} are read from a few hundred samples.",
        rules=(
            recorded(
                detector,
                LEARNED_MEDIAN,
                over_block("quantile_over_time", f"0.5, {series(LEARNED, detector)}", block),
                f"The median of the last {length}; a second less, so that Prometheus 2, whose ranges are closed on"
                " both sides, puts no sample into two blocks.",
            ),
            recorded(
                detector,
                LEARNED_DEVIATION,
                over_block("quantile_over_time", f"{SHARE}, {series(DEVIATION, detector)}", block),
                "What nine tenths of the deviations in the same block keep to. The median of a block would know"
                " nothing of bursts; this does.",
            ),
            samples_record(detector, DEVIATION),
            settled_record(detector),
        ),
    )


def _median_record(detector: Detector, block: timedelta | None) -> Record:
    source = series(LEARNED_MEDIAN if block else LEARNED, detector)
    return recorded(
        detector,
        BAND_MEAN,
        over("quantile_over_time", f"0.5, {source}", detector.window),
        "The usual level: the median, which a fault of less than half the window does not move.",
    )


def _scale_record(detector: Detector, block: timedelta | None) -> Record:
    source, offset = series(LEARNED_DEVIATION if block else DEVIATION, detector), offset_of(detector)
    kept = over("quantile_over_time", f"{SHARE}, {source}", detector.window, offset=offset)
    return recorded(
        detector,
        BAND_STDDEV,
        given(enclosed(floored(detector, f"{kept} / {NORMAL}")), enough(detector)),
        f"What nine tenths of the deviations keep to, of normal noise one standard deviation. Looking"
        f" {format_duration(offset)} away from now, it has not seen a fault that is younger. Never so small that a"
        f" difference below {number(detector.absolute)} or {number(detector.relative * 100)} % of the usual level could"
        " alert.",
    )
