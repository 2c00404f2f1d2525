"""A threaded HTTP server inside the test process, on a free port of the loopback; targets and recorders build on it.

It serves from entering to leaving its `with` block, whatever its clients do.
"""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Loopback:
    """A subclass says in `respond` what each request gets."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _incoming(self))
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        raise NotImplementedError


def _incoming(server: Loopback) -> type[BaseHTTPRequestHandler]:
    class Incoming(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Any:
            if not name.startswith("do_"):  # the base class looks for one method per HTTP method
                raise AttributeError(name)
            return self._respond

        def _respond(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that gave up waiting
                server.respond(self)

        def log_message(self, *_: object) -> None:
            """A test's output is about the test."""

    return Incoming
