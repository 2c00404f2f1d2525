import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from receiver.web import protocol
from tests.bed.processes import until
from tests.bed.receiver import alert, message
from tests.web.conftest import TOKEN, Web


def connect(web: Web) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=60)


def ask(client: socket.socket) -> None:
    client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def closed(client: socket.socket) -> bool:
    try:
        return client.recv(65536) == b""
    except ConnectionResetError:
        return True


def test_three_hundred_idle_connections_leave_health_alone(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 3600)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(web))
        assert web.client.get("/-/healthy").status_code == 200
        assert web.deliver(message(alert("Slow"))).status_code == 200


def test_idle_connections_are_closed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
    with ExitStack() as stack:
        assert all(map(closed, [stack.enter_context(connect(web)) for _ in range(300)]))


@pytest.mark.parametrize("asked_before", [False, True])
def test_more_idle_connections_than_there_may_be_shut_nobody_out(tmp_path: Path, asked_before: bool) -> None:
    with Web(tmp_path, most_connections=50) as web, ExitStack() as stack:
        idle: list[socket.socket] = []
        for _ in range(80):
            idle.append(stack.enter_context(connect(web)))
            if asked_before:
                ask(idle[-1])
        assert web.client.get("/-/healthy").status_code == 200
        assert web.deliver(message(alert("Slow"))).status_code == 200
        assert closed(idle[0])  # the one that waited for longest
        ask(idle[-1])  # and not the last


def test_a_request_under_way_is_never_closed_for_room(tmp_path: Path) -> None:
    body = json.dumps(message(alert("Slow"))).encode()
    head = f"POST /api/v1/alerts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with Web(tmp_path, most_connections=50) as web, ExitStack() as stack:
        upload = stack.enter_context(connect(web))
        upload.sendall(head.encode() + body[:10])
        for _ in range(80):
            stack.enter_context(connect(web))
        assert web.client.get("/-/healthy").status_code == 200
        upload.sendall(body[10:])
        assert upload.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("beginning", [b"POST /api/v1/alerts HTTP/1.1\r\nHost: a\r\n", b"GET", b"\r\n\r\n"])
def test_headers_that_do_not_end_are_given_up(web: Web, monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
    with connect(web) as client:
        client.sendall(beginning)
        assert closed(client)


def test_headers_that_trickle_after_an_answer_are_given_up_too(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(web) as client:
        ask(client)
        monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
        client.sendall(b"GET /-/healthy HTTP/1.1\r\n")
        assert closed(client)


def test_endless_headers_are_given_up_at_once(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADERS_WITHIN", 3600)
    with connect(web) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"X-Long: x\r\n" * 20_000)
        assert closed(client)


def test_a_connection_that_is_used_stays_open(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(web) as client:
        ask(client)
        monkeypatch.setattr(protocol, "HEADERS_WITHIN", 0.3)
        started = time.monotonic()

        def used_for_a_second() -> bool:
            ask(client)
            return time.monotonic() - started > 1

        until(used_for_a_second, why="a second passes")
