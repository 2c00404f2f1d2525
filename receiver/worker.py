"""Works off what is stored: alerts into episodes, due runs through the pipeline, leases kept, old episodes closed.

One per process, in the event loop. All that it must know is in the ledger: it can be killed at any moment, and another
one takes over when the leases have run out.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from receiver import metrics
from receiver.alertmanager import Alertmanager
from receiver.conventions import ALERTNAME
from receiver.errors import AmendError
from receiver.labels import selector
from receiver.matching import Batch, Matching, Question
from receiver.pipeline import Pipeline
from receiver.prometheus import Prometheus, Sample
from receiver.run import Episode, Run
from receiver.store import Ledger, StoreError, episodes, runs, steps

log = structlog.get_logger(__name__)

Key = TypeVar("Key", int, str)

LEASE = timedelta(seconds=15)  #: after which a run that nobody renews may be taken over
RENEW = 4.0  #: seconds
POLL = 1.0  #: seconds after which the store is asked although nobody woke us
AT_ONCE = 256  #: runs in progress
OF_ONE_PLAYBOOK = 64  #: of these: runs that wait for what hangs leave room for those that need nothing of it
SWEEP = 60.0  #: seconds between two sweeps


@dataclass(frozen=True)
class _Look:
    """What one look at the store brought."""

    batch: Batch
    claimed: list[tuple[Run, Episode]]
    more: bool  #: there may be more than was taken
    due: datetime | None  #: when the next run is


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
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _answers: dict[int, bool] = field(default_factory=dict)

    def wake(self) -> None:
        """There is something new in the store."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled; a store that fails is tried again, for ever."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._work(), self._keep_leases()):
                group.create_task(loop)

    async def settle(self, asleep: Callable[[], int] = lambda: 0) -> None:
        """Turn after turn until there is nothing to do at this moment, for a clock that stands still.

        So many runs are `asleep` until it moves; `wake` is called when another one falls asleep.
        """
        while not await self._turn() or len(self._busy) > asleep() or self._asking:
            if len(self._busy) > asleep() or self._asking:
                await self._news.wait()
            self._news.clear()

    async def drain(self, within: float) -> None:
        """Begin nothing more, and let the runs in progress come to the end of their turn, under leases that are kept.

        What is not done by then is cut off.
        """
        self._stopping.set()
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=within)
        for task in (*self._busy.values(), *self._asking.values()):
            task.cancel()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                patience = await self._turn()
            except StoreError as error:
                log.error("store", error=str(error))
                patience = POLL
            if patience:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), timeout=patience)
                self._news.clear()

    async def _turn(self) -> float:
        """One look at the store; for how many seconds there is nothing to do if nobody wakes us."""
        now = self.clock()
        room, full = self._room()
        answers, asking = dict(self._answers), list(self._asking)

        def look(connection: sa.Connection) -> _Look:
            batch = self.matching.work_off(connection, now=now, answers=answers, asking=asking)
            claimed = runs.claim_due(
                connection,
                owner=self.owner,
                at=self.clock(),
                lease=LEASE,
                limit=room,
                busy=list(self._busy),
                besides=full,
            )
            about = episodes.by_id(connection, {run.episode_id for run in claimed})
            more = batch.full or len(claimed) == room > 0
            due = runs.next_wake(connection, besides=full) if room else None  # or when one of ours is done
            return _Look(batch, [(run, about[run.episode_id]) for run in claimed], more, due)

        seen = await self.ledger.write(look)
        for answered in answers:
            del self._answers[answered]
        for question in seen.batch.questions:
            self._start(self._asking, question.stored.alert_key, self._ask(question))
        for run, episode in seen.claimed:
            self._start(self._busy, run.id, self._advance(run, episode), name=run.playbook)
        if seen.more:
            return 0
        return min(POLL, max(0.02, (seen.due - self.clock()).total_seconds())) if seen.due else POLL

    def _room(self) -> tuple[int, list[str]]:
        """How many runs may be begun, and the playbooks of which none may be."""
        busy = Counter(task.get_name() for task in self._busy.values())
        full = [playbook for playbook, count in busy.items() if count >= OF_ONE_PLAYBOOK]
        most = max((count for count in busy.values() if count < OF_ONE_PLAYBOOK), default=0)
        return min(AT_ONCE - len(self._busy), OF_ONE_PLAYBOOK - most), full

    def _start(
        self, tasks: dict[Key, asyncio.Task[None]], key: Key, work: Coroutine[Any, Any, None], *, name: str = ""
    ) -> None:
        task = asyncio.create_task(work, name=name or None)
        tasks[key] = task

        def done(_: asyncio.Task[None]) -> None:
            tasks.pop(key, None)
            self.wake()

        task.add_done_callback(done)

    async def _advance(self, run: Run, episode: Episode) -> None:
        try:
            await self.pipeline.advance(run, episode)
        except steps.Superseded as error:
            log.warning("superseded", run=run.id, error=str(error))
        except StoreError as error:  # the lease runs out, and the run is found again when the store is back
            log.error("store", run=run.id, error=str(error))
        except Exception as error:  # the one place: a fault of our own is told on the run, and stops nothing else
            metrics.WORKER_ERRORS.inc()
            log.exception("fault", run=run.id)
            with suppress(AmendError):
                await self.pipeline.fault(run, error)

    async def _ask(self, question: Question) -> None:
        """Was there a gap between what we last heard and the new start? No answer counts as one."""
        self._answers[question.stored.id] = True
        self._answers[question.stored.id] = await self._gap(question)

    async def _gap(self, question: Question) -> bool:
        if self.prometheus is None or ALERTNAME not in question.episode.labels:
            return True
        labels = question.episode.labels
        span = max(2, int((self.clock() - question.episode.last_seen_at).total_seconds()))
        step = max(1, span // 500)
        firing = selector("ALERTS", {"alertstate": "firing", ALERTNAME: labels[ALERTNAME]})
        expr = f"count_over_time({firing}[{span}s:{step}s])"
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
            try:
                await self.renew()
            except StoreError as error:
                log.error("store", error=str(error))

    async def renew(self) -> None:
        """Keep the leases of the runs in progress."""
        if ids := list(self._busy):
            kept = partial(runs.renew, owner=self.owner, ids=ids, at=self.clock(), lease=LEASE)
            await self.ledger.write(kept)

    async def sweep(self) -> None:
        """Close the episodes that nobody has spoken of for long and that Alertmanager lists no more."""
        if self.alertmanager is None:
            return
        before = self.clock() - self.orphan_after
        for episode in await self.ledger.read(partial(episodes.silent_since, moment=before)):
            await self._look_for(self.alertmanager, episode)

    async def _look_for(self, alertmanager: Alertmanager, episode: Episode) -> None:
        try:
            listed = await alertmanager.lists(episode.labels)
        except AmendError as error:
            log.warning("sweep", episode=episode.id, error=str(error))
            return
        if listed:
            await self.ledger.write(partial(episodes.touch, episode=episode, at=self.clock()))
        else:
            await self.ledger.write(partial(self.matching.close_orphan, episode=episode, now=self.clock()))


def _plain(sample: Sample) -> dict[str, str]:
    return {name: value for name, value in sample.labels.items() if name != "__name__"}
