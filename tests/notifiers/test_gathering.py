"""No receiver gets more than its share: what is too much is gathered, told as one, and never lost without a word."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from receiver.notifiers.gathering import SHOWN, WINDOW, Gathering
from receiver.notifiers.notice import Kind, Notice
from receiver.notifiers.receivers import Receivers
from receiver.outbound import Outbound
from receiver.settings.receivers import Receiver
from tests.bed.http_recorder import HttpRecorder
from tests.notifiers.notices import ASKED, SPARE


def told(text: str, severity: str = "") -> Notice:
    return replace(SPARE, message=text, severity=severity)


# ── the limit, on a clock of its own ──

STEPS = st.lists(st.tuples(st.floats(0, 50), st.booleans()), max_size=120)
"""Seconds that pass, and whether a question comes then, or a message."""


def play(most: int, steps: list[tuple[float, bool]]) -> tuple[list[tuple[float, Notice]], list[tuple[float, str]]]:
    """When what went out, and what was given when; whatever waits goes as soon as it may."""
    gathering, now, out, given_ = Gathering(most), 0.0, [], []

    def flush(until: float) -> None:
        while (due := gathering.due) is not None and due <= until:
            if left := gathering.collect():
                gathering.note(max(due, 0.0))
                out.append((max(due, 0.0), left))

    for number, (passed, question) in enumerate(steps):
        flush(now + passed)
        now += passed
        notice = told(f"message {number}")
        if question:
            gathering.note(now)
            out.append((now, replace(ASKED, message=notice.message)))
        else:
            given_.append((now, notice.message))
            if not gathering.give(notice, now):
                out.append((now, notice))
    flush(now + 10 * WINDOW)
    return out, given_


@given(st.integers(1, 7), STEPS)
def test_within_any_minute_no_more_go_out_than_may(most: int, steps: list[tuple[float, bool]]) -> None:
    out, _ = play(most, steps)
    messages = sorted(at for at, notice in out if notice.kind is not Kind.ASKED)
    for first, beyond in zip(messages, messages[most:], strict=False):
        assert beyond >= first + WINDOW, "one more than may, within less than a minute"


@given(st.integers(1, 7), STEPS)
def test_none_is_lost_and_none_is_told_twice(most: int, steps: list[tuple[float, bool]]) -> None:
    out, given_ = play(most, steps)
    assert sum(notice.count for _, notice in out if notice.kind is not Kind.ASKED) == len(given_)
    shown = [text for _, notice in out if notice.kind is not Kind.ASKED for text in notice.gathered or [notice.message]]
    assert len(set(shown)) == len(shown)
    assert set(shown) <= {text for _, text in given_}
    assert shown == sorted(shown, key=lambda text: int(text.split()[1])), "in their order"


@given(st.integers(1, 7), STEPS)
def test_nothing_waits_longer_than_the_window(most: int, steps: list[tuple[float, bool]]) -> None:
    out, given_ = play(most, [(passed, False) for passed, _ in steps])
    when = {text: at for at, text in given_}
    for at, notice in out:
        for text in notice.gathered or [notice.message]:
            assert at <= when[text] + WINDOW


def test_what_was_gathered_says_how_many_there_were_and_the_worst_of_them() -> None:
    gathering = Gathering(1)
    assert gathering.give(told("first"), 0) == 0
    for number in range(30):
        severity = "critical" if number == 7 else "low"
        assert gathering.give(told(f"message {number} {'x' * 1000}", severity), 1) == number + 1
    left = gathering.collect()
    assert left
    assert (left.kind, left.count, len(left.gathered), left.severity) == (Kind.GATHERED, 30, SHOWN, "critical")
    assert left.message.startswith("30 more: message 0 xxx")
    assert len(left.message) < SHOWN * 350


def test_one_alone_is_told_as_it_is() -> None:
    gathering = Gathering(1)
    gathering.give(told("first"), 0)
    gathering.give(told("second"), 0)
    assert gathering.collect() == told("second")
    assert gathering.collect() is None


# ── the receivers, over HTTP ──


class Clock:
    """Stands still until somebody sleeps on it; then all who sleep wake in their order."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        await asyncio.sleep(0.01)
        self.now = max(self.now, until)


def run(
    play: Callable[[Receivers], Awaitable[Any]],
    recorder: HttpRecorder,
    *,
    most: int = 2,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> Any:
    async def running() -> Any:
        clock, outbound = Clock(), Outbound([])
        place = {"name": "team", "max_per_minute": most, "webhook": {"url": f"{recorder.url}/told"}}
        receivers = Receivers([Receiver.model_validate(place)], outbound, clock=clock, sleep=sleep or clock.sleep)
        try:
            return await play(receivers)
        finally:
            await receivers.close(within=1)
            await outbound.close()

    return asyncio.run(running())


async def never(seconds: float) -> None:
    await asyncio.Event().wait()


def test_what_is_too_much_is_told_as_one_when_the_window_opens(recorder: HttpRecorder) -> None:
    async def play(receivers: Receivers) -> list[dict[str, Any]]:
        said = [await receivers.tell("team", told(f"message {number}")) for number in range(5)]
        await asyncio.to_thread(recorder.wait_for, 3)
        return said

    said = run(play, recorder)
    assert said == [{"webhook": {"status": 200}}] * 2 + [{"gathered": 1}, {"gathered": 2}, {"gathered": 3}]
    messages = [request.json()["message"] for request in recorder.requests]
    assert messages == ["message 0", "message 1", "3 more: message 2; message 3; message 4"]


def test_a_question_never_waits(recorder: HttpRecorder) -> None:
    async def play(receivers: Receivers) -> list[dict[str, Any]]:
        for number in range(4):
            await receivers.tell("team", told(f"message {number}"))
        return [await receivers.tell("team", ASKED) for _ in range(3)]

    assert run(play, recorder, sleep=never) == [{"webhook": {"status": 200}}] * 3


def test_what_waits_when_it_stops_is_told_then(recorder: HttpRecorder) -> None:
    async def play(receivers: Receivers) -> None:
        for number in range(4):
            await receivers.tell("team", told(f"message {number}"))

    run(play, recorder, sleep=never)
    assert [each.json()["count"] for each in recorder.requests] == [1, 1, 2]


def test_a_receiver_that_hangs_does_not_hold_up_the_stop(recorder: HttpRecorder) -> None:
    async def play(receivers: Receivers) -> None:
        for number in range(4):
            await receivers.tell("team", told(f"message {number}"))
        recorder.stall()

    began = time.monotonic()
    with capture_logs() as logs:
        run(play, recorder, sleep=never)
    assert time.monotonic() - began < 10
    (line,) = [each for each in logs if each["event"] == "gathered messages were not told"]
    assert (line["receiver"], line["messages"], line["error"]) == ("team", 2, "stopped")


def test_gathered_messages_that_a_place_refuses_are_told_in_the_log(recorder: HttpRecorder) -> None:
    async def play(receivers: Receivers) -> None:
        for number in range(4):
            await receivers.tell("team", told(f"message {number}"))
        recorder.answer(404, b"gone")

    with capture_logs() as logs:
        run(play, recorder, sleep=never)
    (line,) = [each for each in logs if each["event"] == "gathered messages were not told"]
    assert line["error"] == "the webhook answered 404: gone"


@pytest.mark.parametrize("status", [500, 503])
def test_gathered_messages_are_tried_again(recorder: HttpRecorder, status: int) -> None:
    def recover(_: object) -> None:
        if len(recorder.requests) > 3:
            recorder.answer(200)

    async def play(receivers: Receivers) -> None:
        for number in range(4):
            await receivers.tell("team", told(f"message {number}"))
        recorder.before_answer = recover
        recorder.answer(status)
        await asyncio.to_thread(recorder.wait_for, 4)

    run(play, recorder)
    assert recorder.requests[-1].json()["count"] == 2
