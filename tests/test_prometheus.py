"""Prometheus' API, asked over HTTP of a server that answers as no Prometheus would: never an empty answer."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeVar

import pytest

from receiver import prometheus
from receiver.errors import Temporary
from receiver.prometheus import Prometheus, Rule, Sample
from tests.bed.loopback import Loopback
from tests.bed.processes import free_port

Answer = TypeVar("Answer")


class Odd(Loopback):
    """Sends the pieces that a test gives it."""

    def __init__(self) -> None:
        self.pieces: Callable[[], Iterator[bytes]] = lambda: iter(())
        super().__init__()

    def answer(self, data: Any) -> None:
        self.pieces = lambda: iter([json.dumps({"status": "success", "data": data}).encode()])

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length", 0)))  # unread, it would reset the connection
        request.send_response(200)
        request.end_headers()
        for piece in self.pieces():
            request.wfile.write(piece)
            request.wfile.flush()


@pytest.fixture
def odd() -> Iterator[Odd]:
    with Odd() as server:
        yield server


def query(server: Odd) -> list[Sample]:
    return _asked(server, lambda asked: asked.query("up"))


def rules(server: Odd) -> list[Rule]:
    return _asked(server, lambda asked: asked.rules())


def _asked(server: Odd, question: Callable[[Prometheus], Awaitable[Answer]]) -> Answer:
    async def ask() -> Answer:
        asked = Prometheus(server.url)
        try:
            return await question(asked)
        finally:
            await asked.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "data",
    [
        {"resultType": "vector", "result": None},
        {"resultType": "vector", "result": [1]},
        {"resultType": "vector", "result": [{"value": [0, "1"]}]},
        {"resultType": "vector", "result": [{"metric": [1], "value": [0, "1"]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [0]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [0, "much"]}]},
        {"resultType": "scalar", "result": None},
    ],
)
def test_samples_of_another_form_are_no_answer(odd: Odd, data: Any) -> None:
    odd.answer(data)
    with pytest.raises(Temporary, match="in a form that is not Prometheus'"):
        query(odd)


@pytest.mark.parametrize("data", [{"groups": None}, {"groups": [1]}, {"groups": [{"rules": [{"duration": "long"}]}]}])
def test_rules_of_another_form_are_no_answer(odd: Odd, data: Any) -> None:
    odd.answer(data)
    with pytest.raises(Temporary, match="in a form that is not Prometheus'"):
        rules(odd)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_no_answer(odd: Odd, body: bytes) -> None:
    odd.pieces = lambda: iter([body])
    with pytest.raises(Temporary, match="answered 200 without JSON"):
        query(odd)


def test_an_answer_that_trickles_in_is_given_up(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "ANSWER_WITHIN", 0.5)

    def trickle() -> Iterator[bytes]:
        while True:
            yield b" "
            time.sleep(0.05)

    odd.pieces = trickle
    with pytest.raises(Temporary, match="does not answer"):
        query(odd)


def test_an_answer_without_end_is_given_up(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "LARGEST_ANSWER", 1024**2)
    odd.pieces = lambda: (b" " * 1024 for _ in range(10_000))
    with pytest.raises(Temporary, match="more than 1 MiB"):
        query(odd)


def test_no_proxy_of_the_environment_is_asked(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    odd.answer({"resultType": "scalar", "result": [0, "3"]})
    assert query(odd) == [Sample({}, 3.0)]
