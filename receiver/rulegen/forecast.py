"""The forecast band: is a value past its bound, or will it be within `horizon` if it goes on as it does?

generate.py calls it through the registry. A trend is what lasts: a step, a spike, a restart or the drop of a saw-tooth
is none, and neither is a rise over ground that was covered before without harm.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from receiver.conventions import BAND_STDDEV, FORECAST, LEARNED, LEARNED_MEAN, RECENT, RISE, VALUE, VISITED
from receiver.durations import format_duration
from receiver.rulegen.band import Numbers
from receiver.rulegen.promql import either, enclosed, given, number, over, over_block, unless
from receiver.rulegen.recorded import recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.threshold import (
    Threshold,
    block_means,
    bound_of,
    distance_record,
    learned_record,
    memory_group,
    outwards,
    said,
    scale_records,
)
from receiver.rulegen.watched import score_record
from receiver.rulegen.zscore import block_of

#: What is to come is told from half as much of what was, in four quarters: a step is over within two of them.
QUARTERS: Final = 4
SHARE: Final = 2
#: A quarter holds this many samples at least, or blocks of them.
FEWEST: Final = 2
#: A rise that was measured less often than this in two quarters is a difference, and no trend.
SEEN: Final = 3
#: Ground that ended this much of the usual distance short of the bound ended there without harm.
SHORT: Final = 0.1


class Forecast(Threshold):
    """As a threshold, of the value or of what it will be within `horizon`, whichever is worse."""

    def rules(self, detector: Detector) -> list[Record]:
        return [
            learned_record(detector),
            *([] if _is_slow(detector) else _trend_records(detector)),
            *([] if block_of(detector) else [_visited_record(detector)]),
            *scale_records(detector),
            _forecast_record(detector),
            distance_record(
                detector,
                FORECAST,
                f"The distance of what is to come from the usual level, signed: {number(detector.sigma)} at the bound.",
            ),
            score_record(detector),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        block = block_of(detector)
        if block is None:
            return []
        trend = _trend_records(detector) if _is_slow(detector) else []
        return [memory_group(detector, block, *trend, _visited_record(detector))]

    def looks_back(self, detector: Detector) -> timedelta:
        return detector.window + QUARTERS * quarter_of(detector)

    def mistakes(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        yield from super().mistakes(detector)
        window, horizon, hold = (format_duration(each) for each in (detector.window, detector.horizon, detector.hold))
        if QUARTERS * quarter_of(detector) > detector.window:
            needed = format_duration(QUARTERS * quarter_of(detector))
            yield "window", f"a horizon of {horizon} is told from {needed}; a window of {window} has not so much"
        if detector.hold >= detector.horizon:
            late = f"`for` is {hold} and the horizon {horizon}: the alert would come after what it foretells"
            yield "for", f"{late}; shorten `for` or look further ahead"

    def reads(self, _: Detector, /) -> frozenset[str]:
        return frozenset({"window", "bound", "horizon"})

    def summary(self, detector: Detector) -> str:
        return f"is {detector.direction} its bound, or will be within {format_duration(detector.horizon)}"

    def distance(self, detector: Detector, /, _: str) -> str:
        return (
            f"its bound is {number(bound_of(detector))}, and what is expected within"
            f" {format_duration(detector.horizon)} counts"
        )

    def fine_step(self, detector: Detector) -> timedelta:
        return min(super().fine_step(detector), quarter_of(detector) / FEWEST)

    def approach(self, detector: Detector, /, level: float, *, every: timedelta) -> list[float]:
        """A steady rise that ends just short of the bound."""
        if every > quarter_of(detector) / FEWEST:
            return []
        steps = (QUARTERS + 1) * math.ceil(quarter_of(detector) / every) + math.ceil(detector.hold / every) + 2
        return [level + (bound_of(detector) - level) * 0.95 * step / steps for step in range(1, steps + 1)]

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        return said(detector, values, _expected(detector, values, every), every=every)


def quarter_of(detector: Detector) -> timedelta:
    """A quarter of the time that the trend is told from."""
    wanted = max(detector.horizon / SHARE / QUARTERS, FEWEST * detector.interval)
    block = block_of(detector)
    unit = block if block and wanted >= FEWEST * block else detector.interval
    return unit * math.ceil(wanted / unit)


def _is_slow(detector: Detector) -> bool:
    """Whether the trend is told from blocks: of many hours, single samples would be too many to read each time."""
    block = block_of(detector)
    return block is not None and quarter_of(detector) >= FEWEST * block


def _latest(metric: str, detector: Detector, *, back: timedelta | None = None) -> str:
    """A series of the slow group outlives the five minutes that Prometheus looks back for a sample."""
    block, selector = block_of(detector), series(metric, detector)
    slow = metric == VISITED or _is_slow(detector)
    if block and slow:
        return over("last_over_time", selector, (2 if back else 3) * block, offset=back or timedelta())
    return f"{selector} offset {format_duration(back)}" if back else selector


def _trend_records(detector: Detector) -> list[Record]:
    quarter, source = quarter_of(detector), LEARNED_MEAN if _is_slow(detector) else VALUE
    length = format_duration(quarter)
    return [
        recorded(
            detector,
            RECENT,
            over_block("avg_over_time", series(source, detector), quarter),
            f"The mean of the last {length}.",
        ),
        recorded(
            detector,
            RISE,
            f"{series(RECENT, detector)} - {_latest(RECENT, detector, back=quarter)}",
            f"How much more that is than {length} before.",
        ),
    ]


def _visited_record(detector: Detector) -> Record:
    furthest = "max_over_time" if outwards(detector) > 0 else "min_over_time"
    source = LEARNED_MEAN if block_of(detector) else LEARNED
    trend = QUARTERS * quarter_of(detector)
    return recorded(
        detector,
        VISITED,
        over(furthest, series(source, detector), detector.window, offset=trend),
        f"How far the value got before the last {format_duration(trend)}: that ground is known.",
    )


def _forecast_record(detector: Detector) -> Record:
    value, bound, quarter = series(VALUE, detector), number(bound_of(detector)), quarter_of(detector)
    above = outwards(detector) > 0
    further, nearer = (">", "<") if above else ("<", ">")
    least = over("min_over_time" if above else "max_over_time", series(RISE, detector), 2 * quarter)
    recent, visited = _latest(RECENT, detector), _latest(VISITED, detector)
    short = f"{bound} {'-' if above else '+'} {number(SHORT * detector.sigma)} * {series(BAND_STDDEV, detector)}"
    trend = f"{recent}\n+\n{number(_reach(detector))} * ({least} {further} 0)"
    seen = f"{over('count_over_time', series(RISE, detector), 2 * quarter)} >= {SEEN}"
    known = enclosed(given(f"{visited} {further} {recent}", f"{visited} {nearer} {short}"))
    expected = unless(given(given(trend, seen), _latest(RISE, detector, back=2 * quarter)), known)
    return recorded(
        detector,
        FORECAST,
        either(f"{enclosed(expected)} {further} {value}", value),
        f"What the value will be in {format_duration(detector.horizon)}, if it goes on as slowly as it did at any time"
        f" in the last {format_duration(QUARTERS * quarter)}; what it is, if that is worse, if it did not go on all"
        " that time, or if it has been there before and turned back short of the bound.",
    )


def _reach(detector: Detector) -> float:
    """How many quarters lie between the middle of the last one and the end of the horizon."""
    quarter, block = quarter_of(detector), block_of(detector)
    middle = quarter / 2 + (block / 2 if block and _is_slow(detector) else timedelta())
    return round((detector.horizon + middle) / quarter, 4)


def _expected(detector: Detector, values: Sequence[float], every: timedelta) -> float:
    """The worse of the value and its forecast, on ground that is new."""
    quarter, block, sign = quarter_of(detector), block_of(detector), outwards(detector)
    source: Sequence[float | None] = values
    if block and _is_slow(detector):
        source = block_means(values[:-1], block, every)  # what is remembered is a step behind
    recent = [each for each in block_means(source, quarter, every) if each is not None]
    apart = math.ceil(quarter / every)
    rises = [sign * (late - early) for early, late in zip(recent, recent[apart:], strict=False)]
    seen = math.floor(2 * quarter / every) + 1
    least = min(rises[-seen:], default=0.0)
    if seen < SEEN or len(rises) <= 2 * apart or least <= 0:
        return values[-1]
    return sign * max(sign * values[-1], sign * recent[-1] + _reach(detector) * least)
