"""A page of the docs as the tests read it: its headings, tables, code blocks and links."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.bed.parts import ROOT

_HEADING = re.compile(r"(#+) (.*)")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced piece of code. `language` and `kind` stand behind its fence: ```yaml playbook."""

    page: "Page"
    line: int
    language: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: Sequence[str]

    @property
    def words(self) -> list[str]:
        """What the row is about: the code in its first cell."""
        return _CODE.findall(self.cells[0])


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def blocks(self) -> list[Block]:
        return list(_blocks(self))

    @cached_property
    def prose(self) -> list[str]:
        """Its lines, with those of code blocks empty."""
        lines = self.text.splitlines()
        for block in self.blocks:
            end = block.line + block.text.count("\n") + 1
            lines[block.line - 1 : end] = [""] * (end - block.line + 1)
        return lines

    @property
    def headings(self) -> list[str]:
        return [found[2] for line in self.prose if (found := _HEADING.fullmatch(line))]

    @property
    def anchors(self) -> set[str]:
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    @property
    def links(self) -> list[str]:
        return _LINK.findall("\n".join(self.prose))

    @property
    def code(self) -> list[str]:
        """Every word in code style outside of code blocks."""
        return _CODE.findall("\n".join(self.prose))

    def section(self, heading: str) -> str:
        """The lines below a heading, up to the next one of whatever level."""
        inside, lines = False, []
        for line in self.prose:
            if found := _HEADING.fullmatch(line):
                inside = found[2] == heading
            elif inside:
                lines.append(line)
        assert lines, f'{self} has no section "{heading}"'
        return "\n".join(lines)

    def rows(self, heading: str, about: str = "") -> list[Row]:
        """The rows of a section's tables; only of those whose first column is `about` that, if it is given."""
        tables = _tables(self.section(heading))
        return [row for head, _, *rows in tables if about in ("", head.cells[0]) for row in rows]

    def words(self, heading: str, about: str = "") -> list[str]:
        return [word for row in self.rows(heading, about) for word in row.words]


def _tables(text: str) -> Iterator[list[Row]]:
    table: list[Row] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            table.append(Row([cell.strip().replace("\\|", "|") for cell in cells]))
        elif table:
            yield table
            table = []


def _blocks(page: Page) -> Iterator[Block]:
    pattern = re.compile(r"^(```+)(\w*) ?(.*)\n((?:.*\n)*?)\1$", re.MULTILINE)
    for found in pattern.finditer(page.text):
        line = page.text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2], found[3], found[4])


README = Page(ROOT / "README.md")
PAGES = [README, *(Page(path) for path in sorted((ROOT / "docs").rglob("*.md")))]


def reference(name: str) -> Page:
    return Page(ROOT / "docs" / "reference" / f"{name}.md")
