"""The nouns of a rule file, and the file as text laid out to be read.

Detectors return Groups; generate.py writes them out with a comment above each rule and each PromQL expression
as a block of lines.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from textwrap import indent

from receiver.durations import format_duration


@dataclass(frozen=True, kw_only=True)
class Record:
    """A recording rule, and why it exists."""

    record: str
    expr: str
    labels: Mapping[str, str]
    why: str

    def text(self) -> str:
        return "\n".join(
            (
                *_comment(self.why),
                f"- record: {self.record}",
                "  expr: |",
                indent(self.expr, "    "),
                *_mapping("labels", self.labels),
            )
        )


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alerting rule, and why it exists."""

    alert: str
    expr: str
    hold: timedelta
    keep_firing_for: timedelta
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    why: str

    def text(self) -> str:
        times = [("for", self.hold), ("keep_firing_for", self.keep_firing_for)]
        return "\n".join(
            (
                *_comment(self.why),
                f"- alert: {self.alert}",
                "  expr: |",
                indent(self.expr, "    "),
                *(f"  {key}: {format_duration(time)}" for key, time in times if time),
                *_mapping("labels", self.labels),
                *_mapping("annotations", self.annotations),
            )
        )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that Prometheus evaluates one after the other, every `interval`."""

    name: str
    interval: timedelta
    rules: tuple[Record | Alert, ...]
    why: str = field(default="")

    def text(self) -> str:
        return "\n".join(
            (
                *_comment(self.why),
                f"- name: {self.name}",
                f"  interval: {format_duration(self.interval)}",
                "  rules:",
                "\n\n".join(indent(rule.text(), "  ") for rule in self.rules),
            )
        )


def file_text(header: Iterable[str], groups: Iterable[Group]) -> str:
    """A whole rule file; `header` is the comment on top."""
    return "\n".join((*header, "", "groups:", "", "\n\n".join(group.text() for group in groups), ""))


def quoted(text: str) -> str:
    """A YAML scalar that means exactly this text."""
    if '"' in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML scalar, whatever it holds


def folded(text: str, width: int = 100) -> str:
    """The words of a long text over several lines."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join((*lines, line))


def _comment(why: str) -> list[str]:
    return [f"# {line}" for line in folded(why).splitlines()] if why else []


def _mapping(key: str, values: Mapping[str, str]) -> Iterable[str]:
    if not values:
        return
    yield f"  {key}:"
    for name, value in values.items():
        yield f"    {name}: {quoted(value)}"
