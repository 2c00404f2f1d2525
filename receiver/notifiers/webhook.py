"""Any HTTP endpoint that takes JSON: everything that a notice holds in one object, which only ever gets more keys.

`message`, `link`, `run` and `labels` are always there; the others, too, and empty where there is nothing to tell.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from receiver.notifiers.notice import Notice
from receiver.notifiers.refusal import insist
from receiver.outbound import Outbound
from receiver.settings import receivers

WITHIN = 10.0  #: seconds


class Webhook:
    def __init__(self, configured: receivers.Webhook) -> None:
        self._url = configured.url.get_secret_value()
        self._token = configured.bearer_token

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"} if self._token else {}
        status, said = await outbound.send("POST", self._url, within=WITHIN, json=told(notice), headers=headers)
        insist("the webhook", status, said)
        return {"status": status}


def told(notice: Notice) -> dict[str, Any]:
    """A notice as JSON. Without the token of its question: with the digest one answers by the API, with a key."""
    asked = notice.question
    question = (
        {
            "steps": list(asked.steps),
            "on_failure": list(asked.on_failure),
            "why": asked.why,
            "until": asked.until.isoformat(),
            "digest": asked.digest,
        }
        if asked
        else None
    )
    return {
        "message": notice.message,
        "link": notice.link,
        "run": dict(notice.run),
        "labels": dict(notice.labels),
        "kind": notice.kind,
        "title": notice.headline,
        "alert": notice.alert,
        "severity": notice.severity,
        "summary": notice.summary,
        "numbers": dict(notice.numbers),
        "done": [asdict(deed) for deed in notice.done],
        "outcome": notice.outcome,
        "key": notice.key,
        "question": question,
        "gathered": list(notice.gathered),
        "count": notice.count,
    }
