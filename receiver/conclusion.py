"""The end of a run: its outcome written down, then the next attempt, or `on_failure` when nothing helped.

The pipeline calls it once the steps failed or the verification gave its verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from receiver import approvals, metrics
from receiver.actions import ACTIONS
from receiver.audit import Kind
from receiver.case import Case, World
from receiver.execution import Execution
from receiver.guards.guard import LedgerGuard, ask
from receiver.guards.limits import COUNTED, BreakerClosed, RateLimit
from receiver.guards.people import NotPaused
from receiver.guards.target import MinHealthy, foresee, look_again
from receiver.plan import Planned, plan
from receiver.run import Outcome, Phase, Reason, Refusal, Run, Status
from receiver.store import episodes, runs
from receiver.verify import Verdict

log = structlog.get_logger(__name__)

MISSED = frozenset({Outcome.NOT_FIXED, Outcome.FAILED, Outcome.UNKNOWN})
"""Outcomes after which something more is to be done, unless the alert has ended anyway."""


@dataclass(frozen=True)
class Conclusion:
    """Ends runs."""

    world: World
    execution: Execution

    async def conclude(
        self,
        run: Run,
        case: Case,
        verdict: Verdict,
        *,
        state: Mapping[str, Any] | None = None,
        seen: Outcome = Outcome.NONE,
    ) -> None:
        """Write down the outcome and see to what follows; `seen` is what the verification saw, whoever did it."""
        playbook = case.playbook
        missed = verdict.outcome in MISSED and seen is not Outcome.FIXED
        # An unknown that nobody has looked into is not tried again: it may have been done.
        looked_into = verdict.outcome is not Outcome.UNKNOWN or seen is Outcome.NOT_FIXED
        again = missed and looked_into and run.attempt < playbook.max_attempts.count
        gives_up = missed and not again and playbook.may_act and bool(playbook.on_failure)

        def write(connection: sa.Connection) -> Run:
            finished = self.end(connection, run, case, verdict, state=state, gives_up=gives_up)
            if again:
                self._try_again(connection, run, case)
            return finished

        finished = await self.world.ledger.write(write)
        if gives_up:
            _count(run, verdict)
            await self.on_failure(finished, case)
        else:
            self.ended(run, case, verdict)

    def end(
        self,
        connection: sa.Connection,
        run: Run,
        case: Case,
        verdict: Verdict,
        *,
        state: Mapping[str, Any] | None = None,
        gives_up: bool = False,
    ) -> Run:
        """Write the outcome down with what it came of; once that is on disk, it has `ended`."""
        now = self.world.clock()
        state = dict(state or run.state)
        told = {"outcome": verdict.outcome, "detail": verdict.why, "evidence": state.get("watch")}
        self.world.tell(connection, run, Kind.FINISHED, told)
        finished = runs.change(
            connection,
            run,
            at=now,
            keep=gives_up,
            status=Status.ACTING if gives_up else Status.DONE,
            outcome=verdict.outcome,
            detail=verdict.why,
            finished_at=None if gives_up else now,
            wake_at=now if gives_up else None,
            state={**state, "phase": Phase.ON_FAILURE} if gives_up else state,
        )
        if not gives_up:
            runs.wake_locked(connection, _key(run, case), at=now)
        return finished

    def ended(self, run: Run, case: Case, verdict: Verdict) -> None:
        """Count it, and say so."""
        _count(run, verdict)
        no_longer_in_progress(run.playbook, _key(run, case))

    async def on_failure(self, run: Run, case: Case) -> None:
        """The steps for when nothing helped: once per episode, and each at most once."""
        case.run = run
        begun = {step.position for step in run.steps if step.phase is Phase.ON_FAILURE}
        if await self.world.ledger.write(partial(self._claim_failure, run=run)):
            for position in range(len(case.playbook.on_failure)):
                if position not in begun:
                    await self._on_failure_step(run, case, position)
        now = self.world.clock()
        # A run that was refused, as its attempts are used up or people said no, stays a refused one.
        final = Status.SKIPPED if run.status is Status.SKIPPED else Status.DONE

        def write(connection: sa.Connection) -> None:
            finished_at = now if final is Status.DONE else None
            runs.change(connection, run, at=now, status=final, wake_at=None, finished_at=finished_at)
            runs.wake_locked(connection, _key(run, case), at=now)

        await self.world.ledger.write(write)
        no_longer_in_progress(run.playbook, _key(run, case))

    def _claim_failure(self, connection: sa.Connection, run: Run) -> bool:
        """Whether it is for this run to do; a step that a process left in mid-air is told to be unknown."""
        left = [step.verb for step in runs.cut_off(connection, run, at=self.world.clock())]
        if left:
            self.world.tell(connection, run, Kind.INTERRUPTED, {"phase": Phase.ON_FAILURE, "cut_off": left})
        return episodes.claim_failure(connection, run.episode_id, run.id)

    async def _on_failure_step(self, run: Run, case: Case, position: int) -> None:
        """One that cannot be done does not keep the others from being done: people must hear of it."""
        step = case.playbook.on_failure[position]
        touches = ACTIONS[step.verb].intervenes
        try:
            if touches:
                await self._may_touch(case)
                await ask("target", foresee(case, self.world, [step]), case)
            (planned,) = plan(case, [step], phase=Phase.ON_FAILURE)
            placed = replace(planned, position=position)
            allow = partial(self._allow, case=case, planned=placed) if step.verb in COUNTED else None
            await self.execution.carry_out(run, case, placed, allow=allow)
        except Refusal as no:
            told = {"phase": Phase.ON_FAILURE, "position": position, "verb": step.verb}
            row = {**told, "reason": no.reason, "error": no.detail}
            await self.world.ledger.write(lambda c: self.world.tell(c, run, Kind.STEP_FAILED, row))

    def _allow(self, connection: sa.Connection, case: Case, *, planned: Planned) -> None:
        """Refusal when nothing more may be begun."""
        guards: list[LedgerGuard] = [NotPaused()]
        if ACTIONS[planned.step.verb].intervenes:
            guards += [RateLimit(), BreakerClosed()]
            if not approvals.covered(connection, case, planned):
                raise case.refuse(Reason.APPROVAL_TIMEOUT, "people must agree to it first, and were not asked")
        for guard in guards:
            guard.judge(connection, case, self.world)

    async def _may_touch(self, case: Case) -> None:
        """Refusal when the workload may not be touched once more."""
        case.now = self.world.clock()
        if not case.playbook.may_act:
            raise case.refuse(Reason.DISABLED, "the playbook no longer may act")
        if case.run.status is not Status.ACTING:
            raise case.refuse(Reason.LOCKED, "this run does not have the workload's lock")
        await look_again(case, self.world)
        await ask("min_healthy", MinHealthy().check(case, self.world), case)

    async def close(self, run: Run, why: str) -> None:
        """End a run that cannot go on: unknown, and nothing follows."""
        now = self.world.clock()

        def write(connection: sa.Connection) -> None:
            runs.cut_off(connection, run, at=now)
            self.world.tell(connection, run, Kind.FINISHED, {"outcome": Outcome.UNKNOWN, "detail": why})
            runs.change(
                connection,
                run,
                at=now,
                status=Status.DONE,
                outcome=Outcome.UNKNOWN,
                detail=why,
                finished_at=now,
                wake_at=None,
            )
            if run.workload:
                runs.wake_locked(connection, run.workload, at=now)

        await self.world.ledger.write(write)
        metrics.RUNS.labels(playbook=run.playbook, outcome=Outcome.UNKNOWN).inc()
        log.warning("closed", run=run.id, playbook=run.playbook, detail=why)
        no_longer_in_progress(run.playbook, run.workload or "")

    def _try_again(self, connection: sa.Connection, run: Run, case: Case) -> None:
        now = self.world.clock()
        runs.create(
            connection,
            episode_id=run.episode_id,
            playbook=run.playbook,
            attempt=run.attempt + 1,
            mode=run.mode,
            at=now,
            wake_at=now + case.playbook.cooldown,
        )


def _key(run: Run, case: Case) -> str:
    """The lock's key: as it was when the run took it, for the workload may be gone."""
    return run.workload or case.key


def _count(run: Run, verdict: Verdict) -> None:
    metrics.RUNS.labels(playbook=run.playbook, outcome=verdict.outcome).inc()
    log.info("finished", run=run.id, playbook=run.playbook, outcome=str(verdict.outcome), detail=verdict.why)


def no_longer_in_progress(playbook: str, workload: str) -> None:
    """Take a run out of the one metric that has a target's name in it."""
    metrics.IN_PROGRESS.labels(playbook, workload).set(0)
    metrics.IN_PROGRESS.remove(playbook, workload)
