"""Each notifier tells a notice, and lets no label of it become markup, address or silence."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.notifiers import NOTIFIERS, notify
from receiver.notifiers.notice import Notice
from receiver.outbound import Outbound
from receiver.settings.receivers import Receiver
from tests.bed.http_recorder import HttpRecorder

NOTICE = Notice(
    message="Restarted <!channel> & <http://evil.example|orders>",
    link="https://amend.example/runs/7",
    run={"id": 7, "playbook": "restart"},
    labels={"service": "orders"},
)


def place(kind: str, recorder: HttpRecorder, **more: str) -> dict[str, Any]:
    return {kind: {"url": f"{recorder.url}/{kind}", **more}}


def send(notice: Notice, **places: Any) -> Mapping[str, Any]:
    async def sending() -> Mapping[str, Any]:
        outbound = Outbound([])  # the allow-list is for playbooks; receivers are the operator's own
        try:
            return await notify(Receiver.model_validate({"name": "team", **places}), notice, outbound)
        finally:
            await outbound.close()

    return asyncio.run(sending())


def test_slack_is_told_with_a_link_and_without_markup_from_labels(recorder: HttpRecorder) -> None:
    assert send(NOTICE, **place("slack", recorder)) == {"slack": {"status": 200}}
    (request,) = recorder.requests
    assert request.json() == {
        "text": "Restarted &lt;!channel&gt; &amp; &lt;http://evil.example|orders&gt;\n"
        "<https://amend.example/runs/7|run 7>"
    }


def test_slack_is_told_without_a_link_where_there_is_none(recorder: HttpRecorder) -> None:
    send(Notice(message="done", link="", run={"id": 7}, labels={}), **place("slack", recorder))
    assert recorder.requests[0].json() == {"text": "done"}


def test_a_webhook_gets_everything_as_json(recorder: HttpRecorder) -> None:
    send(NOTICE, **place("webhook", recorder, bearer_token="s3cret"))
    (request,) = recorder.requests
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.json() == {
        "message": NOTICE.message,
        "link": NOTICE.link,
        "run": {"id": 7, "playbook": "restart"},
        "labels": {"service": "orders"},
    }


def test_every_place_of_a_receiver_is_told(recorder: HttpRecorder) -> None:
    send(NOTICE, **place("slack", recorder), **place("webhook", recorder))
    assert sorted(request.path for request in recorder.requests) == ["/slack", "/webhook"]


@pytest.mark.parametrize("kind", NOTIFIERS)
@pytest.mark.parametrize("status", [302, 400, 403, 404])
def test_an_answer_that_is_no_yes_is_an_error(kind: str, status: int, recorder: HttpRecorder) -> None:
    recorder.answer(status, b"invalid_token", {"Location": recorder.url})
    with pytest.raises(Permanent, match=f"answered {status}: invalid_token"):
        send(NOTICE, **place(kind, recorder))
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("kind", NOTIFIERS)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_place_that_is_busy_or_broken_is_worth_another_try(kind: str, status: int, recorder: HttpRecorder) -> None:
    recorder.answer(status, b"later")
    with pytest.raises(Temporary, match=f"answered {status}: later"):
        send(NOTICE, **place(kind, recorder))


@pytest.mark.parametrize("kind", NOTIFIERS)
def test_of_a_long_answer_an_error_quotes_one_short_line(kind: str, recorder: HttpRecorder) -> None:
    recorder.answer(404, b"<html>\r\n<head>\n\n" + b"no " * 1000)
    with pytest.raises(Permanent) as told:
        send(NOTICE, **place(kind, recorder))
    quoted = str(told.value).partition(" answered 404: ")[2]
    assert quoted.startswith("<html> <head> no no ")
    assert len(quoted) == 120


@pytest.mark.parametrize("kind", NOTIFIERS)
def test_a_lost_answer_is_uncertain(kind: str, recorder: HttpRecorder) -> None:
    recorder.drop()
    with pytest.raises(Uncertain):
        send(NOTICE, **place(kind, recorder))


@pytest.mark.parametrize("kind", NOTIFIERS)
def test_no_error_tells_the_secret_address(kind: str, recorder: HttpRecorder) -> None:
    recorder.answer(400)
    with pytest.raises(Permanent) as told:
        send(NOTICE, **{kind: {"url": f"{recorder.url}/T000/B000/s3cret"}})
    assert "s3cret" not in str(told.value)
    recorder.drop()
    with pytest.raises(Uncertain) as lost:
        send(NOTICE, **{kind: {"url": f"{recorder.url}/T000/B000/s3cret"}})
    assert "s3cret" not in str(lost.value)


def test_a_receiver_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(Permanent, match="no such receiver"):
        asyncio.run(notify(None, NOTICE, Outbound([])))
