"""Removes what is older than `store.retention`, and says in the audit log what it removed from there.

`serve` runs it beside the worker. Only whole beginnings of the audit log go, and the row that tells of it holds the
hash that what stays is chained to.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog

from receiver.audit import Kind
from receiver.store import Ledger, retention
from receiver.store.log import Log

log = structlog.get_logger(__name__)

EVERY = 3600.0  #: seconds between two looks
PAUSE = 0.2  #: seconds between two batches, which the deliveries that wait get


class Retention:
    """Looks EVERY so many seconds."""

    def __init__(self, ledger: Ledger, audit: Log, *, keep: timedelta, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._audit = audit
        self._keep = keep
        self._clock = clock

    async def prune(self) -> None:
        """Remove all that is too old now: whole days, so that a day leaves one row about it."""
        before = (self._clock() - self._keep).replace(hour=0, minute=0, second=0, microsecond=0)
        for batch in (
            partial(retention.prune_deliveries, before=before),
            partial(retention.prune_episodes, before=before),
            partial(retention.prune_deployments, before=before),
            partial(self._prune_log, before=before),
        ):
            while removed := await self._ledger.write(batch):
                log.info("pruned", what=batch.func.__name__, rows=removed, before=before.isoformat())
                await asyncio.sleep(PAUSE)

    def _prune_log(self, connection: sa.Connection, before: datetime) -> int:
        prefix = retention.old_entries(connection, before=before)
        if prefix is None:
            return 0
        told = {"entries": prefix.entries, "through": prefix.through, "hash": prefix.hash, "before": before.isoformat()}
        self._audit.append(connection, Kind.PRUNED, at=self._clock(), data=told)
        retention.remove_entries(connection, prefix)
        return prefix.entries
