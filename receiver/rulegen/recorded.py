"""The series that are recorded for a detector, by their names; every band reads and writes them through here.

A detector of several bands (`any_of`) has a set of series for each of them, which the label `band` tells apart.
"""

from collections.abc import Mapping
from typing import Final

from receiver import labels
from receiver.conventions import BAND, DETECTOR, ONLY_IF, PART, VALUE
from receiver.rulegen.rules import Record
from receiver.rulegen.spec import Detector

_SHARED: Final = (VALUE, ONLY_IF)  #: the same, whichever band looks at it
_WHOLE: Final = "amend:"


def series(metric: str, detector: Detector) -> str:
    """The selector of one of a detector's series."""
    return labels.selector(*_named(metric, detector))


def recorded(detector: Detector, metric: str, expr: str, why: str) -> Record:
    """The rule that records it."""
    name, own = _named(metric, detector)
    return Record(record=name, expr=expr, labels=own, why=why)


def group_name(detector: Detector, what: str) -> str:
    """A name for a group of such rules, which no other group of any spec has."""
    part = f"{detector.part}_" if detector.part else ""
    return f"{detector.name}:{part}{what}"


def _named(metric: str, detector: Detector) -> tuple[str, Mapping[str, str]]:
    if not detector.part or metric in _SHARED:
        return metric, {DETECTOR: detector.name}
    return metric.replace(_WHOLE, PART, 1), {DETECTOR: detector.name, BAND: detector.part}
