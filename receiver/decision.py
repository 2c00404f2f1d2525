"""To act or not: every guard in order, then either the refusal, what would be done, or the claim to do it.

The pipeline calls it for a run that has just matched, and again for one that was refused for a passing reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from receiver import breaker, metrics
from receiver.approvals import Unapproved
from receiver.asking import Asking
from receiver.audit import Kind
from receiver.case import Case, World
from receiver.execution import Execution
from receiver.guards import GUARDS, look_outside
from receiver.guards.alert import EpisodeState
from receiver.guards.guard import LedgerGuard, ask
from receiver.guards.limits import actions
from receiver.guards.people import Answered
from receiver.plan import Planned, plan
from receiver.run import PASSING, Outcome, Phase, Reason, Refusal, Run, Status
from receiver.store import approvals, limits, pause, runs

log = structlog.get_logger(__name__)

AT_ONCE = timedelta(seconds=1)  #: after losing a race for a lock


@dataclass
class Decision:
    """What was decided about a case, and which guards let it pass on the way."""

    case: Case
    plan: list[Planned] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    acting: Run | None = None  #: the run as it was claimed, when it is to act
    refusal: Refusal | None = None
    skipped: Run | None = None  #: the run as it was refused


@dataclass(frozen=True)
class Judgement:
    """Decides."""

    world: World
    execution: Execution
    asking: Asking

    async def decide(self, case: Case) -> Decision:
        """Ask the guards and write down the answer; the run is claimed for acting when `acting` is set."""
        decision = Decision(case)
        try:
            await self._allow(decision)
            if case.playbook.enforced:
                await self.world.ledger.write(lambda connection: self._claim_or_skip(connection, decision))
            else:
                await self._observe(decision)
        except Refusal as no:
            await self.world.ledger.write(partial(self._skip, decision=decision, no=no))
        except Unapproved as unapproved:
            await self.asking.ask(case, unapproved, passed=decision.passed)
        except sa.exc.IntegrityError as error:
            if not limits.is_lock_taken(error):
                raise
            raced = case.refuse(Reason.LOCKED, f"another run took {case.key} at the same moment", retry_in=AT_ONCE)
            await self.world.ledger.write(partial(self._skip, decision=decision, no=raced))
        if decision.refusal:
            before, case.run = case.run, decision.skipped or case.run
            _say(before, decision.refusal)
        return decision

    async def would(self, case: Case) -> Decision:
        """What the guards say of an alert that nobody delivered; nothing is written down, and nothing claimed."""
        decision = Decision(case)
        try:
            for guard in GUARDS:
                if isinstance(guard, EpisodeState):  # there is no episode in the books
                    continue
                try:
                    if isinstance(guard, LedgerGuard):
                        await self._ask_ledger(decision, [guard])
                    else:
                        await ask(guard.name, guard.check(case, self.world), case)
                        decision.passed.append(guard.name)
                except Unapproved as unapproved:
                    case.asks = unapproved.why
            decision.plan = plan(case, case.playbook.steps, phase=Phase.STEPS)
        except Refusal as no:
            decision.refusal = no
        return decision

    async def _allow(self, decision: Decision) -> None:
        """Every guard in order.

        Those of the ledger are asked in the claim in any case. Before it they only save questions to others, and are
        left out where nobody else is asked, unless another guard says no: the first no is the one that counts.
        """
        case = decision.case
        if case.run.status is Status.WAITING:  # a no needs no other server to be heard
            await self._ask_ledger(decision, [EpisodeState(), Answered()])
            decision.passed = []
        at_claim = case.playbook.enforced and not look_outside(case, self.world)
        of_ledger: list[LedgerGuard] = []
        for guard in GUARDS:
            if isinstance(guard, LedgerGuard):
                of_ledger.append(guard)
                continue
            try:
                if not at_claim:
                    asked, of_ledger = of_ledger, []
                    await self._ask_ledger(decision, asked)
                await ask(guard.name, guard.check(case, self.world), case)
            except Refusal:
                await self._ask_ledger(decision, of_ledger)
                raise
            decision.passed.append(guard.name)
        if not at_claim:
            await self._ask_ledger(decision, of_ledger)
        decision.plan = plan(case, case.playbook.steps, phase=Phase.STEPS)

    async def _ask_ledger(self, decision: Decision, guards: Sequence[LedgerGuard]) -> None:
        """Those in a row in one look at the store: most of the time to a decision is the way there."""

        def judge(connection: sa.Connection) -> None:
            for guard in guards:
                guard.judge(connection, decision.case, self.world)
                decision.passed.append(guard.name)

        if guards:
            await ask("store", self.world.ledger.read(judge), decision.case)

    def _claim(self, connection: sa.Connection, decision: Decision) -> Run:
        """The limits once more, the lock, and the first step's intent: all of it or nothing."""
        case = decision.case
        case.now = self.world.clock()
        decision.passed = []
        for guard in GUARDS:
            if isinstance(guard, LedgerGuard):
                guard.judge(connection, case, self.world)
            decision.passed.append(guard.name)
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
            state={
                "guards": decision.passed,
                "numbers": case.numbers,
                "target": case.target(),
                "phase": Phase.STEPS,
                "planned": len(decision.plan),
                "actions": actions([planned.step for planned in decision.plan]),
                "agreed_uid": case.workload.uid if case.approval and case.workload else None,
            },
        )
        if case.approval:
            approvals.use(connection, case.approval, at=case.now)
        self.execution.intend(connection, acting, case, decision.plan[0])
        return acting

    async def _observe(self, decision: Decision) -> None:
        case, now = decision.case, self.world.clock()
        shown = [planned.shown() for planned in decision.plan]
        asked = f"would have asked people ({case.asks}), then " if case.asks else ""
        told: dict[str, Any] = {"target": case.target(), "steps": shown, "guards": decision.passed, "asks": case.asks}
        told["numbers"] = case.numbers

        def write(connection: sa.Connection) -> None:
            if case.run.asked:
                approvals.withdraw(connection, case.run.id, at=now)
            self.world.tell(connection, case.run, Kind.OBSERVED, told)
            runs.change(
                connection,
                case.run,
                at=now,
                mode=case.playbook.mode,
                status=Status.DONE,
                outcome=Outcome.OBSERVED,
                reason=None,
                detail=f"{asked}would have done: {', '.join(planned.step.verb for planned in decision.plan)}",
                workload=case.key,
                finished_at=now,
                wake_at=None,
                state=told,
            )

        await self.world.ledger.write(write)
        metrics.RUNS.labels(playbook=case.playbook.name, outcome=Outcome.OBSERVED).inc()
        log.info("observed", run=case.run.id, playbook=case.playbook.name, target=case.key)

    def _claim_or_skip(self, connection: sa.Connection, decision: Decision) -> None:
        """The claim; or why there is none, in the same transaction: nothing was written when a guard said no."""
        try:
            decision.acting = self._claim(connection, decision)
        except Refusal as no:
            self._skip(connection, decision, no)

    def _skip(self, connection: sa.Connection, decision: Decision, no: Refusal) -> None:
        case = decision.case
        told = {"guards": decision.passed, "numbers": case.numbers}
        workload = case.key if case.found else case.run.workload
        decision.refusal = no
        decision.skipped = self._write_down(
            connection, case.run, no, told=told, workload=workload, gives_up=gives_up(case, no)
        )

    async def refuse(self, run: Run, no: Refusal) -> Run:
        """Write a "no" down that no guard said."""
        workload = run.workload
        skipped = await self.world.ledger.write(partial(self._write_down, run=run, no=no, told={}, workload=workload))
        _say(run, no)
        return skipped

    def _write_down(
        self,
        connection: sa.Connection,
        run: Run,
        no: Refusal,
        *,
        told: Mapping[str, Any],
        workload: str | None,
        gives_up: bool = False,
    ) -> Run:
        """Why not, and when to decide again; a wait that goes on is told once."""
        now = self.world.clock()
        again = no.retry_at if no.reason in PASSING else None
        row = {"reason": no.reason, "detail": no.detail, **told}
        if again:
            row["retry_at"] = again.isoformat()
        if run.asked:
            approvals.expire(connection, run.id, at=now)
            # a yes was for the alert as it was
            end = approvals.revoke if no.reason in (Reason.RESOLVED, Reason.STALE) else approvals.withdraw
            end(connection, run.id, at=now)
        if not _repeated(run, no):
            self.world.tell(connection, run, Kind.SKIPPED, row)
        let_go = self._has_passed(connection, run, no, workload)
        return runs.change(
            connection,
            run,
            at=now,
            keep=gives_up,
            status=Status.SKIPPED,
            reason=no.reason,
            detail=no.detail,
            workload=workload,
            wake_at=now if gives_up or let_go else again,
            state={**run.state, **told},
        )

    def _has_passed(self, connection: sa.Connection, run: Run, no: Refusal, workload: str | None) -> bool:
        """Whoever ended what we wait for has woken those that waited; we were not among them yet."""
        match no.reason:
            case Reason.LOCKED:
                return bool(workload) and not limits.holder(connection, workload or "", besides=run.id)
            case Reason.PAUSED:
                return pause.current(connection) is None
            case Reason.BREAKER_OPEN:
                rule = self.world.limits.breaker
                return breaker.open_until(connection, rule, now=self.world.clock()) is None
        return False


def _repeated(run: Run, no: Refusal) -> bool:
    return run.status is Status.SKIPPED and run.reason is no.reason


def _say(run: Run, no: Refusal) -> None:
    """Count it, and say so; of a wait that goes on, once."""
    if not _repeated(run, no):
        metrics.SKIPS.labels(playbook=run.playbook, reason=no.reason).inc()
        log.info("skipped", run=run.id, playbook=run.playbook, reason=str(no.reason), detail=no.detail)


def gives_up(case: Case, no: Refusal) -> bool:
    """Whether `on_failure` says that nothing more is tried: attempts used up by earlier episodes, or people said no."""
    rule = case.playbook.approval
    escalates = rule is not None and rule.on_timeout == "escalate"
    final = no.reason in (Reason.MAX_ATTEMPTS, Reason.APPROVAL_REJECTED)
    final = final or (no.reason is Reason.APPROVAL_TIMEOUT and escalates)
    return final and case.playbook.may_act and bool(case.playbook.on_failure)
