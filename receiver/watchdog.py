"""Notices when nothing can be heard any more: the Watchdog, an alert that always fires, has not come for too long.

`serve` runs it beside the worker, where `watchdog` is configured. Whoever hears nothing answers nothing, and nobody
would know.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog

from receiver import metrics
from receiver.audit import Kind
from receiver.notifiers.notice import Kind as About
from receiver.notifiers.notice import Notice
from receiver.notifiers.receivers import Receivers
from receiver.settings import Watchdog
from receiver.store import Ledger, episodes, signals
from receiver.store.log import Log

log = structlog.get_logger(__name__)

LOOKS = 10  #: per time that it may be silent
SLOWEST = timedelta(seconds=30)
SIGNAL = "watchdog_silent"  #: 1 while it is: of several replicas one tells


class Watch:
    """Looks `every` so many seconds."""

    def __init__(
        self,
        ledger: Ledger,
        audit: Log,
        settings: Watchdog,
        *,
        receivers: Receivers,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._audit = audit
        self._settings = settings
        self._receivers = receivers
        self._clock = clock
        self._since = clock()  #: it may not have had the time to come since we started

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        return min(SLOWEST, self._settings.within / LOOKS).total_seconds()

    async def look(self) -> None:
        """Tell of a silence, and of its end, once."""
        named = {"alertname": self._settings.alertname}
        now, within = self._clock(), self._settings.within
        seen = await self._ledger.read(partial(episodes.last_seen, labels=named))
        silence = now - max(seen or self._since, self._since)
        silent = silence > within
        metrics.WATCHDOG_SILENT.set(silent)
        if not silent and (seen is None or now - seen > within):
            return  # we have only just started
        if not await self._ledger.write(partial(self._turn, silent=silent)):
            return
        if silent:
            heard = f"for {silence.total_seconds():.0f}s; from it or from Alertmanager nothing arrives"
            message = f'the alert "{self._settings.alertname}", which always fires, has not come {heard}'
            log.error("deaf", alert=self._settings.alertname, silence=silence.total_seconds())
        else:
            message = f'the alert "{self._settings.alertname}" comes again'
            log.warning("hearing again", alert=self._settings.alertname)
        if self._settings.receiver:
            about = Notice(
                message=message,
                link="",
                run={},
                labels=named,
                kind=About.TOLD if silent else About.OVER,
                title=f"{self._settings.alertname} {'is silent' if silent else 'is back'}",
                alert=self._settings.alertname,
                severity="critical" if silent else "",
                key=f"amend/watchdog/{self._settings.alertname}",
            )
            await self._receivers.tell(self._settings.receiver, about)

    def _turn(self, connection: sa.Connection, *, silent: bool) -> bool:
        """Write it down; whether it was otherwise before."""
        now = self._clock()
        if not signals.change(connection, SIGNAL, int(silent), actor=self._audit.actor, at=now):
            return False
        kind = Kind.WATCHDOG_SILENT if silent else Kind.WATCHDOG_BACK
        self._audit.append(connection, kind, at=now, data={"alertname": self._settings.alertname})
        return True
