"""Each notifier tells a notice, and lets no label of it become markup, address or silence."""

import asyncio
import json
import sys
import types
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from receiver import serve
from receiver.errors import ConfigError, Permanent, Temporary, Uncertain
from receiver.notifiers import NOTIFIERS
from receiver.notifiers.notice import Notice
from receiver.notifiers.plain import plain_text, plain_title
from receiver.notifiers.receivers import Receivers
from receiver.notifiers.severity import severity_of
from receiver.outbound import Outbound
from receiver.settings import Settings
from receiver.settings.receivers import KINDS, Receiver
from tests.bed.http_recorder import HttpRecorder
from tests.notifiers.notices import ASKED, EVERY, GATHERED, HOSTILE, OVER, SPARE, STRANGE, TOLD

HTTP = ("slack", "webhook", "pagerduty", "teams")
KEY = "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY00"


def place(kind: str, recorder: HttpRecorder, path: str = "", **more: Any) -> dict[str, Any]:
    own = {"routing_key": KEY} if kind == "pagerduty" else {}
    return {kind: {"url": f"{recorder.url}/{path or kind}", **own, **more}}


def send(notice: Notice, **places: Any) -> Mapping[str, Any]:
    async def sending() -> Mapping[str, Any]:
        outbound = Outbound([])  # the allow-list is for playbooks; receivers are the operator's own
        try:
            receivers = Receivers([Receiver.model_validate({"name": "team", **places})], outbound)
            return await receivers.tell("team", notice)
        finally:
            await outbound.close()

    return asyncio.run(sending())


def sent(notice: Notice, recorder: HttpRecorder, kind: str) -> Any:
    send(notice, **place(kind, recorder))
    return recorder.requests[-1].json()


def test_every_kind_of_place_can_be_written_in_the_settings() -> None:
    assert set(KINDS) == set(NOTIFIERS)


# ── what all that speak HTTP have in common ──


def test_every_place_of_a_receiver_is_told(recorder: HttpRecorder) -> None:
    send(TOLD, **{kind: each for kind in HTTP for each in place(kind, recorder).values()})
    assert sorted(request.path for request in recorder.requests) == sorted(f"/{kind}" for kind in HTTP)


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("name", EVERY)
def test_every_kind_of_notice_is_told(kind: str, name: str, recorder: HttpRecorder) -> None:
    assert send(EVERY[name], **place(kind, recorder))[kind]["status"] == 200
    assert recorder.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("status", [302, 400, 403, 404])
def test_an_answer_that_is_no_yes_is_an_error(kind: str, status: int, recorder: HttpRecorder) -> None:
    recorder.answer(status, b"invalid_token", {"Location": recorder.url})
    with pytest.raises(Permanent, match=f"answered {status}: invalid_token"):
        send(TOLD, **place(kind, recorder))
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_place_that_is_busy_or_broken_is_worth_another_try(kind: str, status: int, recorder: HttpRecorder) -> None:
    recorder.answer(status, b"later")
    with pytest.raises(Temporary, match=f"answered {status}: later"):
        send(TOLD, **place(kind, recorder))


@pytest.mark.parametrize("kind", HTTP)
def test_of_a_long_answer_an_error_quotes_one_short_line(kind: str, recorder: HttpRecorder) -> None:
    recorder.answer(404, b"<html>\r\n<head>\n\n" + b"no " * 1000)
    with pytest.raises(Permanent) as told:
        send(TOLD, **place(kind, recorder))
    quoted = str(told.value).partition(" answered 404: ")[2]
    assert quoted.startswith("<html> <head> no no ")
    assert len(quoted) == 120


@pytest.mark.parametrize("kind", HTTP)
def test_a_lost_answer_is_uncertain(kind: str, recorder: HttpRecorder) -> None:
    recorder.drop()
    with pytest.raises(Uncertain):
        send(TOLD, **place(kind, recorder))


@pytest.mark.parametrize("kind", HTTP)
def test_no_error_tells_the_secret_address_or_key(kind: str, recorder: HttpRecorder) -> None:
    recorder.answer(400, f"invalid key {KEY}".encode() if kind == "pagerduty" else b"")
    with pytest.raises(Permanent) as told:
        send(TOLD, **place(kind, recorder, "T000/B000/s3cret"))
    recorder.drop()
    with pytest.raises(Uncertain) as lost:
        send(TOLD, **place(kind, recorder, "T000/B000/s3cret"))
    for error in (told, lost):
        assert "s3cret" not in str(error.value)
        assert KEY not in str(error.value)


@pytest.mark.parametrize("kind", HTTP)
def test_a_label_as_long_as_a_stranger_likes_makes_no_message_too_long(kind: str, recorder: HttpRecorder) -> None:
    much = "<&" * 500_000
    longest = {"slack": 60_000, "teams": 28_000, "pagerduty": 512_000, "webhook": 100_000_000}
    endless = replace(
        STRANGE,
        message=much,
        title=much,
        alert=much,
        summary=much,
        labels={f"label_{n}": much for n in range(3)},
        numbers={"value": much},
        run={"id": 7, "target": much},
    )
    send(endless, **place(kind, recorder))
    assert len(recorder.requests[0].body) < longest[kind]


def test_a_receiver_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(Permanent, match="no such receiver"):
        asyncio.run(Receivers([], Outbound([])).tell("team", TOLD))


def test_of_two_places_one_that_fails_does_not_keep_the_other_from_being_told(recorder: HttpRecorder) -> None:
    with HttpRecorder() as broken:
        broken.answer(503)
        said: dict[str, Any] = {}

        async def twice() -> None:
            outbound = Outbound([])
            both = {**place("slack", recorder), **place("webhook", broken)}
            receivers = Receivers([Receiver.model_validate({"name": "team", **both})], outbound)
            with pytest.raises(Temporary, match="the webhook answered 503"):
                await receivers.tell("team", TOLD, said=said)
            broken.answer(200)
            await receivers.tell("team", TOLD, said=said)
            await outbound.close()

        asyncio.run(twice())
        assert said == {"slack": {"status": 200}, "webhook": {"status": 200}}
        assert (len(recorder.requests), len(broken.requests)) == (1, 2), "who was told is not told again"


# ── the webhook ──


def test_a_webhook_gets_everything_as_json(recorder: HttpRecorder) -> None:
    send(ASKED, **place("webhook", recorder, bearer_token="s3cret"))
    (request,) = recorder.requests
    assert request.headers["authorization"] == "Bearer s3cret"
    found = request.json()
    assert {name: found[name] for name in ("message", "link", "run", "labels")} == {
        "message": ASKED.message,
        "link": ASKED.link,
        "run": ASKED.run,
        "labels": ASKED.labels,
    }
    assert (found["kind"], found["alert"], found["severity"]) == ("asked", "LatencyAnomaly", "high")
    assert found["question"] == {
        "steps": ["restart (grace: 10s)"],
        "on_failure": ["scale (by: 1)", "notify"],
        "why": "the playbook always asks",
        "until": "2026-03-02T10:10:00+00:00",
        "digest": "d" * 64,
    }


def test_a_webhook_is_told_what_was_done(recorder: HttpRecorder) -> None:
    found = sent(TOLD, recorder, "webhook")
    assert found["done"][0] == {"verb": "restart", "status": "done", "said": "before: 1, after: 1"}
    assert (found["outcome"], found["numbers"]["z_score"], found["question"]) == ("not_fixed", "38.4", None)


# ── PagerDuty ──


def test_pagerduty_gets_an_alert_that_is_the_same_for_the_same_key(recorder: HttpRecorder) -> None:
    assert send(TOLD, **place("pagerduty", recorder)) == {"pagerduty": {"status": 200, "dedup_key": TOLD.key}}
    event = recorder.requests[0].json()
    assert (event["routing_key"], event["event_action"], event["dedup_key"]) == (KEY, "trigger", TOLD.key)
    assert event["payload"]["summary"] == TOLD.message
    assert event["payload"]["source"] == "docker/local/container/orders"
    assert event["payload"]["severity"] == "error"
    assert event["payload"]["custom_details"]["numbers"]["z_score"] == "38.4"
    assert event["links"] == [{"href": TOLD.link, "text": "Open the run"}]


def test_pagerduty_pages_for_a_question_though_it_has_paged_for_the_alert(recorder: HttpRecorder) -> None:
    assert sent(TOLD, recorder, "pagerduty")["dedup_key"] != sent(ASKED, recorder, "pagerduty")["dedup_key"]
    assert "TOKEN" not in json.dumps(recorder.requests[1].json()["payload"]), "the link alone leads to the answer"


def test_pagerduty_hears_that_what_it_was_told_is_over(recorder: HttpRecorder) -> None:
    event = sent(OVER, recorder, "pagerduty")
    assert event == {"routing_key": KEY, "event_action": "resolve", "dedup_key": OVER.key}


def test_pagerduty_takes_no_longer_key_than_it_knows(recorder: HttpRecorder) -> None:
    keys = [sent(replace(TOLD, key="k" * length), recorder, "pagerduty")["dedup_key"] for length in (255, 256, 300)]
    assert [len(key) for key in keys] == [255, 64, 64]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("label", "known"),
    [
        *(("critical", "critical"), ("Page", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info")),
        *(("", "error"), ("purple", "error"), ("warning", "warning"), ("info", "info"), ("error", "error")),
    ],
)
def test_whatever_an_alert_calls_its_severity_a_pager_knows_the_word(label: str, known: str) -> None:
    assert severity_of(label) == known


# ── Teams ──


def test_teams_gets_a_card_whose_texts_are_no_markup(recorder: HttpRecorder) -> None:
    found = sent(STRANGE, recorder, "teams")
    assert found["type"] == "message"
    (attachment,) = found["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert {element["type"] for element in card["body"]} == {"RichTextBlock"}, "a TextBlock would make links of it"
    assert {run["type"] for element in card["body"] for run in element["inlines"]} == {"TextRun"}
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open the run", "url": STRANGE.link}]
    assert "\u202e" not in json.dumps(card, ensure_ascii=False)


def test_teams_shows_what_is_asked_and_leads_to_the_answer(recorder: HttpRecorder) -> None:
    card = sent(ASKED, recorder, "teams")["attachments"][0]["content"]
    texts = [run["text"] for element in card["body"] for run in element["inlines"]]
    assert "• restart (grace: 10s)" in texts
    assert "Answer until 2026-03-02 10:10:00 UTC; the playbook always asks" in texts
    assert card["actions"][0] == {"type": "Action.OpenUrl", "title": "Answer", "url": ASKED.link}


# ── Apprise ──


class Library(types.ModuleType):
    """In place of the library Apprise, which is an extra: what is called of it, as it is called."""

    def __init__(self) -> None:
        super().__init__("apprise")
        self.told: list[dict[str, Any]] = []
        library = self

        class Apprise:
            taken = True

            def __init__(self) -> None:
                self.urls: list[str] = []

            def add(self, url: str) -> bool:
                self.urls.append(url)
                return "://" in url

            def __len__(self) -> int:
                return len(self.urls)

            def notify(self, **what: Any) -> bool:
                library.told.append(what)
                return self.taken

        self.Apprise = Apprise


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setitem(sys.modules, "apprise", library)
    return library


def test_whatever_else_there_is_is_told_through_apprise(library: Library) -> None:
    urls = {"url": "ntfy://topic\n\nmatrix://token@host\n", "urls": ["gotify://host/token"]}
    assert send(TOLD, apprise=urls) == {"apprise": {"places": 3}}
    (told,) = library.told
    assert told["title"] == TOLD.title
    assert told["body"].startswith(TOLD.message)
    assert (told["notify_type"], told["body_format"]) == ("failure", "text")


def test_what_strangers_write_calls_no_channel_that_apprise_reaches(library: Library) -> None:
    send(STRANGE, apprise={"urls": ["discord://a/b"]})
    assert "@here" not in library.told[0]["body"] + library.told[0]["title"]


def test_a_place_of_apprise_that_does_not_take_it_is_told(library: Library) -> None:
    library.Apprise.taken = False
    with pytest.raises(Uncertain, match="did not take it"):
        send(TOLD, apprise={"urls": ["ntfy://s3cret"]})


def test_a_url_that_apprise_does_not_know_is_told_at_the_start_without_the_url(library: Library) -> None:
    with pytest.raises(ConfigError, match="URL 2 of an apprise: is none that Apprise knows") as told:
        send(TOLD, apprise={"urls": ["ntfy://a", "s3cret"]})
    assert "s3cret" not in str(told.value)


def test_without_the_extra_it_does_not_start_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    configured = Settings.model_validate(
        {
            "auth": {"webhook": {"insecure": True}},
            "receivers": [{"name": "others", "apprise": {"urls": ["ntfy://s3cret"]}}],
        }
    )
    with pytest.raises(ConfigError, match=r"install amend\[apprise\]") as told:
        serve._receivers(configured, Outbound([]))
    assert "s3cret" not in str(told.value)


# ── plain text ──


@pytest.mark.parametrize("name", EVERY)
def test_plain_text_tells_all_there_is(name: str) -> None:
    notice = EVERY[name]
    text = plain_text(notice)
    told = [notice.alert, notice.severity, notice.summary, notice.outcome, *notice.numbers.values(), *notice.gathered]
    assert [each for each in told if each not in text and name != "gathered"] == []
    assert text.endswith(notice.link)


def test_a_title_is_one_line_in_which_nothing_hides() -> None:
    title = plain_title(STRANGE)
    assert "\n" not in title
    assert title.isprintable()
    assert len(title) <= 150
    assert plain_title(SPARE) == "done"
    assert "\\x1b" in plain_text(replace(SPARE, message=HOSTILE))
    assert plain_text(GATHERED).endswith("- second\n- …")
