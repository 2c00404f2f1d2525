"""uvicorn's HTTP protocol with what it lacks: a deadline for headers, and room for whoever comes when all is taken.

`serve` gives it to uvicorn. Without it, whoever opens connections and says nothing holds them for ever, and shuts out
everybody else.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_WITHIN = 10.0  #: seconds from a connection's, or the next request's, first byte
LARGEST_HEADERS = 64 * 1024  #: bytes


class PunctualProtocol(HttpToolsProtocol):
    _deadline: asyncio.TimerHandle | None = None
    _received = 0  #: bytes since the last request's headers were complete
    _waiting_since = 0.0  #: when the connection, or the last request's answer, was there

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._make_room()
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        # what comes after an answer is the next request, or a body that nobody wants
        if self._waiting:
            self._expect_headers()
        self._received += len(data)
        super().data_received(data)
        if self._deadline and self._received > LARGEST_HEADERS:
            self._give_up()

    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    @property
    def _waiting(self) -> bool:
        """For a request."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> None:
        """Close the connection that has asked for nothing for longest, when there are as many as there may be.

        At its limit uvicorn answers 503 to every request, those for health among them.
        """
        if self.limit_concurrency is None or len(self.connections) < self.limit_concurrency:
            return
        others = [each for each in self.connections - {self} if isinstance(each, PunctualProtocol)]
        idle = [each for each in others if each._waiting]
        if idle:
            longest = min(idle, key=lambda each: each._waiting_since)
            longest.transport.abort()  # not close(), which waits for what a client does not read
            self.connections.discard(longest)  # now: the next request may come before it is told of its end

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
