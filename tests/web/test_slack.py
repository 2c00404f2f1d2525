"""Clicks in Slack: signed or nothing, by whom Slack says, once, in time, and only from those who were asked."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from receiver.approval import Answer, Approval
from receiver.outbound import Outbound
from receiver.run import Status
from receiver.settings.receivers import Receiver
from receiver.store import approvals
from tests.bed.http_recorder import HttpRecorder
from tests.web.conftest import Web
from tests.web.seed import Seed
from tests.workbench import Bench

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TEAMS = {"team-shop": {"slack_users": ["U0ANNA"]}, "team-ops": {"slack_users": ["U0BEN"], "api_keys": ["the-admin"]}}
REPLY_TO = "https://hooks.slack.com/actions/T000/1/s3cret"


class Redirected(Outbound):
    """Sends what is for Slack to a recorder, and keeps for whom it was."""

    def __init__(self, recorder: HttpRecorder) -> None:
        super().__init__(())
        self.asked_for: list[str] = []
        self._recorder = recorder

    async def send(self, method: str, url: str, **kwargs: Any) -> tuple[int, str]:
        self.asked_for.append(url)
        return await super().send(method, f"{self._recorder.url}{urlsplit(url).path}", **kwargs)


@pytest.fixture
def slack(recorder: HttpRecorder) -> Redirected:
    return Redirected(recorder)


@pytest.fixture
def web(tmp_path: Path, slack: Redirected) -> Iterator[Web]:
    with Web(tmp_path, teams=TEAMS, outbound=slack, slack={"signing_secret": SECRET}) as web:
        web.now = NOON + MINUTE
        yield web


@pytest.fixture
def asked(web: Web) -> Approval:
    return ask(web)


def ask(web: Web, *approvers: str) -> Approval:
    seed = Seed(web)
    return seed.ask(seed.matched(seed.episode(NOON), NOON), NOON, approvers=approvers or ["team-shop"])


def click(web: Web, asked: Approval, *, user: str = "U0ANNA", press: str = "amend_approve", **more: Any) -> Any:
    """What Slack sends when somebody presses a button."""
    action = {"action_id": press, "block_id": "amend_decide", "value": web.doors.signer.approval(asked)}
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "anna", "team_id": "T000"},
        "actions": [action],
        "response_url": REPLY_TO,
        "message": {
            "blocks": [{"type": "header"}, {"type": "actions", "block_id": "amend_decide"}, {"type": "context"}]
        },
        **more,
    }


def headers(web: Web, body: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    moment = str(round(web.now.timestamp() if at is None else at))
    digest = hmac.new(secret.encode(), b"v0:" + moment.encode() + b":" + body, hashlib.sha256).hexdigest()
    form = "application/x-www-form-urlencoded"
    return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}", "Content-Type": form}


def post(web: Web, body: bytes, **how: Any) -> httpx.Response:
    return web.client.post("/api/v1/slack", content=body, headers=headers(web, body, **how))


def press(web: Web, payload: Any) -> httpx.Response:
    return post(web, urlencode({"payload": json.dumps(payload)}).encode())


def answer(web: Web) -> tuple[Answer | None, str]:
    found = web.read(lambda connection: approvals.latest(connection, 1))
    assert found
    return found.decision, found.decided_by


# ── those who were asked ──


@pytest.mark.parametrize(("button", "said"), [("amend_approve", "approved"), ("amend_reject", "rejected")])
def test_a_click_decides_and_the_books_say_whose_it_was(
    web: Web, asked: Approval, button: str, said: str, recorder: HttpRecorder
) -> None:
    answered = press(web, click(web, asked, press=button))
    assert (answered.status_code, answered.json()) == (200, {"status": said, "run": 1})
    assert answer(web) == (said, "slack:U0ANNA (anna)")
    (row,) = web.get("/api/v1/audit", kind=said).json()["audit"]
    assert row["actor"] == "slack:U0ANNA (anna)"
    assert web.woken == 1
    (reply,) = recorder.wait_for(1)
    assert isinstance(web.outbound, Redirected)
    assert web.outbound.asked_for == [REPLY_TO]
    told = reply.json()
    assert (told["replace_original"], told["text"]) == (True, f"Run 1: {said} by slack:U0ANNA (anna)")
    assert [block["type"] for block in told["blocks"]] == ["header", "section", "context"], "the buttons are gone"


def test_who_is_in_another_team_is_told_so_alone(web: Web, asked: Approval, recorder: HttpRecorder) -> None:
    for user in ("U0BEN", "U0STRANGER"):
        answered = press(web, click(web, asked, user=user))
        assert (answered.status_code, answered.json()["status"]) == (200, "refused")
        assert "in none of the teams that were asked: team-shop" in answered.json()["error"]
    assert answer(web)[0] is None
    replies = recorder.wait_for(2)
    assert {each.json()["response_type"] for each in replies} == {"ephemeral"}
    assert not any(each.json()["replace_original"] for each in replies)


def test_a_question_to_everybody_is_answered_by_whoever_is_in_any_team_and_by_no_stranger(web: Web) -> None:
    seed = Seed(web)
    asked = seed.ask(seed.matched(seed.episode(NOON), NOON), NOON)
    refused = press(web, click(web, asked, user="U0STRANGER"))
    assert "is in no team" in refused.json()["error"]
    assert answer(web)[0] is None
    assert press(web, click(web, asked, user="U0BEN")).json()["status"] == "approved"


def test_a_name_is_no_identity(web: Web, asked: Approval) -> None:
    stranger = {"id": "U0STRANGER", "username": "U0ANNA", "name": "slack:U0ANNA (anna)"}
    assert press(web, click(web, asked, user="U0ANNA") | {"user": stranger}).json()["status"] == "refused"
    assert answer(web)[0] is None


def test_a_name_is_written_down_as_it_can_be_read(web: Web, asked: Approval) -> None:
    hostile = {"id": "U0ANNA", "username": "a\x00\n\u202e\ud800" + "x" * 500}
    assert press(web, click(web, asked) | {"user": hostile}).status_code == 200
    by = answer(web)[1]
    assert by.startswith(r"slack:U0ANNA (a\x00\n\u202e?xxx")
    assert len(by) < 110


def test_a_key_does_not_pass_for_somebody_in_slack_nor_the_other_way_round(web: Web, asked: Approval) -> None:
    assert web.post("/api/v1/runs/1/approve", role="admin").status_code == 403
    assert answer(web)[0] is None


# ── once, in time, about this ──


def test_a_click_that_is_sent_again_changes_nothing(web: Web, asked: Approval, recorder: HttpRecorder) -> None:
    body = urlencode({"payload": json.dumps(click(web, asked))}).encode()
    assert post(web, body).json()["status"] == "approved"
    assert "it was approved already, by slack:U0ANNA (anna)" in post(web, body).json()["error"]
    assert len(web.get("/api/v1/audit", kind="approved").json()["audit"]) == 1
    assert recorder.wait_for(2)[1].json()["text"] == "Not taken: it was approved already, by slack:U0ANNA (anna)"


def test_of_twenty_clicks_at_once_one_counts(web: Web, asked: Approval) -> None:
    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(lambda _: press(web, click(web, asked)).json()["status"], range(20)))
    assert sorted(said) == ["approved"] + ["refused"] * 19


def test_a_click_that_comes_too_late_is_told_so(web: Web, asked: Approval) -> None:
    web.now = NOON + 10 * MINUTE
    assert "the time to decide was over at 2026-03-02 12:10:00 UTC" in press(web, click(web, asked)).json()["error"]
    assert answer(web)[0] is None


def test_a_button_that_was_altered_is_none_of_ours(web: Web, asked: Approval) -> None:
    good = click(web, asked)
    token = good["actions"][0]["value"]
    for bad in ("", "x", token[:-1], token + "A", "A" + token[1:], web.doors.signer.sign("session", [1])):
        altered = {**good, "actions": [{**good["actions"][0], "value": bad}]}
        assert "not one of ours" in press(web, altered).json()["error"]
    assert answer(web)[0] is None


# ── signed ──


def test_what_slack_did_not_sign_is_not_read(web: Web, asked: Approval) -> None:
    body = urlencode({"payload": json.dumps(click(web, asked))}).encode()
    good = headers(web, body)
    forged = [
        {},
        {**good, "X-Slack-Signature": ""},
        {**good, "X-Slack-Signature": good["X-Slack-Signature"][:-1] + "0g"[good["X-Slack-Signature"][-1] == "0"]},
        {**good, "X-Slack-Signature": good["X-Slack-Signature"].removeprefix("v0=")},
        {**good, "X-Slack-Request-Timestamp": str(int(good["X-Slack-Request-Timestamp"]) + 1)},
        {**good, "X-Slack-Request-Timestamp": "now"},
        {**good, "X-Slack-Request-Timestamp": "9" * 400},
        headers(web, body, secret="another"),
        headers(web, body + b"&more=1"),
    ]
    for each in forged:
        answered = web.client.post("/api/v1/slack", content=body, headers=each)
        assert (answered.status_code, "not signed by Slack" in answered.json()["error"]) == (401, True), each
    assert answer(web)[0] is None


@pytest.mark.parametrize(("seconds", "code"), [(-301, 401), (-299, 200), (299, 200), (301, 401)])
def test_a_signature_is_good_for_five_minutes(web: Web, asked: Approval, seconds: int, code: int) -> None:
    body = urlencode({"payload": json.dumps(click(web, asked))}).encode()
    assert post(web, body, at=web.now.timestamp() + seconds).status_code == code
    assert (answer(web)[0] is None) == (code == 401)


def test_without_a_signing_secret_there_is_no_such_door(tmp_path: Path) -> None:
    with Web(tmp_path) as web:
        answered = web.client.post("/api/v1/slack", content=b"")
        assert (answered.status_code, "slack.signing_secret_file" in answered.json()["error"]) == (404, True)


# ── the whole way ──

ASKS = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  approval: {approvers: [team-shop], timeout: 10m}
  steps:
  - restart: {}
  - notify: {receiver: team-shop, message: "restarted {{ target.name }}"}
"""


def test_from_the_alert_by_way_of_a_button_to_the_action(tmp_path: Path, recorder: HttpRecorder) -> None:
    team = Receiver.model_validate({"name": "team-shop", "slack": {"url": f"{recorder.url}/slack"}})
    bench = Bench(tmp_path, ASKS, receivers=[team], slack_buttons=True)
    with Web(tmp_path, teams=TEAMS, outbound=Redirected(recorder), slack={"signing_secret": SECRET}) as web:
        bench.signer = web.doors.signer
        web.now = bench.now
        with bench:
            bench.fire(annotations={"summary": "it is slow", "z_score": "4.2"})
            assert bench.run().status is Status.WAITING
            (question,) = recorder.requests
            shown = json.dumps(question.json())
            assert "May restart do restart, notify on docker/local/container/orders?" in shown
            assert "it is slow" in shown
            (buttons,) = [block for block in question.json()["blocks"] if block.get("block_id") == "amend_decide"]
            action = {name: buttons["elements"][0][name] for name in ("action_id", "value")}
            payload = {
                "type": "block_actions",
                "user": {"id": "U0ANNA", "username": "anna"},
                "actions": [action],
                "message": question.json(),
                "response_url": REPLY_TO,
            }
            assert press(web, payload).json() == {"status": "approved", "run": 1}
            bench.work()
            assert bench.calls == [("restart", "orders")]
            rows = {entry.kind: entry for entry in bench.audit()}
            assert rows["approved"].actor == "slack:U0ANNA (anna)"
            texts = sorted(each.json()["text"] for each in recorder.wait_for(3)[1:])
            assert texts[0] == "Run 1: approved by slack:U0ANNA (anna)"
            assert texts[1].startswith("restarted orders")
            done = next(json.dumps(each.json()) for each in recorder.requests if "Done" in json.dumps(each.json()))
            assert "restart: done" in done


# ── whatever comes in ──

DEEP = "[" * 60_000 + "]" * 60_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"payload=",
        b"payload=%7B",
        b"payload=[]",
        b"payload=null",
        b"payload=%ff%fe",
        b"\xff\xfe\x00",
        b"payload=" + b"1" * 5000,
        b"payload=" + DEEP.encode(),
        b"&".join(b"a=1" for _ in range(1000)),
        b'payload={"type":"block_actions"}',
        b'payload={"type":"block_actions","user":{"id":"x"}}',
        b'payload={"type":"block_actions","user":{"id":"U0ANNA"},"actions":{}}',
        b'payload={"type":"block_actions","user":{"id":"U0ANNA"},"actions":[{"action_id":7}]}',
        b'payload={"type":"block_actions","user":{"id":"U0ANNA"},"actions":[{"action_id":"amend_approve","value":[]}]}',
        b'payload={"type":7,"user":"U0ANNA"}',
    ],
)
def test_a_payload_that_is_none_is_a_400(web: Web, body: bytes) -> None:
    answered = post(web, body)
    assert (answered.status_code, answered.json()["status"]) == (400, "error"), answered.text


def test_a_body_that_never_ends_is_cut_short(web: Web) -> None:
    assert post(web, b"payload=" + b"x" * 1_000_000).status_code == 413


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "view_submission", "user": {"id": "U0ANNA"}},
        {"type": "block_actions", "user": {"id": "U0ANNA"}, "actions": [{"action_id": "amend_open"}]},
        {"type": "block_actions", "user": {"id": "U0ANNA"}, "actions": []},
    ],
)
def test_what_is_no_answer_is_taken_and_changes_nothing(web: Web, asked: Approval, payload: Mapping[str, Any]) -> None:
    answered = press(web, payload)
    assert (answered.status_code, answered.json()) == (200, {"status": "ignored"})
    assert answer(web)[0] is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://hooks.slack.com/actions/1",
        "https://hooks.slack.com.evil.example/actions/1",
        "https://evil.example/hooks.slack.com/1",
        "https://hooks.slack.com@evil.example/1",
        "https://hooks.slack.com:8443/1",
        "https://hooks.slack.com\\@evil.example/1",
        "https://hooks.slack.com/1?to=x",
        "https://hooks.slack.com/1\n",
        "https://127.0.0.1/1",
        "file:///etc/passwd",
    ],
)
def test_a_reply_goes_to_slack_or_nowhere(web: Web, asked: Approval, address: str, slack: Redirected) -> None:
    assert press(web, click(web, asked, response_url=address)).json()["status"] == "approved"
    assert press(web, click(web, asked)).json()["status"] == "refused"
    assert slack.asked_for == [REPLY_TO]


@pytest.mark.parametrize("blocks", [[], [{"block_id": "other"}] * 60, [{"nested": json.loads("[" * 400 + "]" * 400)}]])
def test_a_reply_that_cannot_be_made_or_sent_leaves_the_answer_as_it_is(
    web: Web, asked: Approval, recorder: HttpRecorder, blocks: list[Any]
) -> None:
    recorder.drop()
    answered = press(web, click(web, asked, message={"blocks": blocks}))
    assert answered.json()["status"] == "approved"
    assert answer(web)[0] is Answer.APPROVED
    assert web.client.get("/-/healthy").status_code == 200
