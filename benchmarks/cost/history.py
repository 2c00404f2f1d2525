"""The past that rules read: the raw samples, and what the rules themselves would have recorded.

The rules are run over each pattern by Prometheus' engine, in coarse steps; what they recorded is given to every series
of that pattern, as often as the rules record. So each window is as full as after weeks of running.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from benchmarks.cost.reach import LOOKBACK, Stretch, reach
from benchmarks.cost.workload import METRIC, TARGET, Workload, labelled, value
from benchmarks.engine import Answers, Input, Labels, TooManySamples, ask
from benchmarks.rule_set import RuleSet

COARSE: Final = timedelta(minutes=5)
#: Rules run for so long before what they record is kept, so that their bands are there.
WARM_UP: Final = timedelta(days=3)
#: What they record in this time is taken for all the time before, as the patterns repeat themselves day by day.
KEPT: Final = timedelta(days=1)
#: How much later than its end the history may be read: what an offset keeps out of sight now comes into sight.
DRIFT: Final = timedelta(minutes=45)


@dataclass(frozen=True)
class Track:
    """Series that all have the same samples."""

    series: Sequence[Labels]
    every: timedelta
    stretches: Sequence[Stretch]
    sample: Callable[[int], float | None]  #: at a Unix time; None where there is none

    def samples(self, start: int, end: int, *, now: int) -> Iterator[tuple[int, float]]:
        """Time and value of what is read at `now` of the time from `start` to before `end`, oldest first."""
        every = int(self.every.total_seconds())
        for stretch in reversed(self.stretches):
            first = max(start, now - int(stretch.oldest.total_seconds()) - every)
            last = min(end, now - int((stretch.newest - DRIFT).total_seconds()))
            for at in range(-(-first // every) * every, last, every):
                sample = self.sample(at)
                if sample is not None:
                    yield at, sample


def raw(workload: Workload, rule_sets: Iterable[RuleSet]) -> list[Track]:
    """The watched series, as far back as any of the rule sets reads them."""
    expressions = [METRIC, *(each for rule_set in rule_sets for each in rule_set.expressions)]
    return [
        Track(
            _series(METRIC, TARGET.items(), workload.names(pattern)),
            workload.every,
            reach(expressions)[METRIC],
            _raw_sample(pattern),
        )
        for pattern in range(workload.patterns)
    ]


def recorded(rule_set: RuleSet, workload: Workload, *, now: int) -> list[Track]:
    """What a rule set has recorded of them, as far back as it reads that itself."""
    own = rule_set.recorded
    # What is read at the moment of its recording alone needs no past.
    read = {name: each for name, each in reach(rule_set.expressions).items() if name in own and _looks_back(each)}
    if not read:
        return []
    tracks = []
    for labels, values in _play(rule_set, range(workload.patterns), read, now).items():
        words = dict(labels)
        name, pattern = words.pop("__name__"), int(words.pop("series"))
        series = _series(name, words.items(), workload.names(pattern))
        tracks.append(Track(series, own[name], read[name], _recorded_sample(values, now)))
    return tracks


def _looks_back(stretches: Sequence[Stretch]) -> bool:
    return stretches[-1].oldest > LOOKBACK


def _play(rule_set: RuleSet, patterns: Sequence[int], metrics: Collection[str], now: int) -> Answers:
    """What the rules record of one series for each pattern, which is called by its number."""
    warm, last = WARM_UP // COARSE, (WARM_UP + KEPT) // COARSE
    coarse = int(COARSE.total_seconds())
    inputs = [
        Input(
            labelled(METRIC, [*TARGET.items(), ("series", str(pattern))]),
            {step: value(pattern, now - (last - step) * coarse) for step in range(last + 1)},
        )
        for pattern in patterns
    ]
    # What is recorded once an hour is there at any time of it: else chance decides which of it a Track meets.
    recorded = f'last_over_time({{__name__=~"{"|".join(metrics)}"}}[59m59s])'
    try:
        return ask(rule_set.rules, inputs, recorded, every=COARSE, since=warm)
    except TooManySamples:
        if len(patterns) == 1:
            raise
        half = len(patterns) // 2
        first, second = (_play(rule_set, each, metrics, now) for each in (patterns[:half], patterns[half:]))
        return {**first, **second}


def _raw_sample(pattern: int) -> Callable[[int], float | None]:
    return lambda at: value(pattern, at)


def _recorded_sample(values: dict[int, float], now: int) -> Callable[[int], float | None]:
    """By the coarse step at that time of the day; after the simulation's end, its end."""
    last = (WARM_UP + KEPT) // COARSE

    def sample(at: int) -> float | None:
        ago = max(0, -(-(now - at) // int(COARSE.total_seconds())))
        held = values.get(last - ago % (KEPT // COARSE))
        # Never twice the same: a repeated value would take a single bit to store and no time to read.
        return None if held is None else held * (1 + at % 9973 * 1e-9)

    return sample


def _series(metric: str, labels: Iterable[tuple[str, str]], names: Iterable[str]) -> list[Labels]:
    own = [("__name__", metric), *labels]
    return [frozenset([*own, ("series", name)]) for name in names]
