"""Alertmanager's API, asked over HTTP of a server that answers as no Alertmanager would: never an empty answer."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import repeat

import pytest

from receiver import alertmanager
from receiver.alertmanager import Alertmanager
from receiver.errors import Temporary
from tests.bed.loopback import Loopback


class Odd(Loopback):
    """Sends one piece after the other, with a pause between."""

    pieces: Iterable[bytes] = ()
    pause = 0.0

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for piece in self.pieces:
            request.wfile.write(piece)
            request.wfile.flush()
            time.sleep(self.pause)


@pytest.fixture
def odd() -> Iterator[Odd]:
    with Odd() as server:
        yield server


def lists(server: Odd) -> bool:
    async def ask() -> bool:
        asked = Alertmanager(server.url)
        try:
            return await asked.lists({"alertname": "Slow"})
        finally:
            await asked.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[1]", b"[{}]", b"[" * 100_000])
def test_an_answer_of_another_form_does_not_say_that_nothing_fires(odd: Odd, body: bytes) -> None:
    odd.pieces = (body,)
    with pytest.raises(Temporary, match="does not answer"):
        lists(odd)


def test_an_answer_that_trickles_in_is_given_up(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "ANSWER_WITHIN", 0.5)
    odd.pieces, odd.pause = repeat(b" "), 0.05
    with pytest.raises(Temporary, match="does not answer"):
        lists(odd)
