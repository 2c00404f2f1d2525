"""A playbook's `condition`: comparisons of the alert's numbers with and/or/not, and no function calls.

Parsed once when the playbook is read; evaluated by a guard against the numbers in the alert's annotations.
"""

import ast
import itertools
import math
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from receiver.conventions import NUMBERS
from receiver.errors import AmendError

LARGEST = sys.float_info.max  #: what a number is compared with at most: an annotation cannot say more

_COMPARE: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class NoNumber(AmendError):
    """The alert does not carry a number that the condition reads."""


@dataclass(frozen=True)
class Condition:
    """A checked expression, and the text that it was written as."""

    text: str
    _body: ast.expr

    @classmethod
    def parse(cls, text: str) -> Self:
        """`z_score > 3 and not score < 0.5`; ValueError with the way out otherwise."""
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f'"{text}" is not a condition; write for example z_score > 3 and score > 0.6') from error
        _check(body)
        return cls(text, body)

    @property
    def numbers(self) -> frozenset[str]:
        """The annotations that it reads."""
        return frozenset(node.id for node in ast.walk(self._body) if isinstance(node, ast.Name))

    def holds(self, annotations: Mapping[str, str]) -> bool:
        """Whether it is true of an alert's annotations; NoNumber when one that it needs is missing or not finite."""
        return bool(_evaluate(self._body, annotations))


def _check(node: ast.expr) -> None:
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _check(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check(operand)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            for value in (left, *others):
                _check_number(value)
        case _:
            raise ValueError(
                f'"{ast.unparse(node)}" is not a comparison; a condition compares numbers '
                f"({', '.join(NUMBERS)}) with > >= < <= == !=, joined by and, or, not"
            )


def _check_number(node: ast.expr) -> None:
    match node:
        case ast.Name(id=name) if name in NUMBERS:
            pass
        case ast.Name(id=name):
            raise ValueError(f'"{name}" is no number of an alert; known are {", ".join(NUMBERS)}')
        case ast.Constant(value=int() | float() as number) if type(number) is not bool and abs(number) <= LARGEST:
            pass
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check_number(operand)
        case _:
            raise ValueError(f'"{ast.unparse(node)}" is neither a number nor one of {", ".join(NUMBERS)}')


def _evaluate(node: ast.expr, annotations: Mapping[str, str]) -> Any:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_evaluate(value, annotations) for value in values)
        case ast.BoolOp(values=values):
            return any(_evaluate(value, annotations) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _evaluate(operand, annotations)
        case ast.Compare(left=left, ops=ops, comparators=others):
            numbers = [_number(value, annotations) for value in (left, *others)]
            return all(_COMPARE[type(op)](*pair) for op, pair in zip(ops, itertools.pairwise(numbers), strict=True))
        case _:
            raise AssertionError(ast.dump(node))


def _number(node: ast.expr, annotations: Mapping[str, str]) -> float:
    match node:
        case ast.Name(id=name):
            return _annotation(name, annotations)
        case ast.UnaryOp(operand=operand):
            return -_number(operand, annotations)
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case _:
            raise AssertionError(ast.dump(node))


def _annotation(name: str, annotations: Mapping[str, str]) -> float:
    try:
        number = float(annotations[name])
    except KeyError:
        raise NoNumber(f'the alert has no annotation "{name}"') from None
    except ValueError:
        raise NoNumber(f'the annotation "{name}" is not a number: {annotations[name]!r:.80}') from None
    if math.isnan(number):
        raise NoNumber(f'the annotation "{name}" is NaN')
    return number
