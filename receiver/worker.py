"""Works off what is stored: alerts into episodes, due runs through the pipeline, leases kept, old episodes closed.

One per process, in the event loop. All that it must know is in the ledger: it can be killed at any moment, and another
one takes over when the leases have run out.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from receiver import metrics
from receiver.alertmanager import Alertmanager
from receiver.audit import Kind
from receiver.conventions import ALERTNAME
from receiver.errors import AmendError
from receiver.matching import Matching, Question
from receiver.pipeline import Pipeline
from receiver.prometheus import Prometheus, Sample
from receiver.run import Outcome, Run, Status
from receiver.store import Ledger, StoreError, episodes, runs

log = structlog.get_logger(__name__)

Key = TypeVar("Key", int, str)

LEASE = timedelta(seconds=15)  #: after which a run that nobody renews may be taken over
RENEW = 4.0  #: seconds
POLL = 1.0  #: seconds after which the store is asked although nobody woke us
AT_ONCE = 64  #: runs in progress
SWEEP = 60.0  #: seconds between looks for orphaned episodes
AGAIN = timedelta(seconds=30)  #: after a fault of our own


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The loops; `run` until cancelled, `wake` when there is something new."""

    ledger: Ledger
    pipeline: Pipeline
    matching: Matching
    prometheus: Prometheus | None
    alertmanager: Alertmanager | None
    clock: Callable[[], datetime]
    owner: str
    orphan_after: timedelta
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _answers: dict[int, bool] = field(default_factory=dict)

    def wake(self) -> None:
        """There is something new in the store."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled; a store that fails is tried again, for ever."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._work(), self._keep_leases(), self._sweep()):
                group.create_task(loop)

    async def drain(self, within: float) -> None:
        """Let the runs in progress come to the end of their turn; what is not done by then is cut off."""
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=within)
        for task in (*self._busy.values(), *self._asking.values()):
            task.cancel()

    async def _work(self) -> None:
        while True:
            try:
                busy = await self._turn()
            except StoreError as error:
                log.error("store", error=str(error))
                busy = False
            if not busy:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), timeout=await self._patience())
                self._news.clear()

    async def _turn(self) -> bool:
        """One look at the store; whether there may be more to do at once."""
        now = self.clock()
        free = AT_ONCE - len(self._busy)
        answers, asking = dict(self._answers), list(self._asking)

        def look(connection: Any) -> tuple[int, list[Question], list[Run]]:
            batch = self.matching.work_off(connection, now=now, answers=answers, asking=asking)
            claimed = runs.claim_due(
                connection, owner=self.owner, at=self.clock(), lease=LEASE, limit=free, busy=list(self._busy)
            )
            return batch.looked_at, batch.questions, claimed

        looked_at, questions, claimed = await self.ledger.write(look)
        for answered in answers:
            del self._answers[answered]
        for question in questions:
            self._start(self._asking, question.stored.alert_key, self._ask(question))
        for run in claimed:
            self._start(self._busy, run.id, self._advance(run))
        return bool(looked_at or claimed)

    async def _patience(self) -> float:
        """How long nothing is due, if nobody wakes us."""
        try:
            due = await self.ledger.read(runs.next_wake)
        except StoreError:
            return POLL
        if due is None:
            return POLL
        return min(POLL, max(0.02, (due - self.clock()).total_seconds()))

    def _start(self, tasks: dict[Key, asyncio.Task[None]], key: Key, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks[key] = task

        def done(_: asyncio.Task[None]) -> None:
            tasks.pop(key, None)
            self.wake()

        task.add_done_callback(done)

    async def _advance(self, run: Run) -> None:
        try:
            await self.pipeline.advance(run)
        except runs.Superseded as error:
            log.warning("superseded", run=run.id, error=str(error))
        except StoreError as error:  # the lease runs out, and the run is found again when the store is back
            log.error("store", run=run.id, error=str(error))
        except Exception as error:  # the one place: a fault of our own is told on the run, and stops nothing else
            metrics.WORKER_ERRORS.inc()
            log.exception("fault", run=run.id)
            with suppress(AmendError):
                await self._record_fault(run, error)

    async def _record_fault(self, run: Run, error: Exception) -> None:
        detail = f"a fault of amend's own: {type(error).__name__}: {error}"
        now = self.clock()

        def write(connection: Any) -> None:
            known = runs.get(connection, run.id)
            if known and known.status in (Status.ACTING, Status.VERIFYING):
                runs.cut_off(connection, known, at=now)
                runs.change(
                    connection,
                    run,
                    at=now,
                    status=Status.DONE,
                    outcome=Outcome.UNKNOWN,
                    detail=detail,
                    finished_at=now,
                    wake_at=None,
                )
                told = {"outcome": Outcome.UNKNOWN, "detail": detail}
                self.pipeline.world.tell(connection, run, Kind.FINISHED, told)
            else:
                runs.change(connection, run, at=now, detail=detail, wake_at=now + AGAIN)

        await self.ledger.write(write)

    async def _ask(self, question: Question) -> None:
        """Was there a gap between what we last heard and the new start? No answer counts as one."""
        self._answers[question.stored.id] = await self._gap(question)

    async def _gap(self, question: Question) -> bool:
        if self.prometheus is None or ALERTNAME not in question.episode.labels:
            return True
        labels = question.episode.labels
        span = max(2, int((self.clock() - question.episode.last_seen_at).total_seconds()))
        step = max(1, span // 500)
        expr = (
            f'count_over_time(ALERTS{{alertstate="firing",alertname="{_escape(labels[ALERTNAME])}"}}[{span}s:{step}s])'
        )
        try:
            samples = await self.prometheus.query(expr)
        except AmendError as error:
            log.warning("gap unknown", alert=labels[ALERTNAME], error=str(error))
            return True
        # Alertmanager's labels are those of the series and what Prometheus adds to all that it sends.
        own = [sample for sample in samples if {**labels, "alertstate": "firing"}.items() >= _plain(sample).items()]
        return not own or own[0].value < span // step - 1

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            ids = list(self._busy)
            if not ids:
                continue
            try:
                until = self.clock() + LEASE
                await self.ledger.write(partial(runs.renew, owner=self.owner, ids=ids, until=until))
            except StoreError as error:
                log.error("store", error=str(error))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            if self.alertmanager is None:
                continue
            try:
                before = self.clock() - self.orphan_after
                for episode in await self.ledger.read(partial(episodes.silent_since, moment=before)):
                    if not await self.alertmanager.lists(episode.labels):
                        await self.ledger.write(partial(self.matching.close_orphan, episode=episode, now=self.clock()))
            except AmendError as error:
                log.warning("sweep", error=str(error))


def _plain(sample: Sample) -> dict[str, str]:
    return {name: value for name, value in sample.labels.items() if name != "__name__"}


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
