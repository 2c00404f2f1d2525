import socket
import time
from contextlib import ExitStack

import pytest

from receiver.web import protocol
from tests.bed.processes import until
from tests.bed.receiver import alert, message
from tests.web.conftest import Web


def connect(web: Web) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=10)


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(65536) == b""
    except ConnectionResetError:
        return True


def test_three_hundred_idle_connections_leave_health_alone_and_are_closed(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 1.5)
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(web)) for _ in range(300)]
        started = time.monotonic()
        assert web.client.get("/-/healthy").status_code == 200
        assert web.deliver(message(alert("Slow"))).status_code == 200
        assert time.monotonic() - started < 1.4
        assert all(map(closed, idle))


@pytest.mark.parametrize("beginning", [b"POST /api/v1/alerts HTTP/1.1\r\nHost: a\r\n", b"GET", b"\r\n\r\n"])
def test_headers_that_do_not_end_are_given_up(web: Web, monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
    with connect(web) as client:
        client.sendall(beginning)
        assert closed(client)


def test_headers_that_trickle_after_an_answer_are_given_up_too(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
    with connect(web) as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /-/healthy HTTP/1.1\r\n")
        assert closed(client)


def test_endless_headers_are_given_up_at_once(web: Web) -> None:
    with connect(web) as client:
        started = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\n" + b"X-Long: x\r\n" * 20_000)
        assert closed(client)
        assert time.monotonic() - started < 5


def test_a_connection_that_is_used_stays_open(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
    started = time.monotonic()
    with connect(web) as client:

        def used_for_a_second() -> bool:
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            return time.monotonic() - started > 1

        until(used_for_a_second, within=5, why="a second passes")
