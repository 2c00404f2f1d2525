"""Any HTTP endpoint that takes JSON: message, link, run and labels in one object."""

from collections.abc import Mapping
from typing import Any

from receiver.notifiers.notice import Notice
from receiver.notifiers.refusal import refusal
from receiver.outbound import Outbound
from receiver.settings import receivers

WITHIN = 10.0  #: seconds


class Webhook:
    def __init__(self, configured: receivers.Webhook) -> None:
        self._url = configured.url.get_secret_value()
        self._token = configured.bearer_token

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"} if self._token else {}
        body = {
            "message": notice.message,
            "link": notice.link,
            "run": dict(notice.run),
            "labels": dict(notice.labels),
        }
        status, said = await outbound.send("POST", self._url, within=WITHIN, json=body, headers=headers)
        if not 200 <= status < 300:
            raise refusal("the webhook", status, said)
        return {"status": status}
