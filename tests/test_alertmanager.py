"""Alertmanager's API, asked of a real one, and of a server that answers as none would: never an empty answer."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import repeat

import pytest

from receiver import alertmanager
from receiver.alertmanager import Alertmanager
from receiver.errors import Temporary
from tests.bed.alertmanager import Alertmanager as RealAlertmanager
from tests.bed.alertmanager import amtool, to_webhook
from tests.bed.loopback import Loopback


class Odd(Loopback):
    """Sends one piece after the other, with a pause between."""

    pieces: Iterable[bytes] = ()
    pause = 0.0
    asked = 0

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
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


# ── silences, of a real Alertmanager ──


class Silences:
    """A real Alertmanager, and what our client says of it."""

    def __init__(self, real: RealAlertmanager) -> None:
        self.real = real

    def add(self, *matchers: str, comment: str = "deploying") -> str:
        url = f"--alertmanager.url={self.real.url}"
        return amtool(
            "silence", "add", url, "--author=anna", f"--comment={comment}", "--duration=1h", *matchers
        ).strip()

    def of(self, **labels: str) -> str:
        """The comment of the silence for an alert with these labels; empty without one."""

        async def ask() -> str:
            asked = Alertmanager(self.real.url)
            try:
                found = await asked.silence(labels)
            finally:
                await asked.close()
            return found.comment if found else ""

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def silences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silences]:
    directory = tmp_path_factory.mktemp("silences")
    with RealAlertmanager(directory, to_webhook("http://127.0.0.1:9/")) as real:
        yield Silences(real)


@pytest.mark.parametrize(
    ("matchers", "labels", "silenced"),
    [
        (["service=equal"], {"service": "equal"}, True),
        (["service=equal"], {"service": "equality"}, False),
        (["service=~reg.*"], {"service": "regular"}, True),
        (["service=~reg"], {"service": "regular"}, False),  # anchored
        (['service="both"', "env!=prod"], {"service": "both", "env": "test"}, True),
        (['service="both"', "env!=prod"], {"service": "both", "env": "prod"}, False),
        (['service="not"', "env!~p.*"], {"service": "not", "env": "test"}, True),
        (['service="not"', "env!~p.*"], {"service": "not", "env": "prod"}, False),
        (['service="absent"', 'env=""'], {"service": "absent"}, True),
        (['service="a\\"b"'], {"service": 'a"b'}, True),
    ],
)
def test_an_alert_is_silenced_as_alertmanager_itself_sees_it(
    silences: Silences, matchers: list[str], labels: dict[str, str], *, silenced: bool
) -> None:
    silences.add(*matchers, comment=str(matchers))
    assert (silences.of(**labels) == str(matchers)) is silenced


def test_a_silence_that_was_ended_counts_no_more(silences: Silences) -> None:
    silence = silences.add("service=ended")
    assert silences.of(service="ended") == "deploying"
    amtool("silence", "expire", f"--alertmanager.url={silences.real.url}", silence)
    assert silences.of(service="ended") == ""


def test_a_storm_asks_about_silences_once_more_after_the_first(odd: Odd) -> None:
    odd.pieces = (b"[]",)

    async def storm() -> None:
        asked = Alertmanager(odd.url)
        try:
            await asyncio.gather(*(asked.silence({"service": str(each)}) for each in range(100)))
        finally:
            await asked.close()

    asyncio.run(storm())
    assert odd.asked == 2, "the first asked at once, and the others share what was asked for after they came"


@pytest.mark.parametrize("body", [b"", b"[1]", b"[{}]", b'[{"status": {"state": "active"}}]'])
def test_an_answer_of_another_form_does_not_say_that_nothing_is_silenced(odd: Odd, body: bytes) -> None:
    odd.pieces = (body,)

    async def ask() -> None:
        asked = Alertmanager(odd.url)
        try:
            with pytest.raises(Temporary, match="does not answer"):
                await asked.silence({"service": "orders"})
        finally:
            await asked.close()

    asyncio.run(ask())
