"""Alertmanager's matchers: `name="value"`, `!=`, `=~`, `!~`, anchored, in the same regular expressions (RE2).

Playbooks and the routing use them; a missing label matches as the empty text, as in Alertmanager.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import re2

from receiver.labels import quoted

_SYNTAX = re.compile(r'\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\\n]|\\.)*)"|([^\s"{},]*))\s*')
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@dataclass(frozen=True)
class Matcher:
    """One condition on one label."""

    name: str
    operator: str
    value: str
    _fits: Callable[[str], bool] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`severity=~"high|critical"`; ValueError with the way out otherwise."""
        match = _SYNTAX.fullmatch(text)
        if not match:
            raise ValueError(f'"{text}" is not a matcher; write for example alertname="LatencyAnomaly"')
        name, operator, escaped, bare = match.groups()
        value = bare if escaped is None else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), escaped)
        return cls.of(name, operator, value)

    @classmethod
    def of(cls, name: str, operator: str, value: str) -> Self:
        """From its parts; ValueError when the value is no regular expression, where the operator wants one."""
        return cls(name, operator, value, _fitter(operator, value))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return self._fits(labels.get(self.name, ""))

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{quoted(self.value)}"


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy every matcher."""
    return all(matcher.matches(labels) for matcher in matchers)


def _fitter(operator: str, value: str) -> Callable[[str], bool]:
    if operator == "=":
        return lambda label: label == value
    if operator == "!=":
        return lambda label: label != value
    try:
        # RE2 as in Alertmanager: linear time, whatever a label holds
        pattern: Any = re2.compile(value, _OPTIONS)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f'"{value}" is not a regular expression: {said}') from error
    if operator == "=~":
        return lambda label: pattern.fullmatch(label) is not None
    return lambda label: pattern.fullmatch(label) is None
