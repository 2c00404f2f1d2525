"""Where notifications go: one file a kind, found here by the key that amend.yml uses for it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from receiver.errors import Permanent
from receiver.notifiers.notice import Notice
from receiver.notifiers.slack import Slack
from receiver.notifiers.webhook import Webhook
from receiver.outbound import Outbound
from receiver.settings.receivers import Receiver


class Notifier(Protocol):
    """One way to reach people."""

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        """Deliver; what the other side said comes back. Errors as an action's."""


NOTIFIERS: Mapping[str, Callable[[Any], Notifier]] = {"slack": Slack, "webhook": Webhook}


async def notify(receiver: Receiver | None, notice: Notice, outbound: Outbound) -> dict[str, Any]:
    """Send to every kind of place that a receiver names."""
    if receiver is None:
        raise Permanent("there is no such receiver in amend.yml")
    said = {}
    for kind, notifier in NOTIFIERS.items():
        settings = getattr(receiver, kind)
        if settings is not None:
            said[kind] = dict(await notifier(settings).send(notice, outbound))
    return said
