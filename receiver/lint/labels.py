"""Which labels the result of a PromQL expression can carry, followed through aggregations and recording rules.

The lint asks it about the rules that playbooks react to. Where it cannot tell it says "may carry", so that no finding
rests on a guess.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import promql_parser as promql

KEEP_ALL = {"topk", "bottomk", "limitk", "limit_ratio"}
SET_OPERATORS = {"and", "unless"}


@dataclass(frozen=True)
class Carried:
    """The labels that a series may carry: those `named` alone, or, when `any`, every label but those `lost`."""

    named: frozenset[str] = frozenset()
    any: bool = False
    lost: frozenset[str] = frozenset()

    def __contains__(self, label: str) -> bool:
        return label in self.named or (self.any and label not in self.lost)

    def __or__(self, other: "Carried") -> "Carried":
        return Carried(
            self.named | other.named,
            self.any or other.any,
            frozenset(label for label in self.lost | other.lost if label not in self and label not in other),
        )

    def __and__(self, other: "Carried") -> "Carried":
        return Carried(
            frozenset(label for label in self.named | other.named if label in self and label in other),
            self.any and other.any,
            self.lost | other.lost,
        )

    def plus(self, labels: Iterable[str]) -> "Carried":
        added = frozenset(labels)
        return Carried(self.named | added, self.any, self.lost - added)

    def minus(self, labels: Iterable[str]) -> "Carried":
        gone = frozenset(labels)
        return Carried(self.named - gone, self.any, self.lost | gone)

    def only(self, labels: Collection[str]) -> "Carried":
        return Carried(frozenset(label for label in labels if label in self))


NOTHING = Carried()
ANYTHING = Carried(any=True)

Recorded = Callable[[promql.VectorSelector], Carried | None]
"""The labels of the series that recording rules write for a selector; None where no rule records it."""


def carried(expr: str, recorded: Recorded) -> Carried:
    """The labels of an expression's result; ANYTHING when it cannot be parsed, as with functions newer than we know."""
    try:
        tree = promql.parse(expr)
    except ValueError:
        return ANYTHING
    return _of(tree, recorded)


def _of(node: Any, recorded: Recorded) -> Carried:
    match node:
        case promql.VectorSelector():
            return _selected(node, recorded)
        case promql.MatrixSelector():
            return _selected(node.vector_selector, recorded)
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
            return _of(node.expr, recorded)
        case promql.AggregateExpr():
            return _aggregated(node, _of(node.expr, recorded))
        case promql.BinaryExpr():
            return _joined(node, _of(node.lhs, recorded), _of(node.rhs, recorded))
        case promql.Call():
            return _called(node, recorded)
        case _:
            return NOTHING


def _selected(selector: promql.VectorSelector, recorded: Recorded) -> Carried:
    absent = [each.name for each in selector.matchers.matchers if each.op == promql.MatchOp.Equal and not each.value]
    known = recorded(selector)
    return (ANYTHING if known is None else known).minus(absent)


def _aggregated(node: promql.AggregateExpr, inner: Carried) -> Carried:
    operator, modifier = str(node.op), node.modifier
    if operator in KEEP_ALL:
        return inner
    if modifier is None:
        result = NOTHING
    elif modifier.type == promql.AggModifierType.By:
        result = inner.only(modifier.labels)
    else:
        result = inner.minus(modifier.labels)
    if operator == "count_values" and isinstance(node.param, promql.StringLiteral):
        return result.plus([node.param.val])
    return result


def _joined(node: promql.BinaryExpr, left: Carried, right: Carried) -> Carried:
    operator, modifier = str(node.op), node.modifier
    if operator in SET_OPERATORS:
        return left
    if operator == "or":
        return left | right
    if _is_scalar(node.rhs):
        return left
    if _is_scalar(node.lhs):
        return right
    if modifier is None:
        return left & right
    if modifier.card == promql.VectorMatchCardinality.ManyToOne:
        return left.plus(modifier.group_labels or [])
    if modifier.card == promql.VectorMatchCardinality.OneToMany:
        return right.plus(modifier.group_labels or [])
    if modifier.matching is None:
        return left & right
    if modifier.matching.type == promql.LabelModifierType.Include:
        return left.only(modifier.matching.labels)
    return left.minus(modifier.matching.labels)


def _called(node: promql.Call, recorded: Recorded) -> Carried:
    name, arguments = node.func.name, node.args
    if name in {"absent", "absent_over_time"}:
        return _equal_labels(arguments[0])
    vectors = [_of(argument, recorded) for argument in arguments if not _is_scalar(argument)]
    result = reduce(lambda one, other: one | other, vectors, NOTHING)
    if node.func.return_type == promql.ValueType.Scalar or name == "vector":
        return NOTHING
    if name in {"label_replace", "label_join"} and isinstance(arguments[1], promql.StringLiteral):
        return result.plus([arguments[1].val])
    if name == "histogram_quantile":
        return result.minus(["le"])
    return result


def _equal_labels(node: Any) -> Carried:
    """What `absent` puts on its answer: the labels that its selector says outright."""
    selector = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
    if not isinstance(selector, promql.VectorSelector):
        return NOTHING
    return NOTHING.plus(each.name for each in selector.matchers.matchers if each.op == promql.MatchOp.Equal)


def _is_scalar(node: Any) -> bool:
    match node:
        case promql.NumberLiteral() | promql.StringLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(node.expr)
        case promql.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case promql.Call():
            return bool(node.func.return_type == promql.ValueType.Scalar)
        case _:
            return False
