"""PagerDuty, by its Events API v2: an alert that people are paged for, once for each stretch of an alert.

What was told is one event per `Notice.key`, which PagerDuty takes together; what is over ends it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from receiver.notifiers.notice import Kind, Notice
from receiver.notifiers.plain import plain_title
from receiver.notifiers.refusal import insist
from receiver.notifiers.severity import severity_of
from receiver.notifiers.webhook import told
from receiver.outbound import Outbound
from receiver.settings import receivers
from receiver.visible import cut, visible

WITHIN = 10.0  #: seconds
LONGEST_SUMMARY = 1024  #: https://developer.pagerduty.com/docs/send-alert-event
LONGEST_KEY = 255
LONGEST_SOURCE = 255
LONGEST_DETAIL = 2000  #: characters of one text; all of an event may have 512 KB
MOST_DETAILS = 60


class PagerDuty:
    def __init__(self, configured: receivers.PagerDuty) -> None:
        self._url = str(configured.url)
        self._key = configured.routing_key.get_secret_value()

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        event = {"routing_key": self._key, **_event(notice)}
        status, said = await outbound.send("POST", self._url, within=WITHIN, json=event)
        # a refusal may quote what was sent
        insist("PagerDuty", status, said.replace(self._key, "…"))
        return {"status": status, **({"dedup_key": event["dedup_key"]} if "dedup_key" in event else {})}


def _event(notice: Notice) -> dict[str, Any]:
    same = {"dedup_key": _key(notice.key)} if notice.key else {}
    if notice.kind is Kind.OVER and same:
        return {"event_action": "resolve", **same}
    links = [{"href": notice.link, "text": "Answer" if notice.question else "Open the run"}] if notice.link else []
    details = {name: value for name, value in told(notice).items() if value and name not in _ELSEWHERE}
    return {
        "event_action": "trigger",
        **same,
        "client": "Amend",
        **({"client_url": notice.link} if notice.link else {}),
        "links": links,
        "payload": {
            "summary": cut(visible(" ".join(notice.message.split())), LONGEST_SUMMARY) or plain_title(notice) or "–",
            "source": cut(visible(str(notice.run.get("target") or notice.alert or "amend")), LONGEST_SOURCE),
            "severity": severity_of(notice.severity),
            **({"class": cut(visible(notice.alert), LONGEST_SOURCE)} if notice.alert else {}),
            "custom_details": _bounded(details),
        },
    }


_ELSEWHERE = frozenset({"link", "key", "count"})


def _key(key: str) -> str:
    return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def _bounded(value: Any) -> Any:
    """With every text short and every list and mapping small: labels may be as long as a stranger likes."""
    if isinstance(value, str):
        return cut(value, LONGEST_DETAIL)
    if isinstance(value, list):
        return [_bounded(each) for each in value[:MOST_DETAILS]]
    if isinstance(value, dict):
        return {cut(str(name), 200): _bounded(each) for name, each in list(value.items())[:MOST_DETAILS]}
    return value
