"""A person at the pages, without a screen."""

import re
from collections.abc import Iterator

import httpx

from tests.web.conftest import KEYS, Web


class Browser:
    """A person at the pages: keeps cookies, follows redirects, fills in forms."""

    def __init__(self, web: Web) -> None:
        self.client = httpx.Client(
            base_url=web.url, timeout=60, trust_env=False, follow_redirects=True, headers={"Accept": "text/html"}
        )

    def open(self, path: str, code: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == code, answer.text
        return answer.text

    def send(self, path: str, shown: str, **fields: str) -> httpx.Response:
        """Post a form with its hidden fields, as they stand in the page that was shown."""
        return self.client.post(path, data={**dict(hidden(shown)), **fields})

    def sign_in(self, role: str = "viewer") -> httpx.Response:
        return self.send("/sign-in", self.open("/sign-in"), key=KEYS[role])


def hidden(shown: str) -> Iterator[tuple[str, str]]:
    for field in re.findall(r"<input type=\"hidden\"[^>]*>", shown):
        yield re.search('name="([^"]*)"', field)[1], re.search('value="([^"]*)"', field)[1]  # type: ignore[index]
