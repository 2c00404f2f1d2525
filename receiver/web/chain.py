"""The audit log's chain, checked inside the running receiver; `amend audit verify` checks it without one.

The API asks for a fresh check; the pages take one that is a minute old, since each check reads every row.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver.audit import Broken, Verdict, verify
from receiver.settings import Settings
from receiver.store import Ledger, log

KEPT = timedelta(minutes=1)


@dataclass(frozen=True)
class Check:
    """What a check found: a verdict, or the place where the chain is broken."""

    at: datetime
    verdict: Verdict | None
    broken: str = ""

    def __str__(self) -> str:
        return str(self.verdict) if self.verdict else f"chain BROKEN: {self.broken}"


class Chain:
    def __init__(self, ledger: Ledger, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._key = settings.audit.key
        self._checking = asyncio.Lock()
        self._last: Check | None = None

    async def check(self) -> Check:
        """Read and check every row; one reader at a time."""
        async with self._checking:
            verdict, broken = await self._ledger.read(self._verify)
            self._last = Check(self._clock(), verdict, broken)
            return self._last

    async def recent(self) -> Check:
        if self._last and self._clock() - self._last.at < KEPT:
            return self._last
        return await self.check()

    def _verify(self, connection: sa.Connection) -> tuple[Verdict | None, str]:
        try:
            return verify(log.entries(connection), self._key), ""
        except Broken as broken:
            return None, str(broken)
