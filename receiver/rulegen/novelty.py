"""The band novelty: is a value further out than it gets on a usual day?

generate.py calls it through the registry. Where a z-score asks how far a value is from the mean, this band asks what
the past days reached: a peak of every day is usual, however steep. It looks at the last five minutes, the last hour and
the last day, and at changes. That long and short windows must agree comes from burn rate alerts (Google, The Site
Reliability Workbook, chapter 5).
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_STDDEV,
    BAND_UPPER,
    CHANGE_REACH,
    DAY_MEAN,
    DAY_REACH,
    HOUR_REACH,
    LEARNED,
    SAMPLES,
    VALUE,
    ZSCORE,
)
from receiver.durations import format_duration
from receiver.rulegen.band import Band, Numbers
from receiver.rulegen.days import BLIND, DAY, HOUR, SHORT, Days, lately
from receiver.rulegen.past_days import PastDays
from receiver.rulegen.promql import either, given, number, outermost
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import judged, score_record

#: The band is drawn anew so often; Prometheus shows a sample for five minutes, and graphs must not have holes.
DRAWN: Final = timedelta(minutes=4)


class Novelty(Band):
    """The highest and lowest of the usual days, and a margin."""

    def rules(self, detector: Detector) -> list[Record]:
        learned = [] if detector.only_if is None else [_learned_record(detector)]
        return [*learned, _scale_record(detector), _zscore_record(detector), score_record(detector)]

    def memory(self, detector: Detector, /) -> list[Group]:
        return [Days(detector).group(), _band_group(detector)]

    def groups(self, detector: Detector) -> list[Group]:
        # Unit tests evaluate all groups at once, in this order: what is judged comes after what it is judged by.
        watch, *memory = super().groups(detector)
        return [*memory, watch]

    def looks_back(self, detector: Detector) -> timedelta:
        return detector.window + BLIND + DAY

    def mistakes(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        if detector.interval and 2 * detector.min_samples * detector.interval > DAY:
            few = f"min_samples are {detector.min_samples} of one day, and with a sample every"
            few += f" {format_duration(detector.interval)} a gap leaves fewer"
            yield "min_samples", f"{few}; make it at most {DAY // (2 * detector.interval)}, or `interval` shorter"
        if detector.window < 2 * DAY:
            short = f"novelty compares days, of which a window of {format_duration(detector.window)} holds too few"
            yield "window", f"{short}; make it at least 2d, or take the band zscore"
        if detector.hold > BLIND / 2:
            late = (
                f"`for` is {format_duration(detector.hold)}, and what lasts for {format_duration(BLIND)} is new no more"
            )
            yield "for", f"{late}; make it at most {format_duration(BLIND / 2)}"

    def doubts(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        for severity, distance in detector.severity.items():
            if distance < detector.sigma:
                inside = (
                    f"{severity} begins at {distance:g}, inside of the band, which ends at sigma {detector.sigma:g}"
                )
                yield "severity", f"{inside}: what every day reaches can alert; begin at sigma or above"

    def summary(self, detector: Detector) -> str:
        side = {"above": "higher than", "below": "lower than", "both": "further out than"}[detector.direction]
        return f"is {side} on a usual day"

    # ── what a unit test may expect ──

    def step(self, detector: Detector) -> timedelta:
        # What only_if lets through is seen by the days one evaluation later, which must be less than an hour.
        return min(HOUR / 2, DAY / detector.min_samples)

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        return DAY + (detector.min_samples + 1) * every

    def settles(self, _: Detector, /) -> timedelta:
        return SHORT

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        past = PastDays(detector, values, every)
        mean, value = past.level(), past.short()
        edge = past.highest() if value >= mean else past.lowest()
        stddev = abs(edge - mean) / detector.sigma
        return Numbers(mean, stddev, (value - mean) / stddev)


def _learned_record(detector: Detector) -> Record:
    return recorded(detector, LEARNED, judged(detector, series(VALUE, detector)), "What is judged is what is learned.")


# ── the band ──


def _band_group(detector: Detector) -> Group:
    days, level = Days(detector), series(BAND_MEAN, detector)
    enough = f"{lately(detector, SAMPLES)} >= {detector.min_samples}"
    return Group(
        name=group_name(detector, "edges"),
        interval=DRAWN,
        why=f"What is usual for {detector.name}, drawn anew more often than anybody would notice.",
        rules=(
            recorded(
                detector,
                BAND_MEAN,
                given(days.usual_level(), enough),
                f"The usual level: the median day of {format_duration(detector.window)}, that ended"
                f" {format_duration(BLIND)} ago: a fault that is younger has not been seen.",
            ),
            recorded(
                detector,
                BAND_UPPER,
                given(days.highest(), level),
                "The band's upper edge: the highest five minutes of a usual day or of the latest, and a margin.",
            ),
            recorded(detector, BAND_LOWER, given(days.lowest(), level), "The band's lower edge, likewise."),
        ),
    )


# ── the judgement ──


def _scale_record(detector: Detector) -> Record:
    short = Days(detector).short
    mean, upper, lower = (lately(detector, each) for each in (BAND_MEAN, BAND_UPPER, BAND_LOWER))
    sigma = number(detector.sigma)
    return recorded(
        detector,
        BAND_STDDEV,
        either(f"({upper} - {mean}) / {sigma}\nand\n{short} >= {mean}", f"({mean} - {lower}) / {sigma}"),
        "The band's scale on the side where the value is, so that the edge is at sigma of it.",
    )


def _zscore_record(detector: Detector) -> Record:
    days = Days(detector)
    distance = f"{_side(detector, days)}\n* {outermost('max', dict(_distances(detector, days)))}"
    return recorded(
        detector,
        ZSCORE,
        judged(detector, given(distance, days.source)),
        "The distance from the usual level in units of the scale, signed: the largest of what the last five"
        " minutes, their hour and their day say. A longer look counts only as far as the shorter ones agree.",
    )


def _distances(detector: Detector, days: Days) -> Iterator[tuple[str, str]]:
    sigma, side, mean = number(detector.sigma), _side(detector, days), lately(detector, BAND_MEAN)
    hour_reach, day_reach, change_reach = (lately(detector, each) for each in (HOUR_REACH, DAY_REACH, CHANGE_REACH))
    value, day = f"abs({days.short} - {mean})", lately(detector, DAY_MEAN)
    looks = {"five minutes": value, "hour": f"{side} * ({days.hour} - {mean})"}
    yield "value", f"{value} / {series(BAND_STDDEV, detector)}"
    # After a gap an hour is as long as what came since.
    yield "hour", given(f"{sigma} * {outermost('min', looks)} / {hour_reach}", days.hour_ago)
    looks["day"] = f"{side} * ({day} - {mean})"
    yield "day", given(f"{sigma} * {outermost('min', looks)} / {day_reach}", day)
    # The way home from a fault is a change as well, but not from what was an hour ago.
    change = f"{sigma} * {side} * ({days.short} - {days.hour}) / {change_reach}"
    yield "change", given(change, f"abs({days.short} - {days.hour_ago}) > {change_reach}")


def _side(detector: Detector, days: Days) -> str:
    return f"sgn({days.short} - {lately(detector, BAND_MEAN)})"
