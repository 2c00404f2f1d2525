"""A running receiver as the commands ask it: JSON over HTTP, with an API key.

What stands in the way is told in one line with the way out; no answer is taken for an empty one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from receiver.errors import AmendError
from receiver.secret_file import NoSecret, secret_in

PATIENCE = 30.0  #: seconds for one answer
PAGE = 500  #: rows asked for at once


class Unreachable(AmendError):
    """Nobody answered, or nobody whom we can talk to."""


class Refused(AmendError):
    """The receiver answered, and said no."""


class Receiver:
    """A receiver at an address. Use it in a `with` block, which closes its connections."""

    def __init__(self, url: str, key_file: Path | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise Unreachable(f'"{url}" is not an address; write for example http://127.0.0.1:9095 (--url)')
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {_key(key_file)}"} if key_file else {}
        # no proxies from the environment: the key goes to the receiver alone
        self._http = httpx.Client(headers=headers, timeout=PATIENCE, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **filters: Any) -> dict[str, Any]:
        """The JSON object at a path below /api/v1/; filters that are None are left out."""
        given = {name: value for name, value in filters.items() if value not in (None, [])}
        with self._reaching():
            return self._read(self._http.get(f"{self.url}/api/v1/{path}", params=given))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Have something done at a path below /api/v1/; what the receiver says to it. What is empty is left out."""
        given = {name: value for name, value in body.items() if value}
        with self._reaching():
            return self._read(self._http.post(f"{self.url}/api/v1/{path}", json=given))

    def lines(self, path: str) -> Iterator[str]:
        """The lines at a path below /api/v1/, as they come."""
        with self._reaching(), self._http.stream("GET", f"{self.url}/api/v1/{path}") as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                self._read(answer)
            yield from answer.iter_lines()

    def rows(self, noun: str, *, limit: int | None = None, **filters: Any) -> Iterator[dict[str, Any]]:
        """The rows of a collection, newest first, page by page until there are `limit`, or all."""
        told, cursor = 0, None
        while limit is None or told < limit:
            wanted = PAGE if limit is None else min(PAGE, limit - told)
            page = self.get(noun, limit=wanted, cursor=cursor, **filters)
            yield from page[noun]
            told += len(page[noun])
            cursor = page.get("next")
            if cursor is None:
                return

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Tell what stands in the way of an answer."""
        try:
            yield
        except httpx.InvalidURL as error:
            raise Unreachable(f'"{self.url}" is not an address: {error} (--url)') from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"{self.url} did not answer within {PATIENCE:.0f} s (--url)") from error
        except httpx.HTTPError as error:
            raise Unreachable(f'cannot reach {self.url}: {_why(error)}; is "amend serve" running? (--url)') from error

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Unreachable(f"{self.url} answers, but not as Amend does (HTTP {answer.status_code}); check --url")
        if answer.status_code == httpx.codes.OK:
            return body
        said = body.get("error") or f"HTTP {answer.status_code}"
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            said = f'{said}; give an API key with --key-file (or AMEND_KEY_FILE), "amend keys new" makes one'
        raise Refused(f"{self.url}: {said}")


def _key(path: Path) -> str:
    try:
        text = secret_in(path)
    except NoSecret as error:
        raise Unreachable(
            f'{path}: {error}; put the API key there that "amend keys new" printed (--key-file)'
        ) from error
    if not text.isascii() or not text.isprintable():
        raise Unreachable(f'{path}: holds no API key; put what "amend keys new" printed there (--key-file)')
    return text


def _why(error: Exception) -> str:
    """The operating system's own words, from beneath the layers of HTTP."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    said = inner.strerror if isinstance(inner, OSError) and inner.strerror else str(inner)
    return said[:1].lower() + said[1:] if said else type(error).__name__
