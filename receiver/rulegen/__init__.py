"""Detection: specs become recording and alerting rules, their unit tests and dashboards, for the user's Prometheus.

The command line calls generate.py; nothing of the receiver is imported here, nor imports this when it serves.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, Protocol

from receiver.rulegen.classic import Classic
from receiver.rulegen.rules import Group
from receiver.rulegen.spec import Detector
from receiver.rulegen.zscore import ZScore


class Band(Protocol):
    """What a detector's `band` names: how to tell the usual from the unusual.

    `groups` is the work; the rest says what a unit test may expect of it.
    """

    @property
    def forgives_small(self) -> bool:
        """Whether differences below `min_deviation` are left alone."""
        ...

    def groups(self, detector: Detector) -> list[Group]:
        """The recording rules, down to `amend:zscore` and `amend:score`."""
        ...

    def offset(self, detector: Detector, /) -> timedelta:
        """How far from now the band looks away."""
        ...

    def usual(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> tuple[float, float]:
        """Centre and scale of the band once these values have come in."""
        ...

    def score(self, detector: Detector, distance: float, /) -> float:
        """`amend:score` at that many deviations."""
        ...


BANDS: Final[Mapping[str, Band]] = {
    "auto": ZScore(),
    "classic": Classic(),
    "zscore": ZScore(),
}
"""Adding a band is one new file and one line here."""
