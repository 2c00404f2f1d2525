"""The rules that every band begins and ends with: the watched value, when it is judged, and the z-score.

The bands call these, so that a value is the same thing whatever judges it.
"""

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_STDDEV,
    BAND_UPPER,
    DETECTOR,
    ONLY_IF,
    VALUE,
    ZSCORE,
)
from receiver.rulegen.expressions import labels_of, parse
from receiver.rulegen.promql import enclosed, given, number, real, series
from receiver.rulegen.rules import Record
from receiver.rulegen.spec import Detector


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
    return given(expression, series(ONLY_IF, detector.name), on=judged_on(detector))


def edge_records(detector: Detector) -> list[Record]:
    mean, stddev = series(BAND_MEAN, detector.name), series(BAND_STDDEV, detector.name)
    width = f"{number(detector.sigma)} * {stddev}"
    return [
        recorded(detector, BAND_UPPER, f"{mean} + {width}", "The band's upper edge."),
        recorded(detector, BAND_LOWER, f"{mean} - {width}", "The band's lower edge; below zero where that is usual."),
    ]


def zscore_record(detector: Detector) -> Record:
    value, mean = series(VALUE, detector.name), series(BAND_MEAN, detector.name)
    distance = f"({value} - {mean})\n/\n{series(BAND_STDDEV, detector.name)}"
    return recorded(
        detector, ZSCORE, judged(detector, distance), "The distance from the usual level in deviations, signed."
    )


def recorded(detector: Detector, metric: str, expr: str, why: str) -> Record:
    return Record(record=metric, expr=expr, labels={DETECTOR: detector.name}, why=why)
