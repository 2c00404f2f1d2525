"""What goes out goes where it may, once, and an error says whether anything was sent."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from socket import create_server

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.outbound import LARGEST_ANSWER, Outbound
from tests.bed.http_recorder import HttpRecorder
from tests.bed.processes import free_port
from tests.bed.proxy import Fault, Proxy


class Sender:
    """An Outbound in a loop of its own."""

    def __init__(self, runner: asyncio.Runner, *allowed: str) -> None:
        self._runner = runner
        self.outbound = Outbound(allowed)

    def send(self, url: str, *, method: str = "POST", within: float = 5, **more: str) -> tuple[int, str]:
        return self._runner.run(self.outbound.send(method, url, within=within, **more))  # type: ignore[arg-type]

    def send_allowed(self, url: str) -> tuple[int, str]:
        return self._runner.run(self.outbound.send_allowed("POST", url, within=60))


@pytest.fixture
def sender() -> Iterator[Sender]:
    with asyncio.Runner() as runner:
        sender = Sender(runner, "127.0.0.1", "Hooks.Example")
        yield sender
        runner.run(sender.outbound.close())


def test_an_answer_comes_back_with_its_status(sender: Sender, recorder: HttpRecorder) -> None:
    recorder.answer(418, b"short and stout")
    assert sender.send(f"{recorder.url}/tea?a=b", content="leaves") == (418, "short and stout")
    (request,) = recorder.requests
    assert (request.method, request.path, request.body) == ("POST", "/tea?a=b", b"leaves")


def test_of_a_large_answer_only_the_beginning_is_read(sender: Sender, recorder: HttpRecorder) -> None:
    recorder.answer(200, b"x" * 10_000_000)
    assert len(sender.send(recorder.url)[1]) == LARGEST_ANSWER


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(sender: Sender, recorder: HttpRecorder, status: int) -> None:
    recorder.answer(status, headers={"Location": f"{recorder.url}/elsewhere"})
    assert sender.send(recorder.url)[0] == status
    assert [request.path for request in recorder.requests] == ["/"]


def test_no_proxy_of_the_environment_sees_it(
    sender: Sender, recorder: HttpRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    assert sender.send(recorder.url)[0] == 200


# ── where it may not go ──


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
    ],
)
def test_nothing_is_sent_to_a_link_local_address(sender: Sender, url: str) -> None:
    with pytest.raises(Permanent, match="link-local address"):
        sender.send(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/",
        "http://127.0.0.1.other.example/",
        "http://127.0.0.1@other.example/",
        "http://127.0.0.1:80@other.example/",
        "http://other.example/?127.0.0.1",
        "http://other.example#@127.0.0.1",
        "http://localhost/",
    ],
)
def test_a_host_that_is_not_on_the_list_is_refused(sender: Sender, url: str) -> None:
    with pytest.raises(Permanent, match="is not allowed; add it to"):
        sender.send_allowed(url)


def test_a_host_on_the_list_is_reached_however_it_is_written(sender: Sender, recorder: HttpRecorder) -> None:
    assert sender.send_allowed(recorder.url)[0] == 200
    with pytest.raises(Temporary, match="cannot look up"):  # allowed, and nobody has that name
        sender.send_allowed("http://HOOKS.example/")


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "//127.0.0.1/", "http://[::1", "http://a:99999/"]
)
def test_what_is_no_address_is_refused(sender: Sender, url: str) -> None:
    with pytest.raises(Permanent, match="not a"):
        sender.send(url)
    with pytest.raises(Permanent, match="not a"):
        sender.send_allowed(url)


def test_a_header_cannot_be_broken_in_two(sender: Sender, recorder: HttpRecorder) -> None:
    with pytest.raises(Permanent, match="not a request that can be sent"):
        sender.send(recorder.url, headers={"X-Label": "a\r\nX-Other: b"})  # type: ignore[arg-type]
    assert recorder.requests == []


def test_a_header_that_cannot_be_sent_is_not_quoted(sender: Sender, recorder: HttpRecorder) -> None:
    with pytest.raises(Permanent, match="a header") as refused:
        sender.send(recorder.url, headers={"Authorization": "Bearer s3cret of orders\n"})  # type: ignore[arg-type]
    assert "s3cret" not in str(refused.value)


# ── what an error means ──


def test_a_refused_connection_means_that_nothing_was_sent(sender: Sender) -> None:
    with pytest.raises(Temporary, match="cannot reach"):
        sender.send(f"http://127.0.0.1:{free_port()}/")


def test_a_name_that_nobody_has_means_that_nothing_was_sent(sender: Sender) -> None:
    with pytest.raises(Temporary, match="cannot look up"):
        sender.send("http://nobody.invalid/")


def test_a_connection_that_ends_without_an_answer_is_uncertain(sender: Sender, recorder: HttpRecorder) -> None:
    recorder.drop()
    with pytest.raises(Uncertain, match="and no answer"):
        sender.send(recorder.url)
    assert len(recorder.requests) == 1


def test_an_answer_that_does_not_come_in_time_is_uncertain(sender: Sender, recorder: HttpRecorder) -> None:
    recorder.stall()
    with pytest.raises(Uncertain, match="no answer within 1s"):
        sender.send(recorder.url, within=1)
    assert len(recorder.requests) == 1


def test_an_answer_that_is_no_http_is_uncertain(sender: Sender) -> None:
    async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"hm?\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask() -> None:
        with closing(create_server(("127.0.0.1", 0))) as listening:
            async with await asyncio.start_server(mumble, sock=listening):
                await sender.outbound.send("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/", within=60)

    with pytest.raises(Uncertain):
        sender._runner.run(ask())


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_longer(sender: Sender, recorder: HttpRecorder) -> None:
    recorder.answer(200, b"x" * 10_000)
    host, port = recorder.address.split(":")
    with Proxy((host, int(port))) as between:
        between.fail(Fault.DRIP)
        with pytest.raises(Uncertain, match="no answer within 1s"):
            sender.send(between.url, within=1)
