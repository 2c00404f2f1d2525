"""An HTTP proxy in front of a real part, over TCP or a unix socket: it records requests, and stalls or drops answers.

The part behind it is asked as ever; a fault stands between its answer and the client, and a test chooses the methods
that meet it.
"""

import socket
import threading
from collections.abc import Collection
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Self

CHUNK = 65536
LATE = 3.0  #: seconds


class Fault(Enum):
    """What goes wrong."""

    NOTHING = "nothing"
    STALL_AFTER_CONNECT = "stall after connect"  #: nothing is read, nothing is asked of the part behind
    STALL_BEFORE_ANSWER = "stall before answer"  #: the part behind has done it, and its answer never comes
    STALL_IN_HEADERS = "stall in headers"
    STALL_IN_BODY = "stall in body"
    DRIP = "drip"  #: a byte at a time, so that no wait on the socket is ever long
    LATE = "late"  #: the part behind has done it, and its answer comes some seconds later
    DROP = "drop"  #: the part behind has done it, and the connection closes without a word


class Proxy:
    """Serves from entering to leaving its `with` block; `upstream` and `listen` are unix sockets or (host, port)."""

    def __init__(self, upstream: Path | tuple[str, int], listen: Path | None = None) -> None:
        self.requests: list[str] = []  #: `POST /containers/…`, as they came in
        self._upstream = upstream
        self._fault = Fault.NOTHING
        self._methods: Collection[bytes] = ()
        self._ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX if listen else socket.AF_INET)
        self._listener.bind(str(listen) if listen else ("127.0.0.1", 0))
        self._listener.listen(64)
        self.url = f"unix://{listen}" if listen else f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fail(self, fault: Fault, *methods: str) -> None:
        """From now on; without methods, all of them."""
        self._methods = [method.encode() for method in methods]
        self._fault = fault

    @property
    def changes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith(("GET ", "HEAD "))]

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """One request and its answer: a connection is never used twice."""
        with client, suppress(ConnectionError):
            if self._fault is Fault.STALL_AFTER_CONNECT and not self._methods:
                self._ended.wait()
                return
            request = _message(client)
            if not request:
                return
            method, path, _ = request.split(b" ", 2)
            self.requests.append(f"{method.decode()} {path.decode()}")
            fault = self._fault if not self._methods or method in self._methods else Fault.NOTHING
            if fault is Fault.STALL_AFTER_CONNECT:
                self._ended.wait()
                return
            self._answer(client, self._ask(request), fault)

    def _ask(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        with socket.socket(socket.AF_UNIX if isinstance(self._upstream, Path) else socket.AF_INET) as part:
            part.connect(str(self._upstream) if isinstance(self._upstream, Path) else self._upstream)
            part.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            return b"".join(iter(lambda: part.recv(CHUNK), b""))

    def _answer(self, client: socket.socket, answer: bytes, fault: Fault) -> None:
        head = answer.index(b"\r\n\r\n") + 4
        match fault:
            case Fault.NOTHING:
                client.sendall(answer)
            case Fault.STALL_BEFORE_ANSWER:
                self._ended.wait()
            case Fault.STALL_IN_HEADERS:
                client.sendall(answer[: head // 2])
                self._ended.wait()
            case Fault.STALL_IN_BODY:
                client.sendall(answer[: max(head, len(answer) - 1)])
                self._ended.wait()
            case Fault.LATE:
                self._ended.wait(LATE)
                client.sendall(answer)
            case Fault.DRIP:
                for index in range(len(answer)):
                    client.sendall(answer[index : index + 1])
                    if self._ended.wait(0.2):
                        return


def _message(client: socket.socket) -> bytes:
    """One request with its body."""
    message = b""
    while b"\r\n\r\n" not in message:
        received = client.recv(CHUNK)
        if not received:
            return b""
        message += received
    head, _, body = message.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += client.recv(CHUNK)
    return head + b"\r\n\r\n" + body
