"""Text for a person's terminal: tables, and values that cannot play tricks there.

Every command prints through here. Labels come from strangers: escape codes, line feeds and characters that turn the
reading direction are shown as what they are.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

WIDEST = 60  #: characters of a table's cell
WIDEST_LAST = 300  #: of the last one in its row, which pushes nothing aside


def plain(text: object) -> str:
    """A value in one line of printable characters; `\\x1b` and its like are spelled out."""
    whole = "" if text is None else str(text)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in whole)


def say(text: str) -> None:
    """One line on standard output."""
    typer.echo(plain(text))


def complain(text: str) -> None:
    """Lines on standard error."""
    for line in text.splitlines():
        typer.echo(plain(line), err=True)


def say_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=True))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Left-aligned columns under their names."""
    cells = [
        [*(_cut(plain(value), WIDEST) for value in row[:-1]), _cut(plain(row[-1]), WIDEST_LAST)]
        for row in (columns, *rows)
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    for row in cells:
        aligned = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join((*aligned, row[-1])).rstrip())


def say_fields(fields: Mapping[str, object]) -> None:
    """One `name  value` line for each field that has a value."""
    told = {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
    width = max(map(len, told), default=0)
    for name, value in told.items():
        typer.echo(f"{plain(name).ljust(width)}  {plain(inline(value))}")


def inline(value: object) -> str:
    """A mapping as `name=value` pairs; anything else as it is."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={inline(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(inline, value))
    return "" if value is None else str(value)


def moment(text: str | None) -> str:
    """An instant of the API to the second."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S%z") if text else ""


def _cut(text: str, widest: int) -> str:
    return text if len(text) <= widest else f"{text[: widest - 1]}…"
