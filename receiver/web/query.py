"""What a GET asks for: filters, labels and the place in a list, checked at the door.

The API and the pages read their query strings here; a mistake is a 400 that says what is known.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

T = TypeVar("T")

MOST = 500  #: rows of one answer
USUAL = 50
LARGEST_ID = 2**63 - 1  #: what a database takes for an id

_LABEL = re.compile(r"""([^=\s"\\\x00-\x1f]+)=([^\x00]*)""", re.DOTALL)  # a quote in a name would end a JSON path


class Query:
    """The query string of a request, of which only known names are taken; an empty value is none."""

    def __init__(self, request: Request, *known: str) -> None:
        self._given = [(name, text) for name, text in request.query_params.multi_items() if text]
        for name, _ in self._given:
            if name not in known:
                raise refused(f'unknown parameter "{name}"; known here: {", ".join(sorted(known)) or "none"}')

    def text(self, name: str) -> str | None:
        found = [text for each, text in self._given if each == name]
        if len(found) > 1:
            raise refused(f'"{name}" is given {len(found)} times; give it once')
        if found and "\x00" in found[0]:
            raise refused(f'"{name}" holds a NUL')
        return found[0] if found else None

    def one_of(self, name: str, words: type[StrEnum]) -> str | None:
        text = self.text(name)
        if text is not None and text not in list(words):
            raise refused(f'{name}: "{text}" is not known; known are {", ".join(words)}')
        return text

    def number(self, name: str, *, least: int = 1, most: int = LARGEST_ID) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
            upper = "" if most == LARGEST_ID else f" and {most}"
            raise refused(f'{name}: "{text}" is not a number {"between" if upper else "from"} {least}{upper}')
        return int(text)

    @property
    def labels(self) -> dict[str, str]:
        """`label=service=cart`, as often as there are labels."""
        found = {}
        for text in (text for each, text in self._given if each == "label"):
            match = _LABEL.fullmatch(text)
            if not match:
                raise refused(f'label: "{text}" is not NAME=VALUE; write for example label=service=cart')
            found[match[1]] = match[2]
        return found

    @property
    def limit(self) -> int:
        return self.number("limit", most=MOST) or USUAL

    @property
    def before(self) -> int | None:
        """The id that the last page ended with."""
        text = self.text("cursor")
        if text is None:
            return None
        last = b""
        with suppress(binascii.Error):
            last = base64.urlsafe_b64decode(text.encode())
        if not re.fullmatch(rb"[0-9]{1,19}", last):
            raise refused('cursor: take the "next" of the page before, as it is')
        return min(int(last), LARGEST_ID)


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a list, and the cursor of the next ones if there are more."""

    rows: Sequence[T]
    next: str | None

    @classmethod
    def cut(cls, rows: Sequence[T], limit: int, id_of: Callable[[T], int]) -> "Page[T]":
        """Of one row more than was asked for."""
        if len(rows) <= limit:
            return cls(rows, None)
        last = str(id_of(rows[limit - 1]))
        return cls(rows[:limit], base64.urlsafe_b64encode(last.encode()).decode())


def refused(message: str) -> HTTPException:
    return HTTPException(400, message)


def number_in_path(request: Request) -> int:
    """The id that a path ends with; 404 when no row can have it."""
    text: str = request.path_params["id"]
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > LARGEST_ID:
        raise HTTPException(404, f'"{text}" is not an id')
    return int(text)
