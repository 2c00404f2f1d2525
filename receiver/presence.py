"""This process among the others on the same store: it tells that it is there and on which configuration.

`serve` runs it beside the worker. A reload that one replica was asked for reaches the others through it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog

from receiver import metrics
from receiver.errors import ConfigError, ConfigErrors
from receiver.store import Ledger, replicas, signals
from receiver.store.signals import Signal

log = structlog.get_logger(__name__)

EVERY = 5.0  #: seconds between two signs of life
ALIVE = timedelta(seconds=20)  #: after so long without one a replica counts as gone
RELOADS = "reloads"  #: the signal: how many there were


class Presence:
    """Looks EVERY so many seconds; `reload` puts into force what the files say now, without asking the others."""

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        *,
        config: Callable[[], str],
        reload: Callable[[str], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._name = name
        self._config = config
        self._reload = reload
        self._clock = clock
        self._started_at = clock()
        self._reloads: int | None = None  #: those that we have followed

    async def beat(self) -> None:
        """Tell of ourselves, look at the others, and follow a reload that one of them was asked for."""
        others, asked = await self._ledger.write(self._look)
        metrics.REPLICAS.set(len(others) + 1)
        metrics.REPLICAS_DIFFERING.set(sum(each.config != self._config() for each in others))
        followed, self._reloads = self._reloads, asked.number
        if followed is not None and asked.number > followed:
            try:
                await self._reload(asked.actor)
            except (ConfigError, ConfigErrors) as error:
                log.error("the others were reloaded, this one stays as it was", error=str(error))

    async def ask_others_to_reload(self, by: str) -> None:
        self._reloads = await self._ledger.write(partial(self._ask, by=by))

    async def leave(self) -> None:
        """We stop, and that is no failure."""
        await self._ledger.write(partial(replicas.leave, name=self._name))

    def _look(self, connection: sa.Connection) -> tuple[list[replicas.Replica], Signal]:
        now = self._clock()
        replicas.report(connection, name=self._name, config=self._config(), started_at=self._started_at, at=now)
        seen = replicas.seen_within(connection, within=ALIVE, at=now)
        return [each for each in seen if each.name != self._name], signals.get(connection, RELOADS)

    def _ask(self, connection: sa.Connection, by: str) -> int:
        number = signals.get(connection, RELOADS).number + 1
        signals.change(connection, RELOADS, number, actor=by, at=self._clock())
        return number
