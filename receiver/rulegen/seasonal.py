"""The seasonal band: what was the value at this time of the day and of the week, and is it so today?

generate.py calls it through the registry. It works with as many past seasons as there are, takes the median of three
so that one bad day does no harm, follows growth, and judges nothing before it has seen a whole season.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import zip_longest
from textwrap import indent
from typing import Final

from receiver.conventions import (
    BAND_MEAN,
    BAND_STDDEV,
    DETECTOR,
    DEVIATION,
    EXPECTED,
    GROWTH,
    LEARNED,
    LEARNED_DEVIATION,
    LEARNED_MEAN,
    LEVEL,
    SAMPLES,
    SPREAD,
    VALUE,
)
from receiver.durations import format_duration
from receiver.rulegen.band import Band, Numbers
from receiver.rulegen.promql import either, enclosed, given, number, over, over_block
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import edge_records, judged, score_record, zscore_record
from receiver.rulegen.zscore import CUT, floored, latest, offset_of, samples_record

#: The past is smoothed over a 24th of the shortest season: an hour of a day.
SMOOTH: Final = 24
#: Blocks in that hour.
BLOCKS: Final = 12
#: Past seasons that are looked at: three have a median that one bad day does not move.
PAST: Final = 3
#: Prometheus keeps 15 days unless it is told otherwise. A season longer than this is looked at once.
OLDEST: Final = timedelta(days=14)
#: What four fifths of the deviations keep to is the scale: the edges of a daily peak and a fault of some hours are in
#: the last fifth. Normal noise keeps to so many standard deviations in that share of the time.
SHARE: Final = 0.8
NORMAL: Final = 1.2816
#: From one day to the next growth is small, and a bad day is taken for it; from week to week it counts.
GROWS: Final = timedelta(weeks=1)
DAY: Final = timedelta(days=1)
#: Growth is the median of as many days, so that one bad day is none; to more than the double it is a fault.
GROWTH_DAYS: Final = 3
MOST: Final = 2
#: Evaluations in a season, at least.
FINEST: Final = 48
#: Tells past seasons apart inside of an expression; nothing is recorded with it.
LAG: Final = "lag"


class Seasonal(Band):
    """The value of past seasons ± sigma deviations of what they did not foretell."""

    def rules(self, detector: Detector) -> list[Record]:
        block = _block(detector)
        return [
            recorded(detector, BAND_MEAN, latest(series(EXPECTED, detector), block), "The usual level at this time."),
            _scale_record(detector),
            *edge_records(detector),
            zscore_record(detector),
            score_record(detector),
            recorded(
                detector,
                LEARNED,
                judged(detector, series(VALUE, detector)),
                "What the band learns. It is learned as it is: the median of several days forgets a bad one.",
            ),
            _deviation_record(detector),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        block = _block(detector)
        return [
            Group(
                name=group_name(detector, "memory"),
                interval=block,
                why=f"What the band remembers of {detector.name}, in blocks of {format_duration(block)}, and what that"
                " says of now.",
                rules=(
                    recorded(
                        detector,
                        LEARNED_MEAN,
                        over_block("avg_over_time", series(LEARNED, detector), block),
                        f"The mean of the last {format_duration(block)}; a second less, so that Prometheus 2, whose"
                        " ranges are closed on both sides, puts no sample into two blocks.",
                    ),
                    *_growth_records(detector),
                    recorded(
                        detector,
                        EXPECTED,
                        _of_past(detector, lambda lag: _grown(detector, lag)),
                        "The same time in past seasons, smoothed, with the growth since: the median of three where"
                        " there are three.",
                    ),
                    recorded(
                        detector,
                        LEARNED_DEVIATION,
                        over_block("quantile_over_time", f"{SHARE}, {series(DEVIATION, detector)}", block),
                        "What four fifths of the deviations in the last block keep to.",
                    ),
                    _spread_record(detector),
                    samples_record(detector, DEVIATION),
                ),
            )
        ]

    def looks_back(self, detector: Detector) -> timedelta:
        oldest = max(lag for season in detector.season for lag in _lags(season))
        return oldest + (DAY if _grows(detector) else _smooth(detector))

    def reads(self, _: Detector, /) -> frozenset[str]:
        return frozenset({"window", "min_samples", "season"})

    def mistakes(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        shortest, interval = format_duration(detector.season[0]), format_duration(detector.interval)
        if detector.season[0] < FINEST * detector.interval:
            needed = format_duration(FINEST * detector.interval)
            yield "season", f"a season of {shortest} with a sample every {interval} has no shape; take {needed} or more"
        if len(set(detector.season)) < len(detector.season):
            yield "season", "a season stands twice"

    def summary(self, detector: Detector) -> str:
        return f"{super().summary(detector)} at this time"

    def step(self, detector: Detector) -> timedelta:
        return min(super().step(detector), _block(detector))

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        return detector.season[0] + offset_of(detector) + 2 * _block(detector) + (detector.min_samples + 1) * every

    def quiet(self, detector: Detector, /, level: float, *, every: timedelta) -> list[float]:
        return [level] * (math.ceil(self.warmup(detector, every) / every) + 1)

    def repeats(self, detector: Detector, /, level: float, high: float, *, every: timedelta) -> list[float]:
        length, peak = round(detector.season[0] / every), round(detector.season[0] / 8 / every)
        shape = [level] * (length - peak) + [high] * peak
        count = math.ceil(self.warmup(detector, every) / detector.season[0]) + 1
        return (shape * count)[: -(peak // 2)]

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:  # noqa: ARG002
        """After quiet history, which is flat."""
        level = values[0]
        stddev = max(detector.absolute, abs(level) * detector.relative) / min(detector.severity.values())
        return Numbers(level, stddev, (values[-1] - level) / stddev)


def _smooth(detector: Detector) -> timedelta:
    return detector.season[0] / SMOOTH


def _block(detector: Detector) -> timedelta:
    return detector.interval * max(1, round(_smooth(detector) / BLOCKS / detector.interval))


def _lags(season: timedelta) -> list[timedelta]:
    return [season * times for times in range(1, PAST + 1) if times == 1 or season * times <= OLDEST]


def _grows(detector: Detector) -> bool:
    return detector.season[-1] >= GROWS


def _deviation_record(detector: Detector) -> Record:
    deviation = f"abs({series(LEARNED, detector)} - {series(BAND_MEAN, detector)})"
    cut = f"{number(CUT * detector.sigma)} * {series(BAND_STDDEV, detector)}"
    return recorded(
        detector,
        DEVIATION,
        either(f"{deviation} < {cut}", given(cut, deviation), deviation),
        f"How far off the past was, cut off at {CUT} widths of the band, so that a fault does not widen the band that"
        " shows it.",
    )


def _then(detector: Detector, function: str, lag: timedelta) -> str:
    """A function of the hour around the same time then."""
    smooth, block = _smooth(detector), _block(detector)
    # Half of it lies after that time, and what is recorded now stands for the block to come.
    offset = lag - detector.interval * round((smooth + block) / 2 / detector.interval)
    return over(function, series(LEARNED_MEAN, detector), smooth, offset=offset)


def _grown(detector: Detector, lag: timedelta) -> str:
    then = _then(detector, "avg_over_time", lag)
    if lag < GROWS:
        return then
    times = lag / detector.season[-1]
    growth = over("quantile_over_time", f"0.5, {series(GROWTH, detector)}", GROWTH_DAYS * DAY)
    return either(f"{then} * {growth}{f' ^ {number(times)}' if times != 1 else ''}", then)


def _of_past(detector: Detector, of: Callable[[timedelta], str]) -> str:
    """The median over past seasons; of the longest season that there is, since it knows what the shorter ones do."""
    seasons = [_lags(season) for season in sorted(detector.season, reverse=True)]
    medians = []
    for lags, shorter in zip_longest(seasons, seasons[1:]):
        past = [_told_apart(of(lag), lag) for lag in lags]
        if len(lags) == 2 and shorter:  # a third, to decide between them
            past.append(_where(_told_apart(of(shorter[0]), shorter[0]), lags, detector))
        medians.append(f"quantile without ({LAG}) (0.5,\n{indent(either(*past), '  ')}\n)")
    return either(*medians)


def _where(expression: str, lags: Iterable[timedelta], detector: Detector) -> str:
    """Where there are samples of all these times."""
    for lag in lags:
        expression = given(expression, _then(detector, "last_over_time", lag), on=[DETECTOR, *detector.by])
    return expression


def _told_apart(expression: str, lag: timedelta) -> str:
    return f'label_replace(\n{indent(expression, "  ")},\n  "{LAG}", "{format_duration(lag)}", "", ""\n)'


def _growth_records(detector: Detector) -> list[Record]:
    if not _grows(detector):
        return []
    means, level, season = series(LEARNED_MEAN, detector), series(LEVEL, detector), detector.season[-1]
    back = 3 * _block(detector)
    shares = given(over("avg_over_time", means, DAY), f"{over('min_over_time', means, DAY)} >= 0")
    return [
        recorded(
            detector,
            LEVEL,
            given(shares, over("last_over_time", means, back, offset=DAY)),
            "The mean of a whole day. Only of values that are not negative: of others no share can be told.",
        ),
        recorded(
            detector,
            GROWTH,
            f"clamp({level} / {over('last_over_time', level, back, offset=season)}, {1 / MOST}, {MOST})",
            f"How much larger that is than {format_duration(season)} ago, at most {MOST} times.",
        ),
    ]


def _spread_record(detector: Detector) -> Record:
    past = over(
        "quantile_over_time",
        f"{SHARE}, {series(LEARNED_DEVIATION, detector)}",
        detector.window,
        offset=offset_of(detector),
    )
    moved = enclosed(_of_past(detector, lambda lag: _then(detector, "stdvar_over_time", lag)))
    inside = f"({past} / {NORMAL}) ^ 2\n+\n{moved}"
    return recorded(
        detector,
        SPREAD,
        f"sqrt(\n{indent(inside, '  ')}\n)",
        "How far off the past was four fifths of the time, of normal noise one standard deviation; and where the past"
        f" moved within the {format_duration(_smooth(detector))} around this time, so much more: nothing happens on the"
        " minute.",
    )


def _scale_record(detector: Detector) -> Record:
    block = _block(detector)
    known = f"{latest(series(SAMPLES, detector), block)} >= {detector.min_samples}"
    return recorded(
        detector,
        BAND_STDDEV,
        given(enclosed(floored(detector, latest(series(SPREAD, detector), block))), known),
        f"The usual distance from it, never so small that a difference below {number(detector.absolute)} or"
        f" {number(detector.relative * 100)} % of the usual level could alert.",
    )
