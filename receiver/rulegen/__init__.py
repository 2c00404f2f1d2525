"""Detection: specs become recording and alerting rules, their unit tests and dashboards, for the user's Prometheus.

The command line calls generate.py; nothing of the receiver is imported here, nor imports this when it serves.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, Protocol

from receiver.rulegen.rules import Group
from receiver.rulegen.spec import Detector
from receiver.rulegen.zscore import ZScore


class Band(Protocol):
    """What a detector's `band` names: how to tell the usual from the unusual."""

    def groups(self, detector: Detector) -> list[Group]:
        """The recording rules, down to `amend:zscore` and `amend:score`."""
        ...

    def usual(self, detector: Detector, learned: Sequence[float], *, every: timedelta) -> tuple[float, float]:
        """Centre and scale of the band after these samples, for the numbers that a unit test expects."""
        ...


BANDS: Final[Mapping[str, Band]] = {
    "auto": ZScore(),
    "zscore": ZScore(),
}
"""Adding a band is one new file and one line here."""
