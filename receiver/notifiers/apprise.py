"""Whatever else there is, through the library Apprise, which knows more than a hundred services by a URL each.

It comes with `amend[apprise]` and is imported where a receiver asks for it. Its requests are its own: they do not go
through `Outbound`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from receiver.errors import ConfigError, Uncertain
from receiver.notifiers.notice import Notice
from receiver.notifiers.plain import calling_nobody, plain_text, plain_title
from receiver.notifiers.severity import severity_of
from receiver.outbound import Outbound
from receiver.settings import receivers
from receiver.targets.threads import Threads

WITHIN = 20.0  #: seconds for all URLs together
TYPES = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}


class Apprise:
    def __init__(self, configured: receivers.Apprise) -> None:
        import apprise

        self._apprise = apprise.Apprise()
        self._threads = Threads("apprise", limit=4)
        for number, url in enumerate(configured.all, start=1):
            if not self._apprise.add(url):
                # it holds a token, and so is not repeated
                raise ConfigError(
                    "amend.yml", None, f"receivers: URL {number} of an apprise: is none that Apprise knows"
                )

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:  # noqa: ARG002 - it has its own
        send = partial(
            self._apprise.notify,
            body=calling_nobody(plain_text(notice)),
            title=calling_nobody(plain_title(notice)),
            notify_type=TYPES[severity_of(notice.severity)],
            body_format="text",
            interpret_escapes=False,
        )
        try:
            taken = await self._threads.call(send, within=WITHIN)
        except TimeoutError:
            raise Uncertain(f"Apprise did not end within {WITHIN:g}s") from None
        if not taken:
            # it says no more than that, and some of several places may have taken it
            raise Uncertain("a place that Apprise reaches did not take it; the log of Apprise tells why")
        return {"places": len(self._apprise)}
