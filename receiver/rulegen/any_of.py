"""Several bands at once, `{any_of: [seasonal, threshold]}`: a value outside of any of them is outside.

generate.py calls it through the registry. Each part is recorded by itself, with the label `band`; what a detector says
is what the part says that sees the value furthest out. A part that knows too little is silent and silences nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from receiver.conventions import BAND, BAND_LOWER, BAND_MEAN, BAND_STDDEV, BAND_UPPER, DETECTOR, VALUE, ZSCORE
from receiver.documents import did_you_mean
from receiver.rulegen.band import Band, Numbers
from receiver.rulegen.promql import either, enclosed, given
from receiver.rulegen.recorded import every_part, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import score_record

#: What a part records in a group of its own must still be in sight: Prometheus looks back for less than five minutes.
SEEN: Final = timedelta(minutes=4)

_RANK: Final = {"above": lambda z_score: z_score, "below": lambda z_score: -z_score, "both": abs}


@dataclass(frozen=True)
class AnyOf(Band):
    """The band inside of all the parts' bands."""

    singles: Mapping[str, Band]  #: what may be a part

    def rules(self, detector: Detector) -> list[Record]:
        of_parts = [
            rule
            for band, part in self._parts(detector)
            for rule in (
                recorded(part, VALUE, series(VALUE, detector), f"What the band {part.part} is given."),
                *band.rules(part),
            )
        ]
        return [
            *of_parts,
            _zscore_record(detector),
            _winners(detector, BAND_MEAN, "The usual level of the band that says so."),
            _winners(detector, BAND_STDDEV, "The same band's scale."),
            recorded(detector, BAND_UPPER, _of_parts("min", BAND_UPPER, detector), "The nearest upper edge."),
            recorded(detector, BAND_LOWER, _of_parts("max", BAND_LOWER, detector), "The nearest lower edge."),
            score_record(detector),
        ]

    def memory(self, detector: Detector, /) -> list[Group]:
        return [group for band, part in self._parts(detector) for group in band.memory(part)]

    def reads(self, detector: Detector) -> frozenset[str]:
        return frozenset().union(*(band.reads(part) for band, part in self._parts(detector)))

    def looks_back(self, detector: Detector) -> timedelta:
        return max((band.looks_back(part) for band, part in self._parts(detector)), default=timedelta())

    def mistakes(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        for name in detector.any_of:
            if name not in self.singles:
                yield "band", f'"{name}" cannot be a part of any_of{did_you_mean(name, list(self.singles))}'
        if len(set(detector.any_of)) < max(2, len(detector.any_of)):
            yield "band", "any_of needs two bands or more, each once, as in {any_of: [zscore, threshold]}"
        for name in dict.fromkeys(detector.any_of):
            if name in self.singles:
                yield from self.singles[name].mistakes(_part(detector, name))

    def doubts(self, detector: Detector, /) -> Iterator[tuple[str, str]]:
        for band, part in self._parts(detector):
            yield from band.doubts(part)

    def settles(self, detector: Detector, /) -> timedelta:
        return max(band.settles(part) for band, part in self._parts(detector))

    def summary(self, detector: Detector) -> str:
        said = dict.fromkeys(band.summary(part).removeprefix("is ") for band, part in self._parts(detector))
        return f"is {', or '.join(said)}"

    def step(self, detector: Detector) -> timedelta:
        return min(SEEN, *(band.step(part) for band, part in self._parts(detector)))

    def fine_step(self, detector: Detector) -> timedelta:
        return min(SEEN, *(band.fine_step(part) for band, part in self._parts(detector)))

    def forgives_small(self, detector: Detector) -> bool:
        return all(band.forgives_small(part) for band, part in self._parts(detector))

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        return min(band.warmup(part, every) for band, part in self._parts(detector))

    def level(self, detector: Detector, /) -> float:
        any_other = super().level(detector)  # which bands take that do not mind: one with a bound does
        levels = (band.level(part) for band, part in self._parts(detector))
        return next((level for level in levels if level != any_other), any_other)

    def small(self, detector: Detector, /, level: float) -> float:
        return min(band.small(part, level) for band, part in self._parts(detector))

    def quiet(self, detector: Detector, /, level: float, *, every: timedelta) -> list[float]:
        quiets = [band.quiet(part, level, every=every) for band, part in self._parts(detector)]
        longest = max(map(len, quiets))
        # A band that asks for history without a wave has its numbers for that alone.
        flat = any(set(quiet) == {level} for quiet in quiets)
        return [level] * longest if flat else max(quiets, key=len)

    def approach(self, detector: Detector, /, level: float, *, every: timedelta) -> list[float]:
        # Of a band that learns, what the rise makes of it is not known: what it leaves out depends on itself.
        if not all("bound" in band.reads(part) for band, part in self._parts(detector)):
            return []
        return max((band.approach(part, level, every=every) for band, part in self._parts(detector)), key=len)

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        said = [band.numbers(part, values, every=every) for band, part in self._parts(detector)]
        return max(said, key=lambda each: _RANK[detector.direction](each.z_score))

    def _parts(self, detector: Detector) -> list[tuple[Band, Detector]]:
        return [(self.singles[name], _part(detector, name)) for name in detector.any_of if name in self.singles]


def _part(detector: Detector, name: str) -> Detector:
    return replace(detector, band=name, part=name, any_of=())


def _of_parts(aggregation: str, metric: str, detector: Detector) -> str:
    return f"{aggregation} without ({BAND}) ({every_part(metric, detector)})"


def _zscore_record(detector: Detector) -> Record:
    highest, lowest = _of_parts("max", ZSCORE, detector), _of_parts("min", ZSCORE, detector)
    furthest = {"above": highest, "below": lowest, "both": either(f"{highest} >= -{lowest}", lowest)}
    side = {"above": "above", "below": "below", "both": "to either side"}[detector.direction]
    return recorded(
        detector,
        ZSCORE,
        furthest[detector.direction],
        f"The distance that is furthest out {side}, of those bands that know enough to judge.",
    )


def _winners(detector: Detector, metric: str, why: str) -> Record:
    own = ", ".join((DETECTOR, *detector.by))
    says = f"{every_part(ZSCORE, detector)} == on ({own}) group_left () {series(ZSCORE, detector)}"
    winner = f"max without ({BAND}) {enclosed(given(every_part(metric, detector), says))}"
    return recorded(detector, metric, either(winner, _of_parts("max", metric, detector)), why)
