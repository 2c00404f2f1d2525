"""A container's health, by Docker's rules: starting, healthy, or unhealthy after enough failures in a row.

The engine runs `watch` beside each container whose configuration has a health check. It asks `/health` itself instead
of running the check's command, because a new process each second would cost more than the whole shop.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import httpx

from engine.timestamp import now

SECOND = 1_000_000_000  # Docker counts in nanoseconds
WARM_UP_INTERVAL = 0.1  # seconds
KEPT = 5  # probes that `docker inspect` shows


@dataclass
class Health:
    interval: float
    timeout: float
    retries: int
    start_period: float
    status: str = "starting"
    failing: int = 0
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))

    @classmethod
    def of(cls, check: dict[str, Any]) -> "Health":
        return cls(
            interval=(check.get("Interval") or 30 * SECOND) / SECOND,
            timeout=(check.get("Timeout") or 30 * SECOND) / SECOND,
            retries=check.get("Retries") or 3,
            start_period=(check.get("StartPeriod") or 0) / SECOND,
        )

    async def watch(self, url: str) -> None:
        born = time.monotonic()
        async with httpx.AsyncClient(timeout=self.timeout, trust_env=False) as client:
            while True:
                started = now()
                problem = await _probe(client, url)
                warming_up = self.status == "starting" and time.monotonic() < born + self.start_period
                if not (problem and warming_up):
                    self._note(problem, started=started)
                # More often while it warms up, as Docker does from 25 on (start_interval).
                await asyncio.sleep(min(WARM_UP_INTERVAL, self.interval) if warming_up else self.interval)

    def _note(self, problem: str, *, started: str) -> None:
        self.failing = self.failing + 1 if problem else 0
        if not problem:
            self.status = "healthy"
        elif self.failing >= self.retries:
            self.status = "unhealthy"
        self.log.append({"Start": started, "End": now(), "ExitCode": int(bool(problem)), "Output": problem})

    def inspect(self) -> dict[str, Any]:
        return {"Status": self.status, "FailingStreak": self.failing, "Log": list(self.log)}


async def _probe(client: httpx.AsyncClient, url: str) -> str:
    """What is wrong, or nothing."""
    try:
        answer = await client.get(url)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return "" if answer.is_success else f"HTTP {answer.status_code}"
