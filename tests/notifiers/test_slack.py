"""Slack's messages: in blocks, within Slack's limits, and with nothing in them that a stranger could have meant."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.notifiers.notice import Deed, Notice
from receiver.notifiers.slack import APPROVE, REJECT, escaped, message
from tests.bed.http_recorder import HttpRecorder
from tests.notifiers.notices import ASKED, EVERY, SPARE, STRANGE, TOLD
from tests.notifiers.test_notifiers import place, send

GOLDEN = Path(__file__).with_name("slack.golden")


@pytest.mark.parametrize("name", EVERY)
def test_a_message_of_each_kind_is_as_it_was(name: str) -> None:
    """AMEND_WRITE_GOLDEN=1 writes them anew; paste one into Slack's Block Kit Builder to see it."""
    file, made = GOLDEN / f"{name}.json", json.dumps(message(EVERY[name]), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("AMEND_WRITE_GOLDEN"):
        file.write_text(made)
    assert made == file.read_text()


def test_slack_gets_the_message_over_http(recorder: HttpRecorder) -> None:
    assert send(TOLD, **place("slack", recorder)) == {"slack": {"status": 200}}
    assert recorder.requests[0].json() == message(TOLD)


def test_the_text_for_notifications_has_the_link_where_there_is_one() -> None:
    assert message(TOLD)["text"].endswith("\n<https://amend.example/runs/7|run 7>")
    assert message(SPARE)["text"] == "done"


def test_the_buttons_carry_the_token_and_are_there_only_for_a_question_that_a_click_can_answer() -> None:
    buttons = {each["action_id"]: each.get("value") for each in elements(message(ASKED)) if "value" in each}
    assert buttons == {APPROVE: "TOKEN", REJECT: "TOKEN"}
    assert ASKED.question
    mute = replace(ASKED, question=replace(ASKED.question, token=""))
    for notice in (mute, TOLD):
        assert not [each for each in elements(message(notice)) if "value" in each]


def elements(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for block in made["blocks"]:
        yield from block.get("elements", [])


def texts(value: Any) -> Iterator[dict[str, Any]]:
    """Every text object of a message."""
    if isinstance(value, dict):
        if value.get("type") in {"mrkdwn", "plain_text"}:
            yield value
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_what_strangers_write_calls_nobody_and_leads_nowhere() -> None:
    made = message(STRANGE)
    for text in texts(made["blocks"]):
        if text["type"] == "plain_text":
            continue  # no markup there
        assert text["verbatim"], "or Slack links what looks like an address"
        assert "<!" not in text["text"]
        assert "<http" not in text["text"]
        assert "@here" not in text["text"]
    assert "&lt;!channel&gt; &amp; &lt;http://evil.example|orders&gt;" in made["text"]
    shown = json.dumps(made, ensure_ascii=False)
    assert "\u202e" not in shown
    assert r"\\u202e" in shown, "it is spelled out"


def assert_within_the_limits_of_slack(made: dict[str, Any]) -> None:
    assert len(made["text"]) < 40_000
    assert 1 <= len(made["blocks"]) <= 50
    for block in made["blocks"]:
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= 150
        if block["type"] == "section" and "text" in block:
            assert 1 <= len(block["text"]["text"]) <= 3000
        assert len(block.get("fields", [])) <= 10
        assert all(1 <= len(field["text"]) <= 2000 for field in block.get("fields", []))
        for element in block.get("elements", []):
            assert len(element.get("value", "")) <= 2000
            assert len(element.get("url", "")) <= 3000
            if element["type"] == "mrkdwn":
                assert 1 <= len(element["text"]) <= 3000


ANY = st.text(max_size=40) | st.sampled_from(["<&>" * 2000, "&" * 2999, "\u202e" * 4000, "@channel" * 900, "", " "])


@given(
    st.builds(
        Notice,
        message=ANY,
        link=st.sampled_from(["", "https://amend.example/" + "x" * 5000, "https://amend.example/runs/7"]),
        run=st.dictionaries(ANY, ANY, max_size=3),
        labels=st.just({}),
        title=ANY,
        alert=ANY,
        severity=ANY,
        summary=ANY,
        numbers=st.dictionaries(st.text(max_size=5), ANY, max_size=12),
        done=st.lists(st.builds(Deed, verb=ANY, status=ANY, said=ANY), max_size=60).map(tuple),
        outcome=ANY,
        gathered=st.just(()) | st.lists(ANY, max_size=30).map(tuple),
    )
)
def test_whatever_is_told_slack_takes_it(notice: Notice) -> None:
    made = message(notice)
    assert_within_the_limits_of_slack(made)
    json.dumps(made).encode()


@given(ANY, st.integers(10, 100))
def test_a_text_is_cut_after_it_was_escaped_and_never_within_an_escape(text: str, longest: int) -> None:
    made = escaped(text, longest)
    assert len(made) <= longest
    rest = made.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert not set("<>&") & set(rest)


@pytest.mark.parametrize("name", EVERY)
def test_a_message_of_each_kind_is_within_the_limits(name: str) -> None:
    assert_within_the_limits_of_slack(message(EVERY[name]))
