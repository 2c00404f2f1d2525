"""Microsoft Teams, by a workflow that posts what it gets as an Adaptive Card; its URL is the secret.

All texts of strangers stand in text runs, which know no markup.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from receiver.notifiers.notice import Notice
from receiver.notifiers.plain import plain_title
from receiver.notifiers.refusal import insist
from receiver.outbound import Outbound
from receiver.settings import receivers
from receiver.visible import cut, visible_lines

WITHIN = 10.0  #: seconds
LONGEST = 1500  #: characters of one text; a message may have 28 KB
MOST = 20  #: lines of one list

Element = dict[str, Any]


class Teams:
    def __init__(self, configured: receivers.Teams) -> None:
        self._url = configured.url.get_secret_value()

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        status, said = await outbound.send("POST", self._url, within=WITHIN, json=message(notice))
        insist("Teams", status, said)
        return {"status": status}


def message(notice: Notice) -> dict[str, Any]:
    """The card, in the envelope that a workflow's webhook takes."""
    card: Element = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": list(_body(notice)),
    }
    if notice.link:
        title = "Answer" if notice.question else "Open the run"
        card["actions"] = [{"type": "Action.OpenUrl", "title": title, "url": notice.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _body(notice: Notice) -> Iterator[Element]:
    yield _runs({"text": plain_title(notice), "weight": "bolder", "size": "large"})
    if notice.gathered:
        more = ["…"] if notice.count > len(notice.gathered) else []
        yield from _listed([*notice.gathered, *more])
        return
    if notice.question is None:
        yield _text(notice.message)
    if notice.alert:
        yield _fact("alert", f"{notice.alert}{', ' if notice.severity else ''}{notice.severity}")
    if notice.summary:
        yield _text(notice.summary)
    facts = {**notice.numbers, "outcome": notice.outcome}
    yield from (_fact(name, value) for name, value in facts.items() if value)
    if notice.done:
        yield _runs({"text": "Done", "weight": "bolder"})
        yield from _listed(map(str, notice.done))
    if asked := notice.question:
        yield _runs({"text": "It would do", "weight": "bolder"})
        yield from _listed(asked.steps)
        if asked.on_failure:
            yield _runs({"text": "And if that does not help", "weight": "bolder"})
            yield from _listed(asked.on_failure)
        yield _text(f"Answer until {asked.until:%Y-%m-%d %H:%M:%S} UTC; {asked.why}")
    if notice.run:
        told = " · ".join(f"{name} {value}" for name, value in notice.about.items())
        yield _runs({"text": cut(visible_lines(told), LONGEST), "isSubtle": True, "size": "small"})


def _listed(lines: Iterable[str]) -> Iterator[Element]:
    for line in list(lines)[:MOST]:
        yield _runs({"text": f"• {cut(visible_lines(line), 400)}"}, spacing="small")


def _fact(name: str, value: str) -> Element:
    texts = ({"text": f"{name}: ", "weight": "bolder"}, {"text": cut(visible_lines(value), LONGEST)})
    return _runs(*texts, spacing="small")


def _text(text: str) -> Element:
    return _runs({"text": cut(visible_lines(text), LONGEST)})


def _runs(*texts: Mapping[str, Any], spacing: str = "default") -> Element:
    return {"type": "RichTextBlock", "spacing": spacing, "inlines": [{"type": "TextRun", **text} for text in texts]}
