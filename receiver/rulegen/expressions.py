"""What a user's PromQL gives, read from its syntax tree: checks.py and the detectors ask which labels survive it.

Nothing here asks Prometheus: an answer is what the expression promises whatever the metrics carry.
"""

from dataclasses import dataclass, field
from typing import Final

import promql_parser as promql
from promql_parser import AggModifierType, LabelModifierType, VectorMatchCardinality

_SELECTING: Final = ("topk", "bottomk", "limitk", "limit_ratio")  #: aggregations that keep whole series
_UNLABELLED: Final = ("vector", "time", "scalar", "pi")


@dataclass(frozen=True)
class Labels:
    """The labels of an expression's result: exactly `names`, or (`any_other`) whatever the metrics carry, too."""

    names: frozenset[str] = frozenset()
    any_other: bool = False
    dropped: frozenset[str] = field(default=frozenset({"__name__"}))

    def __contains__(self, name: str) -> bool:
        return name in self.names or (self.any_other and name not in self.dropped)

    def plus(self, *names: str) -> "Labels":
        return Labels(self.names | {*names}, self.any_other, self.dropped - {*names})

    def minus(self, *names: str) -> "Labels":
        return Labels(self.names - {*names}, self.any_other, self.dropped | {*names})

    def only(self, *names: str) -> "Labels":
        return Labels(frozenset(name for name in names if name in self))


def parse(expr: str) -> promql.Expr:
    """The syntax tree of an instant vector; ValueError says what is wrong with it."""
    tree: promql.Expr = promql.parse(expr)
    if isinstance(tree, promql.MatrixSelector | promql.SubqueryExpr):
        raise ValueError("it gives a range of samples; wrap it, for example in rate(…) or avg_over_time(…)")
    if isinstance(tree, promql.StringLiteral):
        raise ValueError("it is a text, not a query; take its quotes away")
    if _is_scalar(tree):
        raise ValueError("it gives one bare number; wrap it in vector(…)")
    return tree


def labels_of(tree: promql.Expr) -> Labels:
    """Which labels the result's series carry."""
    match tree:
        case promql.VectorSelector() | promql.MatrixSelector():
            return Labels(any_other=True)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return labels_of(tree.expr)
        case promql.AggregateExpr():
            return _of_aggregation(tree)
        case promql.Call():
            return _of_call(tree)
        case promql.BinaryExpr():
            return _of_binary(tree)
    return Labels()


def speaks_alone(tree: promql.Expr) -> bool:
    """Whether the result may hold samples even while no metric has any, as in `sum(x) or vector(0)`."""
    match tree:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr() | promql.AggregateExpr() | promql.SubqueryExpr():
            return speaks_alone(tree.expr)
        case promql.Call():
            vectors = [each for each in tree.args if not isinstance(each, promql.StringLiteral)]
            return tree.func.name.startswith("absent") or all(speaks_alone(each) for each in vectors)
        case promql.BinaryExpr():
            sides = (speaks_alone(tree.lhs), speaks_alone(tree.rhs))
            return any(sides) if str(tree.op) == "or" else sides[0] if str(tree.op) == "unless" else all(sides)
    return False


def _is_scalar(tree: promql.Expr) -> bool:
    match tree:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(tree.expr)
        case promql.BinaryExpr():
            return _is_scalar(tree.lhs) and _is_scalar(tree.rhs)
        case promql.Call():
            return bool(tree.func.return_type == promql.ValueType.Scalar)
    return False


def _of_aggregation(tree: promql.AggregateExpr) -> Labels:
    inner = labels_of(tree.expr)
    if str(tree.op) in _SELECTING:
        return inner
    modifier = tree.modifier
    if modifier is None:
        kept = Labels()
    elif modifier.type == AggModifierType.By:
        kept = inner.only(*modifier.labels)
    else:
        kept = inner.minus(*modifier.labels)
    if str(tree.op) == "count_values" and isinstance(tree.param, promql.StringLiteral):
        return kept.plus(tree.param.val)
    return kept


def _of_call(tree: promql.Call) -> Labels:
    vectors = [each for each in tree.args if not _is_scalar(each) and not isinstance(each, promql.StringLiteral)]
    if tree.func.name in _UNLABELLED or not vectors:
        return Labels()
    inner = labels_of(vectors[0])
    if tree.func.name == "histogram_quantile":
        return inner.minus("le")
    if tree.func.name in ("label_replace", "label_join") and isinstance(tree.args[1], promql.StringLiteral):
        return inner.plus(tree.args[1].val)
    return inner


def _of_binary(tree: promql.BinaryExpr) -> Labels:
    if _is_scalar(tree.lhs):
        return labels_of(tree.rhs)
    left = labels_of(tree.lhs)
    if _is_scalar(tree.rhs) or str(tree.op) in ("and", "or", "unless"):
        return left
    right = labels_of(tree.rhs)
    modifier = tree.modifier
    if modifier is None or modifier.matching is None:
        return right if left.any_other and not right.any_other else left
    copied = modifier.group_labels or []
    if modifier.card == VectorMatchCardinality.ManyToOne:
        return left.plus(*copied)
    if modifier.card == VectorMatchCardinality.OneToMany:
        return right.plus(*copied)
    if modifier.matching.type == LabelModifierType.Include:
        return left.only(*modifier.matching.labels)
    return left.minus(*modifier.matching.labels)
