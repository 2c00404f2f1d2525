"""Slack, by an incoming webhook whose URL is the secret."""

from collections.abc import Mapping
from typing import Any

from receiver.notifiers.notice import Notice
from receiver.notifiers.refusal import refusal
from receiver.outbound import Outbound
from receiver.settings import receivers

WITHIN = 10.0  #: seconds


class Slack:
    def __init__(self, configured: receivers.Slack) -> None:
        self._url = configured.url.get_secret_value()

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        text = _escape(notice.message)
        if notice.link:
            text += f"\n<{notice.link}|run {notice.run.get('id')}>"
        status, said = await outbound.send("POST", self._url, within=WITHIN, json={"text": text})
        if status != 200:
            raise refusal("Slack", status, said)
        return {"status": status}


def _escape(text: str) -> str:
    # https://docs.slack.dev/messaging/formatting-message-text: a label must not ping @channel or hide a link
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
