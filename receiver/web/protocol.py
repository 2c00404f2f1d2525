"""uvicorn's HTTP protocol with the deadline that it lacks: a connection that does not get to its headers is closed.

`serve` gives it to uvicorn. Without it, whoever opens connections and says nothing holds them for ever.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_WITHIN = 10.0  #: seconds from a connection's, or the next request's, first byte
LARGEST_HEADERS = 64 * 1024  #: bytes


class PunctualProtocol(HttpToolsProtocol):
    _deadline: asyncio.TimerHandle | None = None
    _received = 0  #: bytes since the last request's headers were complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        # what comes after an answer is the next request, or a body that nobody wants
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()
        self._received += len(data)
        super().data_received(data)
        if self._deadline and self._received > LARGEST_HEADERS:
            self._give_up()

    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        if not self._deadline:
            self._received = 0
            self._deadline = self.loop.call_later(HEADERS_WITHIN, self._give_up)

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._disarm()
        self.transport.close()
