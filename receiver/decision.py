"""To act or not: every guard in order, then either the refusal, what would be done, or the claim to do it.

The pipeline calls it for a run that has just matched, and again for one that was refused for a passing reason.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from receiver import metrics
from receiver.audit import Kind
from receiver.case import Case, World
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.execution import Execution, Planned, plan
from receiver.guards import GUARDS, judge_ledger
from receiver.run import PASSING, Outcome, Reason, Refusal, Run, Status
from receiver.store import runs

log = structlog.get_logger(__name__)

AT_ONCE = timedelta(seconds=1)  #: after losing a race for a lock
LATER = timedelta(seconds=30)  #: until a guard that could not be evaluated is asked again


@dataclass
class Decision:
    """What was decided about a case, and which guards let it pass on the way."""

    case: Case
    plan: list[Planned] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    acting: Run | None = None  #: the run as it was claimed, when it is to act
    refusal: Refusal | None = None


async def ask(name: str, answer: Awaitable[None], case: Case) -> None:
    """A guard's answer; one that cannot be evaluated says no."""
    try:
        await answer
    except (Temporary, Permanent, Uncertain) as error:
        raise case.refuse(Reason.GUARD_ERROR, f"{name}: {error}", retry_in=LATER) from error


@dataclass(frozen=True)
class Judgement:
    """Decides."""

    world: World
    execution: Execution

    async def decide(self, case: Case) -> Decision:
        """Ask the guards and write down the answer; the run is claimed for acting when `acting` is set."""
        decision = Decision(case)
        try:
            await self._allow(decision)
            if case.playbook.enforced:
                decision.acting = await self.world.ledger.write(lambda c: self._claim(c, decision))
            else:
                await self._observe(decision)
        except Refusal as no:
            decision.refusal = no
        except sa.exc.IntegrityError:  # the lock's unique index: somebody was faster by less than a moment
            decision.refusal = case.refuse(
                Reason.LOCKED, f"another run took {case.key} at the same moment", retry_in=AT_ONCE
            )
        if decision.refusal:
            await self._refuse(decision, decision.refusal)
        return decision

    async def _allow(self, decision: Decision) -> None:
        case = decision.case
        for guard in GUARDS:
            await ask(guard.name, guard.check(case, self.world), case)
            decision.passed.append(guard.name)
        decision.plan = plan(case, case.playbook.steps, phase="steps")

    def _claim(self, connection: sa.Connection, decision: Decision) -> Run:
        """The limits once more, the lock, and the first step's intent: all of it or nothing."""
        case = decision.case
        case.now = self.world.clock()
        judge_ledger(connection, case, self.world)
        acting = runs.change(
            connection,
            case.run,
            at=case.now,
            keep=True,
            mode=case.playbook.mode,  # it may have been the other one when the run matched
            status=Status.ACTING,
            reason=None,
            detail="",
            workload=case.key,
            acted_at=case.now,
            wake_at=case.now,
            state={"guards": decision.passed, "numbers": case.numbers, "target": case.target(), "phase": "steps"},
        )
        self.execution.intend(connection, acting, case, decision.plan[0])
        return acting

    async def _observe(self, decision: Decision) -> None:
        case, now = decision.case, self.world.clock()
        shown = [planned.shown() for planned in decision.plan]
        told = {"target": case.target(), "steps": shown, "guards": decision.passed, "numbers": case.numbers}

        def write(connection: sa.Connection) -> None:
            self.world.tell(connection, case.run, Kind.OBSERVED, told)
            runs.change(
                connection,
                case.run,
                at=now,
                mode=case.playbook.mode,
                status=Status.DONE,
                outcome=Outcome.OBSERVED,
                reason=None,
                detail=f"would have done: {', '.join(planned.step.verb for planned in decision.plan)}",
                workload=case.key,
                finished_at=now,
                wake_at=None,
                state=told,
            )

        await self.world.ledger.write(write)
        metrics.RUNS.labels(playbook=case.playbook.name, outcome=Outcome.OBSERVED).inc()
        log.info("observed", run=case.run.id, playbook=case.playbook.name, target=case.key)

    async def _refuse(self, decision: Decision, no: Refusal) -> None:
        case, now = decision.case, self.world.clock()
        repeated = case.run.status is Status.SKIPPED and case.run.reason is no.reason
        told: dict[str, Any] = {
            "reason": no.reason,
            "detail": no.detail,
            "guards": decision.passed,
            "numbers": case.numbers,
        }
        if no.retry_at:
            told["retry_at"] = no.retry_at.isoformat()
        gives_up = _gives_up(case, no)

        def write(connection: sa.Connection) -> Run:
            if not repeated:  # a wait that goes on is told once
                self.world.tell(connection, case.run, Kind.SKIPPED, told)
            return runs.change(
                connection,
                case.run,
                at=now,
                keep=gives_up,
                status=Status.SKIPPED,
                reason=no.reason,
                detail=no.detail,
                workload=case.key if case.found else case.run.workload,
                wake_at=_next_look(case, no, gives_up=gives_up),
                state={**case.run.state, "guards": decision.passed, "numbers": case.numbers},
            )

        case.run = await self.world.ledger.write(write)
        if not repeated:
            metrics.SKIPS.labels(playbook=case.playbook.name, reason=no.reason).inc()
            log.info("skipped", run=case.run.id, playbook=case.playbook.name, reason=str(no.reason), detail=no.detail)


def _gives_up(case: Case, no: Refusal) -> bool:
    """Attempts used up by earlier episodes: nothing more is tried, and `on_failure` says so."""
    return no.reason is Reason.MAX_ATTEMPTS and bool(case.playbook.on_failure) and case.playbook.enforced


def _next_look(case: Case, no: Refusal, *, gives_up: bool) -> datetime | None:
    if gives_up:
        return case.now
    return no.retry_at if no.reason in PASSING else None
