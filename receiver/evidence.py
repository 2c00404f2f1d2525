"""What an alert's expression rests on: the value it watches, the raw series behind it, the baseline it compares with.

Verification asks for these so that an empty answer is never taken for a healthy one. Expressions are parsed, never cut
as text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import promql_parser as promql

from receiver.labels import quoted
from receiver.prometheus import Rule, Sample

COMPARISONS = {">", ">=", "<", "<=", "==", "!="}
_RANGES = (promql.MatrixSelector, promql.SubqueryExpr)


@dataclass(frozen=True)
class Comparison:
    """One place where an expression decides; what follows it only filters."""

    text: str
    watched: str  #: the side that has series, without any filter: what is watched
    bound: str | None  #: the other side, when it is more than a number


def comparisons(expr: str) -> tuple[Comparison, ...]:
    """Where an expression decides: it is false when all of these are. None where its being empty shows nothing."""
    return _comparisons(promql.parse(expr))


def watched(expr: str) -> list[str]:
    """What must have samples for an empty answer to mean no."""
    return [each.watched for each in comparisons(expr)] or [expr]


def holds(samples: Sequence[Sample], expr: str) -> bool:
    """Whether an answer means yes: a filter that let something through, or a number other than 0."""
    usable = [sample for sample in samples if sample.usable]
    if _is_filter(promql.parse(expr)):
        return bool(usable)
    return any(sample.value != 0 for sample in usable)


def _comparisons(node: Any) -> tuple[Comparison, ...]:
    node = _bare(node)
    operator = str(node.op) if isinstance(node, promql.BinaryExpr) else ""
    if operator == "or":  # a side that compares nothing is false by its absence, which shows nothing
        sides = _comparisons(node.lhs), _comparisons(node.rhs)
        return (*sides[0], *sides[1]) if all(sides) else ()
    if operator == "and":
        return _comparisons(node.lhs) or _comparisons(node.rhs)
    if operator == "unless":
        return _comparisons(node.lhs)
    if _compares(node):
        left, right = (node.rhs, node.lhs) if _is_number(node.lhs) else (node.lhs, node.rhs)
        bound = None if _is_number(right) else _unfiltered(right)
        return (Comparison(node.prettify(), _unfiltered(left), bound),)
    text, inside = node.prettify(), _unfiltered(node)
    return (Comparison(text, inside, None),) if inside != text else ()


def _compares(node: Any) -> bool:
    """It filters, and does not answer 0 or 1."""
    binary = isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS
    return binary and not (node.modifier and node.modifier.return_bool)


def _is_filter(node: Any) -> bool:
    node = _bare(node)
    operator = str(node.op) if isinstance(node, promql.BinaryExpr) else ""
    if operator == "or":
        return _is_filter(node.lhs) and _is_filter(node.rhs)
    if operator == "and":
        return _is_filter(node.lhs) or _is_filter(node.rhs)
    return _is_filter(node.lhs) if operator == "unless" else _compares(node)


def _unfiltered(node: Any) -> str:
    """What the comparisons in it look at: `count(up == 0)` rests on `count(up)`, and absent(x) is false where x is."""

    def let_through(each: Any) -> Any:
        if _compares(each):
            return each.rhs if _is_number(each.lhs) else each.lhs
        if isinstance(each, promql.Call) and each.func.name.startswith("absent"):
            inside = each.args[0]
            bare = inside.vector_selector if isinstance(inside, promql.MatrixSelector) else inside
            return promql.parse(f"count({bare.prettify()})")
        return None

    text: str = promql.transform(node, post_visit=let_through).prettify()
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
            recorded = _recorded(node, rules)
            known[now] = NOTHING if recorded else now  # so that a series recorded from its own past comes to an end
            if recorded:
                known[now] = each((promql.parse(rule.expr) for rule in recorded), any=True)
        return known[now]
    if isinstance(node, promql.BinaryExpr):
        operator = str(node.op)
        return each([node.lhs] if operator == "unless" else [node.lhs, node.rhs], any=operator == "or")
    if isinstance(node, promql.Call) and node.func.name.startswith("absent"):
        return NOTHING
    return each(_inside(node))


def _join(parts: Iterable[Sources | str], *, any: bool) -> Sources | str:  # noqa: A002
    flat: set[Sources | str] = set()
    for part in parts:
        if isinstance(part, Sources) and (part.any == any or len(part.parts) < 2):
            flat |= part.parts
        else:
            flat.add(part)
    return flat.pop() if len(flat) == 1 else Sources(frozenset(flat), any)


def frozen(expr: str, at: datetime, rules: Sequence[Rule]) -> str | None:
    """A comparison with its baselines as they were `at` a time, and only the watched value as it is now.

    Whatever looks further back than the quickest part of it is a baseline, also when rules record it. None when there
    is no baseline in it: a fixed bound learns nothing.
    """
    tree = _inlined(promql.parse(expr), rules, frozenset())
    reaches = [_reach(selector, rules) for selector in _outermost(tree)]
    if not reaches or max(reaches) == min(reaches):
        return None
    stamp = f"@ {at.timestamp():.3f}"

    def pin(selector: Any) -> Any:
        free = " @ " not in selector.prettify()
        baseline = _reach(selector, rules) > min(reaches)
        return promql.parse(f"{selector.prettify()} {stamp}") if free and baseline else None

    return str(_replaced(tree, pin).prettify())


def _inlined(tree: Any, rules: Sequence[Rule], above: frozenset[str]) -> Any:
    """With the expressions of recorded series in their place: a recorded z-score holds its baseline in itself."""

    def inline(selector: Any) -> Any:
        found = _recorded(selector, rules)
        if not isinstance(selector, promql.VectorSelector) or len(found) != 1 or selector.name in above:
            return None
        (rule,) = found
        if selector.offset or selector.at or not _wanted(selector).items() <= rule.labels.items():
            return None
        text = f"({_inlined(promql.parse(rule.expr), rules, above | {rule.name}).prettify()})"
        for name, value in rule.labels.items():
            text = f'label_replace({text}, "{name}", {quoted(value.replace("$", "$$"))}, "", "")'
        return promql.parse(text)

    return _replaced(tree, inline)


def _reach(node: Any, rules: Sequence[Rule], above: frozenset[str] = frozenset()) -> timedelta:
    """How far it looks back, also through the rules that record what it reads."""
    own = (node.range if isinstance(node, _RANGES) else None) or timedelta()
    inner: list[Any] = list(_inside(node))
    if isinstance(node, promql.MatrixSelector):
        inner = [node.vector_selector]
    if isinstance(node, promql.VectorSelector) and node.name not in above:
        inner = [promql.parse(rule.expr) for rule in _recorded(node, rules)]
        above |= {node.name or ""}
    offset: timedelta = getattr(node, "offset", None) or timedelta()
    furthest = max((_reach(each, rules, above) for each in inner), default=timedelta())
    return max(own, furthest) + max(offset, timedelta())


def _outermost(tree: Any) -> list[Any]:
    """The selectors and subqueries that are inside of no other range."""
    found: list[Any] = []

    def keep(selector: Any) -> None:
        found.append(selector)

    _replaced(tree, keep)
    return found


def _replaced(tree: Any, replacement: Callable[[Any], Any]) -> Any:
    """The tree with every outermost selector or subquery for which there is a replacement replaced."""
    depth = 0

    def enter(node: Any) -> None:
        nonlocal depth
        depth += isinstance(node, _RANGES)

    def leave(node: Any) -> Any:
        nonlocal depth
        depth -= isinstance(node, _RANGES)
        outermost = depth == 0 and isinstance(node, (*_RANGES, promql.VectorSelector))
        return replacement(node) if outermost else None

    return promql.transform(tree, enter, leave)


def _inside(node: Any) -> Iterator[Any]:
    """The expressions that a node is made of."""
    if isinstance(node, promql.BinaryExpr):
        yield from (node.lhs, node.rhs)
        return
    inner = node.args if isinstance(node, promql.Call) else [getattr(node, "expr", None)]
    yield from (each for each in inner if isinstance(each, promql.Expr))


def _now(selector: Any) -> str:
    """The selector without offset and @: whether it has samples now."""
    matchers = ",".join(
        f"{matcher.name}{_operator(matcher)}{quoted(matcher.value)}" for matcher in selector.matchers.matchers
    )
    return f"{selector.name or ''}{{{matchers}}}"


def _operator(matcher: Any) -> str:
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[str(matcher.op).rpartition(".")[2]]


def _recorded(selector: Any, rules: Sequence[Rule]) -> list[Rule]:
    """The rules that record what a selector reads."""
    if not isinstance(selector, promql.VectorSelector):
        return []
    wanted = _wanted(selector)
    return [
        rule
        for rule in rules
        if rule.kind == "recording"
        and rule.name == selector.name
        and all(rule.labels.get(name, value) == value for name, value in wanted.items())
    ]


def _wanted(selector: Any) -> dict[str, str]:
    """The labels that a selector names exactly."""
    return {each.name: each.value for each in selector.matchers.matchers if _operator(each) == "="}


def _bare(node: Any) -> Any:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return node


def _is_number(node: Any) -> bool:
    node = _bare(node)
    if isinstance(node, promql.UnaryExpr):
        node = _bare(node.expr)
    return isinstance(node, promql.NumberLiteral)
