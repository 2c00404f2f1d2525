"""Where notifications go: one file a kind, found here by the key that amend.yml uses for it.

receivers.py makes a notifier of each place that a receiver names, and sends through it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from receiver.notifiers.apprise import Apprise
from receiver.notifiers.email import Email
from receiver.notifiers.notice import Notice
from receiver.notifiers.pagerduty import PagerDuty
from receiver.notifiers.slack import Slack
from receiver.notifiers.teams import Teams
from receiver.notifiers.webhook import Webhook
from receiver.outbound import Outbound


class Notifier(Protocol):
    """One way to reach people."""

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:
        """Deliver; what the other side said comes back. Errors as an action's."""


NOTIFIERS: Mapping[str, Callable[[Any], Notifier]] = {
    "apprise": Apprise,
    "email": Email,
    "pagerduty": PagerDuty,
    "slack": Slack,
    "teams": Teams,
    "webhook": Webhook,
}
