"""Lines of YAML that strangers' names cannot break out of: comments that stay comments, and texts in quotes.

The two texts of a first playbook are made of them.
"""

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Final

import yaml

WIDE: Final = 116  #: characters of a line of comment
WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  #: that some YAML takes for something else
BESIDE: Final = 40  #: the column where a comment beside a value begins, if the value leaves room


def comment(words: str, *, indent: int = 0) -> Iterator[str]:
    """As many lines as it takes."""
    before = " " * indent + "# "
    marked = words.startswith("← ")
    for number, line in enumerate(wrap(spelled(words), WIDE - indent, break_long_words=False, break_on_hyphens=False)):
        yield before + ("  " if marked and number else "") + line


def beside(line: str, words: str) -> str:
    """A value with its comment on the same line."""
    return f"{line.ljust(BESIDE)} # {spelled(words)}"


def quoted(text: str) -> str:
    """In quotes that hold whatever it is; single ones where nothing has to be escaped, as they read better."""
    if text.isprintable() and '"' in text and "'" not in text:
        return f"'{text}'"
    return yaml.dump(text, default_style='"', width=1_000_000, allow_unicode=text.isprintable()).strip()


def mapping(pairs: Iterable[tuple[str, object]]) -> str:
    """`{alertname: "Slow", z_score: 6}`: texts in quotes, numbers as they are."""
    return f"{{{', '.join(f'{_key(key)}: {_value(value)}' for key, value in pairs)}}}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[a-zA-Z_]\w*", name, re.ASCII) and name.lower() not in WORDS else quoted(name)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else quoted(str(value))


def spelled(words: str) -> str:
    """In one line: line feeds and control characters are spelled out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in words)
