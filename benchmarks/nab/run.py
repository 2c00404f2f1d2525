"""Runs one rule file over the whole corpus: what an expression gives for each series, at each step of the grid.

The rules see the gauge `nab_value{series="<category>/<name>"}` and keep `series`; nothing tells them of the windows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.engine import JOBS, Answers, TooManySamples, ask
from benchmarks.nab.corpus import Series
from benchmarks.nab.pages import Judged
from benchmarks.nab.stretches import GRID, Stretch, stretches
from receiver.errors import AmendError

FIRING = 'max by (series) (ALERTS{alertstate="firing"})'

Steps = Mapping[int, float]


def judge(rules: str, corpus: Sequence[Series]) -> Judged:
    """For each row of each series: was an alert firing between it and the next row?"""
    firing = answers(rules, corpus, FIRING)
    return [(series, _rows(series, firing[series.name].get("", {}))) for series in corpus]


def answers(rules: str, corpus: Sequence[Series], expr: str) -> dict[str, dict[str, Steps]]:
    """What `expr` gave: series → name of the metric ("" without one) → step on the series' own clock → value."""
    parts = [part for series in corpus for part in stretches(series)]
    # Time is spent by the step: long stretches first, dealt out in turn.
    parts.sort(key=lambda part: (-part.input.last, part.label))
    shards = [parts[job::JOBS] for job in range(JOBS) if parts[job::JOBS]]
    found: dict[str, dict[str, dict[int, float]]] = {series.name: defaultdict(dict) for series in corpus}
    with ThreadPoolExecutor(JOBS) as pool:
        for shard, result in zip(shards, pool.map(lambda shard: _ask(rules, shard, expr), shards), strict=True):
            _gather(found, shard, result)
    return {name: dict(metrics) for name, metrics in found.items()}


def _ask(rules: str, shard: Sequence[Stretch], expr: str) -> Answers:
    """Halves the shard while the tester's limit on samples is hit."""
    try:
        return ask(rules, [part.input for part in shard], expr, every=GRID)
    except TooManySamples as error:
        if len(shard) == 1:
            raise AmendError(f"{error}: a window is too long for {shard[0].label} alone; shorten it") from error
        half = len(shard) // 2
        return {**_ask(rules, shard[:half], expr), **_ask(rules, shard[half:], expr)}


def _gather(found: Mapping[str, dict[str, dict[int, float]]], shard: Iterable[Stretch], result: Answers) -> None:
    by_label = {part.label: part for part in shard}
    for labels, steps in result.items():
        words = dict(labels)
        if "series" not in words:
            raise AmendError(f'{words}: has no label "series"; keep it in every alert, for example with `by: [series]`')
        part = by_label[words["series"]]
        into = found[part.series.name][words.get("__name__", "")]
        into.update({step + part.start: value for step, value in steps.items() if step >= part.run_up})


def _rows(series: Series, firing: Steps) -> list[bool]:
    slots = series.slots(int(GRID.total_seconds()))
    ends = [*slots[1:], slots[-1] + 1]
    return [
        any(step in firing for step in range(slot, max(slot + 1, end))) for slot, end in zip(slots, ends, strict=True)
    ]
