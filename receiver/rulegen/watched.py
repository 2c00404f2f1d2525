"""The rules that every band begins and ends with: the watched value, when it is judged, and the z-score.

The bands call these, so that a value is the same thing whatever judges it.
"""

from collections.abc import Iterable

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_STDDEV,
    BAND_UPPER,
    ONLY_IF,
    SCORE,
    VALUE,
    ZSCORE,
)
from receiver.rulegen.expressions import labels_of, parse
from receiver.rulegen.promql import enclosed, given, number, real
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector


def watch_group(detector: Detector, band: Iterable[Record]) -> Group:
    """The group that watches: the value, whether it is judged, and what its band makes of it."""
    return Group(
        name=group_name(detector, "band"),
        interval=detector.interval,
        why=f"{detector.description}: what it is, what is usual, and how far apart they are.",
        rules=(value_record(detector), *only_if_records(detector), *band),
    )


def value_record(detector: Detector) -> Record:
    outcome = labels_of(parse(detector.expr))
    # Where expr does not say which labels it keeps, `by` does; of several series, the one nearest to trouble.
    worst = "min" if detector.direction == "below" else "max"
    head = f"{worst} by ({', '.join(detector.by)}) " if outcome.any_other else ""
    return recorded(
        detector,
        VALUE,
        real(head + enclosed(detector.expr)),
        f"{detector.description}{f' ({detector.unit})' if detector.unit else ''}, as the spec has it."
        " NaN and infinities are left out: one of them would blind every average over it.",
    )


def only_if_records(detector: Detector) -> list[Record]:
    if detector.only_if is None:
        return []
    return [
        recorded(
            detector,
            ONLY_IF,
            f"group by ({', '.join(judged_on(detector))}) {enclosed(detector.only_if.strip())}",
            "There while there is enough to judge; what is not judged is not learned either.",
        )
    ]


def judged_on(detector: Detector) -> list[str]:
    """The labels that `only_if` shares with the series it judges."""
    if detector.only_if is None:
        return []
    kept = labels_of(parse(detector.only_if))
    return [label for label in detector.by if label in kept]


def judged(detector: Detector, expression: str) -> str:
    if detector.only_if is None:
        return expression
    return given(expression, series(ONLY_IF, detector), on=judged_on(detector))


def edge_records(detector: Detector) -> list[Record]:
    mean, stddev = series(BAND_MEAN, detector), series(BAND_STDDEV, detector)
    width = f"{number(detector.sigma)} * {stddev}"
    return [
        recorded(detector, BAND_UPPER, f"{mean} + {width}", "The band's upper edge."),
        recorded(detector, BAND_LOWER, f"{mean} - {width}", "The band's lower edge; below zero where that is usual."),
    ]


def zscore_record(detector: Detector) -> Record:
    value, mean = series(VALUE, detector), series(BAND_MEAN, detector)
    distance = f"({value} - {mean})\n/\n{series(BAND_STDDEV, detector)}"
    return recorded(
        detector, ZSCORE, judged(detector, distance), "The distance from the usual level in deviations, signed."
    )


def score_record(detector: Detector) -> Record:
    distance = f"abs({series(ZSCORE, detector)})"
    return recorded(
        detector,
        SCORE,
        f"{distance} / ({distance} + {number(detector.sigma)})",
        "The same between 0 and 1, and 0.5 at the band's edge.",
    )
