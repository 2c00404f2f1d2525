"""Slack, by an incoming webhook whose URL is the secret: a message in blocks, with buttons where people are asked.

The texts that strangers write can neither notify a channel nor become a link. web/slack.py takes the clicks.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from receiver.notifiers.notice import Notice, Question
from receiver.notifiers.plain import calling_nobody, plain_title
from receiver.notifiers.refusal import insist
from receiver.outbound import Outbound
from receiver.settings import receivers
from receiver.visible import visible_lines

WITHIN = 10.0  #: seconds

APPROVE, REJECT = "amend_approve", "amend_reject"  #: the action_id of a button
DECIDE = "amend_decide"  #: the block_id of the buttons, which go once somebody has answered

# what Slack takes: https://docs.slack.dev/reference/block-kit/blocks; of a header 150 characters, as of a plain title
LONGEST_TEXT = 3000
LONGEST_FIELD = 2000
LONGEST_URL = 3000
LONGEST_VALUE = 2000
MOST_FIELDS = 10
MOST_BLOCKS = 50

Block = dict[str, Any]


class Slack:
    def __init__(self, configured: receivers.Slack) -> None:
        self._url = configured.url.get_secret_value()

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        status, said = await outbound.send("POST", self._url, within=WITHIN, json=message(notice))
        insist("Slack", status, said)
        return {"status": status}


def message(notice: Notice) -> dict[str, Any]:
    """As Slack takes it; `text` is what a notification shows, and what is shown where blocks are not."""
    text = escaped(notice.message, LONGEST_TEXT)
    if notice.link and len(notice.link) <= LONGEST_URL:
        label = f"run {notice.run['id']}" if "id" in notice.run else "more"
        text += f"\n<{escaped(notice.link, 2 * LONGEST_URL)}|{label}>"
    return {"text": text if text.strip() else "–", "blocks": list(_blocks(notice))[:MOST_BLOCKS]}


def escaped(text: str, longest: int) -> str:
    """A stranger's text that is no markup and calls nobody, cut after that without cutting through an escape."""
    whole = visible_lines(text[:longest])
    # https://docs.slack.dev/messaging/formatting-message-text: these three are all that has to be escaped
    whole = whole.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    whole = calling_nobody(whole)
    if len(whole) <= longest and len(text) <= longest:
        return whole
    return re.sub(r"&[a-z]*$", "", whole[: longest - 1]) + "…"


def _blocks(notice: Notice) -> Iterator[Block]:
    yield {"type": "header", "text": _plain(plain_title(notice))}
    if notice.gathered:
        yield _section(_listed(notice.gathered, more=notice.count > len(notice.gathered)))
        return
    if notice.question is None:
        yield _section(escaped(notice.message, LONGEST_TEXT))
    if notice.alert:
        named = f"*{escaped(notice.alert, 500)}*" + (f" · {escaped(notice.severity, 100)}" if notice.severity else "")
        yield _section(named + (f"\n{escaped(notice.summary, LONGEST_FIELD)}" if notice.summary else ""))
    facts = {**notice.numbers, **({"outcome": notice.outcome} if notice.outcome else {})}
    if facts:
        pairs = list(facts.items())[:MOST_FIELDS]
        fields = [f"*{escaped(name, 100)}*\n{escaped(value, LONGEST_FIELD - 200)}" for name, value in pairs]
        yield {"type": "section", "fields": [_markup(field) for field in fields]}
    if notice.done:
        yield _section(f"*Done*\n{_listed(map(str, notice.done))}")
    if notice.question:
        yield from _asked(notice.question)
    if notice.link and len(notice.link) <= LONGEST_URL:
        label = "Look closer" if notice.question else "Open the run"
        yield {"type": "actions", "elements": [{**_button(label, "amend_open"), "url": notice.link}]}
    if notice.run:
        told = escaped(" · ".join(f"{name} {value}" for name, value in notice.about.items()), LONGEST_TEXT)
        yield {"type": "context", "elements": [_markup(told)]}


def _asked(question: Question) -> Iterator[Block]:
    yield _section(f"*It would do*\n{_listed(question.steps)}")
    if question.on_failure:
        yield _section(f"*And if that does not help*\n{_listed(question.on_failure)}")
    # each reader sees it in their own time zone
    until = f"<!date^{int(question.until.timestamp())}^{{time_secs}}|{question.until:%H:%M:%S} UTC>"
    yield {"type": "context", "elements": [_markup(f"Answer until {until}; {escaped(question.why, 1000)}")]}
    if question.token and len(question.token) <= LONGEST_VALUE:
        approve = {**_button("Approve", APPROVE), "value": question.token, "style": "primary"}
        reject = {**_button("Reject", REJECT), "value": question.token, "style": "danger"}
        yield {"type": "actions", "block_id": DECIDE, "elements": [approve, reject]}


def _listed(lines: Iterable[str], *, more: bool = False) -> str:
    shown = ""
    for line in lines:
        item = f"• {escaped(line, 600)}\n"
        if len(shown) + len(item) > LONGEST_TEXT - 100:
            more = True
            break
        shown += item
    return shown + ("• …" if more else "") or "–"


def _section(text: str) -> Block:
    return {"type": "section", "text": _markup(text)}


def _markup(text: str) -> Block:
    # verbatim: Slack makes no links, channels and mentions of what merely looks like one
    return {"type": "mrkdwn", "text": text if text.strip() else "–", "verbatim": True}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text if text.strip() else "–", "emoji": False}


def _button(label: str, action: str) -> Block:
    return {"type": "button", "action_id": action, "text": _plain(label)}
