"""An HTTP server that keeps every request and answers as told: what webhooks, notifications and http steps reach.

It answers 200 at once unless a test tells it to answer something else, to stall, or to drop the connection.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.bed.loopback import Loopback
from tests.bed.processes import PATIENCE, until


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float  #: time.time()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What a request gets."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] | None = None


class HttpRecorder(Loopback):
    """Records what is sent to `url`, under any path."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.before_answer: Callable[[Request], object] = lambda _: None  #: what happens when a request has come in
        self._answer: Answer | None = Answer()
        self._released = threading.Event()
        self._released.set()
        super().__init__()

    def __exit__(self, *exception: object) -> None:
        self.release()
        super().__exit__(*exception)

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """From now on, give this answer."""
        self._answer = Answer(status, body, headers)

    def drop(self) -> None:
        """From now on, read each request and close the connection without a word."""
        self._answer = None

    def stall(self) -> None:
        """From now on, keep each request waiting for its answer until `release`."""
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def wait_for(self, count: int = 1, *, within: float = PATIENCE) -> list[Request]:
        """All requests, as soon as there are `count` of them."""
        until(lambda: len(self.requests) >= count, within=within, why=f"{count} requests")
        return list(self.requests)

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length", 0))
        seen = Request(
            method=request.command,
            path=request.path,
            headers={name.lower(): text for name, text in request.headers.items()},
            body=request.rfile.read(length),
            at=time.time(),
        )
        self.requests.append(seen)
        self.before_answer(seen)
        self._released.wait()
        if answer := self._answer:
            _send(answer, request)


def _send(answer: Answer, request: BaseHTTPRequestHandler) -> None:
    request.send_response(answer.status)
    for name, text in {"Content-Length": str(len(answer.body)), **(answer.headers or {})}.items():
        request.send_header(name, text)
    request.end_headers()
    request.wfile.write(answer.body)
