"""What playbooks would have done about the alerts that really came: how often, on how many workloads, and why not.

`amend playbooks backtest` calls it. Nothing that is done in it has an effect: an alert goes on and ends as it did.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from receiver.approval import Answer
from receiver.marker import Marker
from receiver.playbook import Playbook
from receiver.prometheus import Prometheus, Sample
from receiver.rehearsal.history import Event
from receiver.rehearsal.outside import Oracle, Outside, Pretended, Stage
from receiver.rehearsal.rehearsal import Rehearsal
from receiver.rehearsal.script import State
from receiver.run import Outcome, Reason, Run, Status
from receiver.settings import Identity
from receiver.settings.limits import Limits
from receiver.store import runs
from receiver.workload import Selector, Workload

HOUR = timedelta(hours=1)
AFTER = timedelta(hours=2)  #: that are played after the last alert, so that what it began comes to an end
PAGE = 1000  #: runs read at once
REPLICAS = 3  #: that each workload is taken to have


@dataclass(frozen=True, kw_only=True)
class Act:
    """A run that would have acted."""

    at: datetime
    target: str
    did: tuple[str, ...]
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one playbook would have done."""

    playbook: Playbook
    runs: int
    acts: tuple[Act, ...]
    asked: int  #: runs that people would have been asked about
    skips: Mapping[Reason, int] = field(default_factory=dict)

    @property
    def targets(self) -> set[str]:
        return {act.target for act in self.acts}

    @property
    def most_targets_in_an_hour(self) -> int:
        """Different ones, in any hour."""
        return max((len(_within(self.acts, act.at)) for act in self.acts), default=0)


def _within(acts: Sequence[Act], begin: datetime) -> set[str]:
    return {act.target for act in acts if begin <= act.at < begin + HOUR}


async def backtest(
    playbooks: Sequence[Playbook],
    events: Sequence[Event],
    directory: Path,
    *,
    limits: Limits,
    identity: Identity | None = None,
    markers: Sequence[Marker] = (),
    prometheus: Prometheus | None = None,
    agreed: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Tally]:
    """A tally of each playbook, in their order; `agreed`: people say yes to everything at once.

    Playbooks that only observe are played as if they acted. `only_if` and `verify.query` are asked of the Prometheus at
    the moments that are played; without one they are taken to be true.
    """
    if not events:
        return [Tally(playbook=each, runs=0, acts=(), asked=0) for each in playbooks]
    rehearsal = Rehearsal(
        {each.name: each.model_copy(update={"mode": "enforce"}) for each in playbooks},
        directory,
        start=events[0].at,
        limits=limits,
        identity=identity,
        programs=Pretended({}),
        stage=Everywhere,
        oracle=lambda outside: Past(outside, prometheus, questions(playbooks)),
    )
    deployed = deque(markers)
    try:
        for number, event in enumerate(events):
            while deployed and deployed[0].at <= event.at:
                await rehearsal.deployments.mark(deployed.popleft())
            await rehearsal.go_on(event.at)
            await rehearsal.deliver(event.as_alert(), firing=event.firing, source=event.source)
            if agreed:
                await _agree(rehearsal)
            progress(number + 1)
        await rehearsal.go_on(events[-1].at + AFTER)
        return [await _tally(rehearsal, each) for each in playbooks]
    finally:
        await rehearsal.close()


async def _agree(rehearsal: Rehearsal) -> None:
    waiting = await rehearsal.ledger.read(lambda c: runs.page(c, limit=PAGE, status=Status.WAITING))
    for run in waiting:
        await rehearsal.approvals.answer(run.id, Answer.APPROVED, by="somebody")
    if waiting:
        await rehearsal.settle()


async def _tally(rehearsal: Rehearsal, playbook: Playbook) -> Tally:
    found: list[Run] = []
    while True:
        before = found[-1].id if found else None
        page = await rehearsal.ledger.read(partial(runs.page, limit=PAGE, before=before, playbook=playbook.name))
        found += page
        if len(page) < PAGE:
            break
    acts = [_act(run) for run in reversed(found) if run.acted_at and run.steps]
    skips = Counter(run.reason for run in found if run.status is Status.SKIPPED and run.reason)
    return Tally(
        playbook=playbook,
        runs=len(found),
        acts=tuple(acts),
        asked=sum(run.asked for run in found),
        skips=dict(skips.most_common()),
    )


def _act(run: Run) -> Act:
    assert run.acted_at
    did = tuple(step.verb for step in run.steps)
    return Act(at=run.acted_at, target=run.workload or run.playbook, did=did, outcome=run.outcome)


def questions(playbooks: Sequence[Playbook]) -> frozenset[str]:
    """The PromQL that the playbooks bring themselves."""
    own = [each.only_if for each in playbooks] + [each.verify.query for each in playbooks if each.verify]
    return frozenset(expr for expr in own if expr)


class Everywhere(Stage):
    """Has each workload that a playbook names, all is well with it, and it stays so whatever is done."""

    async def resolve(self, selector: Selector) -> Workload:
        self.outside.workloads.setdefault((self.kind, str(selector)), State(replicas=REPLICAS))
        return await super().resolve(selector)

    def _change(self, workload: Workload, **update: Any) -> None:
        """Nothing: a workload that grew with each alert of a year would soon be as large as it may be."""


class Past(Oracle):
    """Knows what fired, and asks a real Prometheus, as of the moment that is played, what playbooks ask themselves."""

    def __init__(self, outside: Outside, prometheus: Prometheus | None, asked: frozenset[str]) -> None:
        super().__init__(outside)
        self._real = prometheus
        self._asked = asked

    async def query(self, expr: str, *, at: datetime | None = None) -> list[Sample]:
        if expr not in self._asked:
            return await super().query(expr, at=at)
        if self._real is None:
            return [Sample({}, 1.0)]
        return await self._real.query(expr, at=self._outside.clock())
