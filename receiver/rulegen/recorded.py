"""The series that are recorded for a detector, by their names; every band reads and writes them through here.

A detector of several bands (`any_of`) has a set of series for each of them, which the label `band` tells apart.
"""

from collections.abc import Mapping
from typing import Final

from receiver import labels
from receiver.conventions import BAND, DETECTOR, ONLY_IF, PART
from receiver.rulegen.rules import Record
from receiver.rulegen.spec import Detector

_WHOLE: Final = "amend:"


def series(metric: str, detector: Detector) -> str:
    """The selector of one of a detector's series."""
    return labels.selector(*_named(metric, detector))


def every_part(metric: str, detector: Detector) -> str:
    """The selector of that series of all the bands of a detector that has several."""
    return labels.selector(_of_part(metric), {DETECTOR: detector.name})


def recorded(detector: Detector, metric: str, expr: str, why: str) -> Record:
    """The rule that records it."""
    name, own = _named(metric, detector)
    return Record(record=name, expr=expr, labels=own, why=why)


def group_name(detector: Detector, what: str) -> str:
    """A name for a group of such rules, which no other group of any spec has."""
    part = f"{detector.part}_" if detector.part else ""
    return f"{detector.name}:{part}{what}"


def _named(metric: str, detector: Detector) -> tuple[str, Mapping[str, str]]:
    if not detector.part or metric == ONLY_IF:  # which is the same, whichever band asks
        return metric, {DETECTOR: detector.name}
    return _of_part(metric), {DETECTOR: detector.name, BAND: detector.part}


def _of_part(metric: str) -> str:
    return metric.replace(_WHOLE, PART, 1)
