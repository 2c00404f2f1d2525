"""What an alert's expression rests on: the value it watches, the raw series behind it, the baseline it compares with.

Verification asks for these so that an empty answer is never taken for a healthy one. Expressions are parsed, never cut
as text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import promql_parser as promql

from receiver.prometheus import Rule, Sample

COMPARISONS = {">", ">=", "<", "<=", "==", "!="}


@dataclass(frozen=True)
class Comparison:
    """The first comparison of an expression: the rest of it only filters."""

    text: str
    watched: str  #: the side that has series: what is watched
    bound: str | None  #: the other side, when it is more than a number
    filters: tuple[str, ...] = ()  #: what is joined to it by `and`


def first_comparison(expr: str) -> Comparison | None:
    """Where an expression decides: the leftmost comparison; None when there is none to be found."""
    return _comparison(promql.parse(expr), ())


def holds(samples: Sequence[Sample], expr: str) -> bool:
    """Whether an answer means yes: a filter that let something through, or a number other than 0."""
    usable = [sample for sample in samples if sample.usable]
    if first_comparison(expr) is not None:
        return bool(usable)
    return any(sample.value != 0 for sample in usable)


def _comparison(node: Any, filters: tuple[str, ...]) -> Comparison | None:
    node = _bare(node)
    if isinstance(node, promql.Call) and node.func.name.startswith("absent"):
        # absent(x) is false just when x has samples
        return Comparison(node.prettify(), _selectors_side(node.args[0]), None, filters)
    if not isinstance(node, promql.BinaryExpr):
        return None
    operator = str(node.op)
    if operator == "and":
        return _comparison(node.lhs, (*filters, node.rhs.prettify()))
    if operator == "unless":
        return _comparison(node.lhs, filters)
    if operator not in COMPARISONS or (node.modifier and node.modifier.return_bool):
        return None
    left, right = (node.rhs, node.lhs) if _is_number(node.lhs) else (node.lhs, node.rhs)
    bound = None if _is_number(right) else right.prettify()
    return Comparison(node.prettify(), left.prettify(), bound, filters)


def _selectors_side(node: Any) -> str:
    text: str = node.vector_selector.prettify() if isinstance(node, promql.MatrixSelector) else node.prettify()
    return text


@dataclass(frozen=True)
class Sources:
    """Which scraped series an expression needs to have: all of these, or any of them."""

    parts: frozenset["Sources | str"]
    any: bool = False


NOTHING = Sources(frozenset())


def sources(expr: str, rules: Sequence[Rule]) -> Sources | str:
    """The selectors of scraped series behind an expression, found through any recording rules.

    Of what `or` joins any side will do: an error counter that has not counted yet has no series.
    """
    return _sources(promql.parse(expr), rules, {})


def _sources(node: Any, rules: Sequence[Rule], known: dict[str, Sources | str]) -> Sources | str:
    def each(nodes: Iterable[Any], *, any: bool = False) -> Sources | str:  # noqa: A002
        return _join((_sources(inner, rules, known) for inner in nodes), any=any)

    if isinstance(node, promql.MatrixSelector):
        return _sources(node.vector_selector, rules, known)
    if isinstance(node, promql.VectorSelector):
        now = _now(node)
        if now not in known:
            recorded = [rule for rule in rules if rule.kind == "recording" and _may_read(node, rule)]
            known[now] = NOTHING if recorded else now  # so that a series recorded from its own past comes to an end
            if recorded:
                known[now] = each((promql.parse(rule.expr) for rule in recorded), any=True)
        return known[now]
    if isinstance(node, promql.BinaryExpr):
        operator = str(node.op)
        return each([node.lhs] if operator == "unless" else [node.lhs, node.rhs], any=operator == "or")
    inside = node.args if isinstance(node, promql.Call) else [getattr(node, "expr", None)]
    return each(inner for inner in inside if isinstance(inner, promql.Expr))


def _join(parts: Iterable[Sources | str], *, any: bool) -> Sources | str:  # noqa: A002
    flat: set[Sources | str] = set()
    for part in parts:
        if isinstance(part, Sources) and (part.any == any or len(part.parts) < 2):
            flat |= part.parts
        else:
            flat.add(part)
    return flat.pop() if len(flat) == 1 else Sources(frozenset(flat), any)


def frozen(expr: str, at: datetime) -> str | None:
    """The expression with its baselines as they were `at` a time, and only the watched value as it is now.

    The leftmost selector is what is watched; every longer range is a baseline and gets an @ modifier. None when there
    is no baseline in it: a fixed bound learns nothing.
    """
    tree = promql.parse(expr)
    spans = _spans(tree)
    if not spans or all(span <= spans[0] for span in spans):
        return None
    stamp = f"@ {at.timestamp():.3f}"

    def pin(node: Any) -> Any:
        if isinstance(node, promql.MatrixSelector | promql.SubqueryExpr) and _range(node) > spans[0]:
            return promql.parse(f"{node.prettify()} {stamp}") if " @ " not in node.prettify() else None
        return None

    return str(promql.transform(tree, post_visit=pin).prettify())


def _spans(node: Any) -> list[timedelta]:
    """The ranges of all selectors, in the order in which they are written; instant ones have none."""
    found: list[timedelta] = []
    inside: list[Any] = []

    def enter(each: Any) -> None:
        if isinstance(each, promql.MatrixSelector | promql.SubqueryExpr):
            found.append(_range(each))
        elif isinstance(each, promql.VectorSelector) and not inside:
            found.append(timedelta())
        if isinstance(each, promql.MatrixSelector):
            inside.append(each)

    def leave(each: Any) -> None:
        if isinstance(each, promql.MatrixSelector):
            inside.pop()

    promql.walk(node, enter, leave)
    return found


def _range(node: Any) -> timedelta:
    span: timedelta = node.range
    return span


def _now(selector: Any) -> str:
    """The selector without offset and @: whether it has samples now."""
    matchers = ",".join(
        f'{matcher.name}{_operator(matcher)}"{_escape(matcher.value)}"' for matcher in selector.matchers.matchers
    )
    return f"{selector.name or ''}{{{matchers}}}"


def _operator(matcher: Any) -> str:
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[str(matcher.op).rpartition(".")[2]]


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _may_read(selector: Any, rule: Rule) -> bool:
    if selector.name != rule.name:
        return False
    wanted = {each.name: each.value for each in selector.matchers.matchers if _operator(each) == "="}
    return all(rule.labels.get(name, value) == value for name, value in wanted.items())


def _bare(node: Any) -> Any:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return node


def _is_number(node: Any) -> bool:
    node = _bare(node)
    if isinstance(node, promql.UnaryExpr):
        node = _bare(node.expr)
    return isinstance(node, promql.NumberLiteral)
