"""How far back rules look: for each metric, the stretches of the past that some expression reads.

history.py fills in these and no others, so that every window is full and nothing is loaded that nobody reads.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import promql_parser as promql

LOOKBACK: Final = timedelta(minutes=5)  #: how old a sample may be that an instant selector takes


@dataclass(frozen=True, order=True)
class Stretch:
    """A part of the past, by age."""

    newest: timedelta
    oldest: timedelta


def reach(expressions: Iterable[str]) -> Mapping[str, Sequence[Stretch]]:
    """Metric → what is read of it, without overlaps, newest first."""
    read: dict[str, list[Stretch]] = defaultdict(list)
    for expression in expressions:
        for metric, stretch in _selected(promql.parse(expression), timedelta(), timedelta()):
            read[metric].append(stretch)
    return {metric: list(_merged(stretches)) for metric, stretches in read.items()}


def _selected(tree: promql.Expr, ago: timedelta, over: timedelta) -> Iterator[tuple[str, Stretch]]:
    """Every selector below; `ago` and `over` are what subqueries around it add to its offset and its range."""
    match tree:
        case promql.VectorSelector():
            newest = ago + (tree.offset or timedelta())
            yield _metric(tree), Stretch(newest, newest + over + LOOKBACK)
        case promql.MatrixSelector():
            newest = ago + (tree.vector_selector.offset or timedelta())
            yield _metric(tree.vector_selector), Stretch(newest, newest + over + (tree.range or timedelta()))
        case promql.SubqueryExpr():
            yield from _selected(tree.expr, ago + (tree.offset or timedelta()), over + (tree.range or timedelta()))
        case promql.Call():
            for argument in tree.args:
                yield from _selected(argument, ago, over)
        case promql.BinaryExpr():
            yield from _selected(tree.lhs, ago, over)
            yield from _selected(tree.rhs, ago, over)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.AggregateExpr():
            yield from _selected(tree.expr, ago, over)


def _metric(selector: promql.VectorSelector) -> str:
    assert selector.name, f"{selector}: names no metric, so nobody knows what to fill in"
    return str(selector.name)


def _merged(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    ordered = sorted(stretches)
    current = ordered[0]
    for each in ordered[1:]:
        if each.newest <= current.oldest:
            current = Stretch(current.newest, max(current.oldest, each.oldest))
        else:
            yield current
            current = each
    yield current
