"""What a detector's `band` names: how the usual is told from the unusual. One file per band; __init__ lists them.

generate.py asks a band for its rules, promtests.py for what a unit test may expect of them, checks.py for mistakes in
the keys that it reads.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import watch_group

STEPS = 288  #: evaluations of a window in a test, unless it is evaluated more seldom: enough for every band

_SIDE = {"above": "above", "below": "below", "both": "away from"}


@dataclass(frozen=True)
class Numbers:
    """What a band says of a value."""

    mean: float  #: the usual level: the band's centre
    stddev: float  #: the band's scale
    z_score: float  #: the signed distance in units of the scale


class Band(Protocol):
    """One way to judge. What all bands have in common stands here as a default."""

    def rules(self, detector: Detector) -> list[Record]:
        """What is evaluated after `amend:value` each time, down to `amend:zscore` and `amend:score`."""
        ...

    def memory(self, _: Detector, /) -> list[Group]:
        """Slower groups that condense the past for them."""
        return []

    def groups(self, detector: Detector) -> list[Group]:
        """All recording rules of a detector."""
        return [watch_group(detector, self.rules(detector)), *self.memory(detector)]

    def looks_back(self, detector: Detector) -> timedelta:
        """The age of the oldest sample that a judgement rests on."""
        ...

    def mistakes(self, _: Detector, /) -> Iterator[tuple[str, str]]:
        """Keys of the spec that this band cannot work with, and why."""
        yield from ()

    def doubts(self, _: Detector, /) -> Iterator[tuple[str, str]]:
        """Keys that it can work with, though not as their writer may think, and why."""
        yield from ()

    def reads(self, _: Detector, /) -> frozenset[str]:
        """Of the keys that not every band reads, those that this one does."""
        return frozenset({"window", "min_samples"})

    # ── what people read ──

    def summary(self, detector: Detector) -> str:
        """What an alert says of its signal: "… is above its usual level"."""
        return f"is {_SIDE[detector.direction]} its usual level"

    def distance(self, detector: Detector, /, z_score: str) -> str:
        """A z-score in words."""
        return f"its distance is {z_score}, and the band ends at {detector.sigma:g}"

    # ── what a unit test may expect ──

    def step(self, detector: Detector) -> timedelta:
        """The longest time between two evaluations with which it can judge at all."""
        return detector.window / max(STEPS, 2 * detector.min_samples)

    def fine_step(self, detector: Detector) -> timedelta:
        """The longest with which it judges as it does in production, if that is less."""
        return self.step(detector)

    def forgives_small(self, _: Detector, /) -> bool:
        """Whether differences below `min_deviation` are left alone."""
        return True

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        """How long a new series with a sample as often as that is not judged, at most."""
        ...

    def settles(self, _: Detector, /) -> timedelta:
        """For how long a value that is gone still counts as the present."""
        return timedelta()

    def level(self, _: Detector, /) -> float:
        """A usual level that is nothing to worry about."""
        return 100.0

    def small(self, detector: Detector, /, level: float) -> float:
        """A difference from that level that no tier reaches."""
        return max(detector.absolute, detector.relative * abs(level))

    def quiet(self, detector: Detector, /, level: float, *, every: timedelta) -> list[float]:
        """History that is nothing to worry about, and enough of it to judge what follows: a wave around the level."""
        small = self.small(detector, level)
        wobble = max(abs(level) / 100, small, small / min(detector.severity.values()))
        half = max(1, detector.min_samples // 8)  # quick enough for the very first band to know both sides
        wave = [level - wobble] * half + [level + wobble] * half
        return wave * (math.ceil(self.warmup(detector, every) / every / len(wave)) + 1)

    def approach(self, _: Detector, /, level: float, *, every: timedelta) -> list[float]:  # noqa: ARG002 - others read it
        """What follows that and must alert although no bound is passed yet; for bands that look ahead."""
        return []

    def repeats(self, _: Detector, /, level: float, high: float, *, every: timedelta) -> list[float]:  # noqa: ARG002
        """History that ends where such a high value is usual, for bands that know of seasons."""
        return []

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        """What is said of the last of these values."""
        ...

    def score(self, detector: Detector, /, distance: float) -> float:
        """`amend:score` at that distance."""
        return distance / (distance + detector.sigma)
