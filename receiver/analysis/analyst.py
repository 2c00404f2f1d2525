"""Whoever the `analyze` verb asks: gathers the situation, asks the model if there is one, and else goes by thumb."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from receiver.analysis import loki, model, thumb
from receiver.analysis.advice import Advice
from receiver.analysis.situation import Situation, gather
from receiver.deployments import Deployments
from receiver.errors import AmendError
from receiver.outbound import Outbound
from receiver.run import Episode
from receiver.settings.analyze import Analyze
from receiver.store import Ledger
from receiver.workload import Workload

AT_ONCE = 2  #: questions to the model: a local one answers one after the other
FOR_LOGS = 0.4  #: of all the time: the model needs the rest


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Advice, and where it is from."""

    advice: Advice
    by: str  #: the model's name, or `rules of thumb`
    notes: tuple[str, ...]  #: what could not be asked, and why

    def as_json(self) -> dict[str, Any]:
        return {"by": self.by, "notes": list(self.notes), **self.advice.model_dump(mode="json")}


@dataclass(frozen=True, kw_only=True)
class Analyst:
    ledger: Ledger
    deployments: Deployments
    outbound: Outbound
    clock: Callable[[], datetime]
    model: Analyze | None = None
    loki: str | None = None  #: its URL
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def analyze(
        self,
        episode: Episode,
        workload: Workload | None,
        *,
        run_id: int,
        logs: Mapping[str, str],
        lines: int,
        within: float,
    ) -> Analysis:
        """Always advice, and in time: a model or a Loki that does not answer is left out, which the notes say."""
        ends_at = asyncio.get_running_loop().time() + within
        notes: list[str] = []
        found = await self._lines(episode, logs, lines, notes, within=within * FOR_LOGS)
        situation = await gather(
            self.ledger,
            self.deployments,
            episode,
            workload,
            now=self.clock(),
            besides=run_id,
            logs=found,
        )
        advice = await self._ask(situation, ends_at, notes)
        if advice is None:
            return Analysis(advice=thumb.advise(situation), by="rules of thumb", notes=tuple(notes))
        assert self.model
        return Analysis(advice=advice, by=self.model.model, notes=tuple(notes))

    async def _lines(
        self, episode: Episode, logs: Mapping[str, str], limit: int, notes: list[str], *, within: float
    ) -> list[str]:
        if not logs:
            return []
        if self.loki is None:
            notes.append("no Loki is configured; add loki: {url: …} to amend.yml")
            return []
        try:
            async with asyncio.timeout(within):  # looking up its name takes time as well
                return await loki.lines(
                    self.loki, logs, self.outbound, began=episode.starts_at, now=self.clock(), limit=limit
                )
        except TimeoutError:
            notes.append(f"without log lines: Loki did not answer within {within:g}s")
            return []
        except AmendError as error:
            notes.append(f"without log lines: {error}")
            return []

    async def _ask(self, situation: Situation, ends_at: float, notes: list[str]) -> Advice | None:
        if self.model is None:
            return None
        left = min(self.model.timeout.total_seconds(), ends_at - asyncio.get_running_loop().time())
        try:
            # the time of httpx begins anew with every byte
            async with asyncio.timeout(left), self._turn:
                return await model.ask(self.model, situation, self.outbound, within=max(0.1, left))
        except TimeoutError:
            notes.append(f"{self.model.model} did not answer within {left:.1f}s")
        except AmendError as error:
            notes.append(str(error))
        return None
