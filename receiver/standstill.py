"""What holds still, over all playbooks and replicas: by the pause switch, by the breaker, until people decide.

The API turns the switch here; `serve` runs it beside the worker to tell by metrics and the audit log how things stand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog

from receiver import breaker, metrics
from receiver.audit import Kind
from receiver.run import Reason
from receiver.settings.limits import Breaker
from receiver.store import Ledger, approvals, limits, pause, runs, signals
from receiver.store.log import Log
from receiver.store.pause import Pause
from receiver.store.signals import Signal

log = structlog.get_logger(__name__)

EVERY = 5.0  #: seconds between two looks
SIGNAL = "breaker_open"  #: 1 while it is told to be: of several replicas one tells


@dataclass(frozen=True)
class Standing:
    """How it stands."""

    pause: Pause | None
    breaker_open_until: datetime | None


class Standstill:
    """Looks EVERY so many seconds."""

    def __init__(self, ledger: Ledger, audit: Log, rule: Breaker, *, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._audit = audit
        self._rule = rule
        self._clock = clock

    async def look(self) -> None:
        """Tell how it stands, and of a breaker that opened or closed, once."""

        def read(connection: sa.Connection) -> tuple[Standing, int, Signal]:
            return self.standing(connection), approvals.count_pending(connection), signals.get(connection, SIGNAL)

        standing, pending, told = await self._ledger.read(read)
        metrics.PAUSED.set(standing.pause is not None)
        metrics.BREAKER_OPEN.set(standing.breaker_open_until is not None)
        metrics.APPROVALS_PENDING.set(pending)
        if bool(told.number) != bool(standing.breaker_open_until):
            await self._ledger.write(self._tell)

    def standing(self, connection: sa.Connection) -> Standing:
        return Standing(pause.current(connection), breaker.open_until(connection, self._rule, now=self._clock()))

    async def pause(self, by: str, why: str) -> bool:
        """Have no action start from now on; whether any could before."""
        return await self._turn(on=True, by=by, why=why)

    async def resume(self, by: str, why: str) -> bool:
        """Let actions start again, and forgive failures before now; whether anything was held still."""
        return await self._turn(on=False, by=by, why=why)

    async def _turn(self, *, on: bool, by: str, why: str) -> bool:
        def write(connection: sa.Connection) -> bool:
            now = self._clock()
            before = self.standing(connection)
            # what is forgiven includes what a clock that was a little ahead wrote down
            ahead = [at for at in limits.unhelpful(connection, since=now) if at <= now + self._rule.within]
            at = now if on else max([now, *ahead])
            changed = pause.turn(connection, on=on, by=by, at=at, why=why) or (not on and before.breaker_open_until)
            if changed:
                kind = Kind.PAUSED if on else Kind.RESUMED
                self._audit.append(connection, kind, at=now, data={"why": why}, actor=by)
            if not on:
                runs.wake_held(connection, [Reason.PAUSED, Reason.BREAKER_OPEN], at=now)
            return bool(changed)

        changed = await self._ledger.write(write)
        if changed:
            log.warning("paused" if on else "resumed", by=by, why=why)
        await self.look()
        return changed

    def _tell(self, connection: sa.Connection) -> None:
        now = self._clock()
        closes = breaker.open_until(connection, self._rule, now=now)
        if not signals.change(connection, SIGNAL, int(closes is not None), actor=self._audit.actor, at=now):
            return
        if closes:
            why = breaker.told(self._rule, closes)
            self._audit.append(connection, Kind.BREAKER_OPENED, at=now, data={"why": why, "until": closes.isoformat()})
            log.error("breaker opened", why=why)
        else:
            self._audit.append(connection, Kind.BREAKER_CLOSED, at=now, data={})
            log.warning("breaker closed")
