"""A run's way: decide, act, verify, conclude. Each turn is short, and what it found is committed at its end.

The worker gives it a run that it holds under a lease. Every stage writes down what it is about to do before it does it,
so that a process that dies anywhere leaves a ledger from which the next one goes on honestly.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import sqlalchemy as sa
import structlog

from receiver import metrics
from receiver.actions import ACTIONS
from receiver.asking import Asking
from receiver.audit import Kind
from receiver.case import LATER, Case, World
from receiver.conclusion import Conclusion
from receiver.decision import Decision, Judgement, gives_up
from receiver.errors import AmendError
from receiver.execution import Execution
from receiver.guards.limits import COUNTED
from receiver.guards.people import NotPaused
from receiver.guards.target import find, look_again
from receiver.playbook import Playbook, Verify
from receiver.run import Episode, Outcome, Phase, Reason, Refusal, Run, Status, StepStatus
from receiver.store import runs
from receiver.verify import Verdict, Verifier, Watch, judge

log = structlog.get_logger(__name__)

LOOKS = 8  #: how often a verification looks while it waits for `absent_for`
FASTEST, SLOWEST = timedelta(milliseconds=500), timedelta(seconds=15)  #: between two looks


BEGUN = (Status.ACTING, Status.VERIFYING)
"""Statuses in which something may have been done."""

ALL_DONE = Verdict(Outcome.NONE, "the steps are done; the playbook has nothing to verify")


class Pipeline:
    """The stages, and the way between them."""

    def __init__(
        self,
        world: World,
        playbooks: Callable[[], Mapping[str, Playbook]],
        *,
        pace: Callable[[Verify], timedelta] | None = None,
    ) -> None:
        self.world = world
        self.playbooks = playbooks
        self.pace = pace or _pace  #: how long a verification waits until it looks again
        self.execution = Execution(world)
        self.judgement = Judgement(world, self.execution, Asking(world))
        self.verifier = Verifier(world.prometheus)
        self.conclusion = Conclusion(world, self.execution)

    async def advance(self, run: Run, episode: Episode) -> None:
        """Take a claimed run one turn further."""
        playbook = self.playbooks().get(run.playbook)
        if playbook is None:
            await self._abandon(run)
            return
        case = Case(run, episode, playbook, self.world.clock(), self.world.link(run))
        if run.workload and run.status in BEGUN:
            metrics.IN_PROGRESS.labels(playbook=run.playbook, target=run.workload).set(1)
        match run.status:
            case Status.MATCHED | Status.SKIPPED | Status.WAITING:
                await self._decide(case)
            case Status.ACTING:
                await self._take_over(case)
            case Status.VERIFYING:
                await self._verify(case)
            case _:  # done meanwhile: there is nothing left to wake for
                await self.world.ledger.write(lambda c: runs.change(c, run, at=self.world.clock(), wake_at=None))

    async def _decide(self, case: Case) -> None:
        decision = await self.judgement.decide(case)
        if decision.acting:
            await self._act(decision.acting, decision)
        elif decision.refusal and gives_up(case, decision.refusal):
            if case.workload is None:  # people's no was heard before anybody looked for it; what is told names it
                await self._look_up(case)
            await self.conclusion.on_failure(case.run, case)

    async def _act(self, run: Run, decision: Decision) -> None:
        case = decision.case
        case.run = run
        waited = self.world.clock() - case.episode.last_seen_at
        metrics.ALERT_TO_ACTION_SECONDS.observe(waited.total_seconds())
        metrics.IN_PROGRESS.labels(playbook=case.playbook.name, target=case.key).set(1)
        for planned in decision.plan:
            verb, first = planned.step.verb, planned.position == 0
            try:
                if ACTIONS[verb].intervenes and not first:  # the steps before it may have changed what is there
                    await look_again(case, self.world)
                # the first was allowed and intended with the claim
                allow = partial(NotPaused().judge, case=case, world=self.world) if verb in COUNTED else None
                last = planned is decision.plan[-1] and case.playbook.verify is None
                then = partial(self.conclusion.end, run=run, case=case, verdict=ALL_DONE) if last else None
                status, error = await self.execution.carry_out(
                    run, case, planned, intended=first, allow=allow, then=then
                )
            except Refusal as no:
                await self.conclusion.conclude(run, case, Verdict(Outcome.FAILED, f"{verb}: {no.detail}"))
                return
            if status is StepStatus.UNKNOWN:
                await self._watch(run, case, Verdict(Outcome.UNKNOWN, f"{verb}: {error}"))
                return
            if status is StepStatus.FAILED:
                await self.conclusion.conclude(run, case, Verdict(Outcome.FAILED, f"{verb}: {error}"))
                return
        if case.playbook.verify is None:
            self.conclusion.ended(run, case, ALL_DONE)  # which stands in the ledger with the last step's result
        else:
            await self._watch(run, case, ALL_DONE)

    async def _take_over(self, case: Case) -> None:
        """A run found acting: whoever acted is gone, and nothing that was begun is done again."""
        run = case.run
        phase = Phase(run.state.get("phase", Phase.STEPS))
        done = [step for step in run.steps if step.phase is Phase.STEPS and step.status is StepStatus.DONE]
        if phase is Phase.STEPS and len(done) == run.state.get("planned"):
            await self._watch(run, case, ALL_DONE)  # it only did not come to say so
            return

        def write(connection: sa.Connection) -> None:
            left = [step.verb for step in runs.cut_off(connection, run, at=self.world.clock())]
            self.world.tell(connection, run, Kind.INTERRUPTED, {"phase": phase, "cut_off": left})

        await self.world.ledger.write(write)
        log.warning("interrupted", run=run.id, playbook=run.playbook, phase=phase)
        if phase is Phase.ON_FAILURE:
            await self._look_up(case)
            await self.conclusion.on_failure(run, case)
        else:
            await self._watch(run, case, Verdict(Outcome.UNKNOWN, "cut off: the process that acted is gone"))

    async def _watch(self, run: Run, case: Case, verdict: Verdict) -> None:
        """Begin to verify. The verdict is what holds without: unknown already, where a step was cut off."""
        verify = case.playbook.verify
        if verify is None:
            await self.conclusion.conclude(run, case, verdict)
            return
        now = self.world.clock()
        watch = Watch(since=now, fired_at=case.episode.last_starts_at)
        detail = verdict.why if verdict.outcome is Outcome.UNKNOWN else ""

        def write(connection: sa.Connection) -> None:
            runs.change(
                connection,
                run,
                at=now,
                status=Status.VERIFYING,
                outcome=verdict.outcome,
                detail=detail,
                wake_at=now + FASTEST,
                state={**run.state, "watch": watch.as_state()},
            )
            until = now + verify.deadline
            self.world.tell(connection, run, Kind.VERIFYING, {"until": until.isoformat()})

        await self.world.ledger.write(write)

    async def _verify(self, case: Case) -> None:
        run, verify = case.run, case.playbook.verify
        if verify is None:
            gone = Verdict(Outcome.UNKNOWN, "the playbook no longer says how to verify")
            await self.conclusion.conclude(run, case, gone)
            return
        await self._look_up(case)
        before = Watch.from_state(run.state["watch"])
        look = await self.verifier.look(verify, case.episode, case.workload, fired_at=before.fired_at)
        now = self.world.clock()
        watch, verdict = judge(before, look, verify, now=now)
        state = {**run.state, "watch": watch.as_state()}
        if verdict is None:
            wake_at = min(now + self.pace(verify), watch.since + verify.deadline)
            await self.world.ledger.write(lambda c: runs.change(c, run, at=now, wake_at=wake_at, state=state))
            return
        seen = verdict.outcome
        if run.outcome is Outcome.UNKNOWN:
            # Whatever the alert does now, nobody can say that it was our doing.
            verdict = Verdict(Outcome.UNKNOWN, f"{run.detail}; since then {verdict.outcome}: {verdict.why}")
        await self.conclusion.conclude(run, case, verdict, state=state, seen=seen)

    async def _look_up(self, case: Case) -> None:
        """Find the workload again, as it is now; not finding it is for the verification to judge."""
        try:
            await find(case, self.world)
        except AmendError as error:
            log.warning("target not found", run=case.run.id, error=str(error))

    async def _abandon(self, run: Run) -> None:
        """The playbook is gone from the files: nothing more is done, and nothing is claimed about what was done."""
        why = f'the playbook "{run.playbook}" is no longer in force'
        if run.status in BEGUN:
            await self.conclusion.close(run, why)
        else:
            await self.judgement.refuse(run, Refusal(Reason.DISABLED, why))

    async def fault(self, run: Run, error: Exception) -> None:
        """A fault of our own while a run was worked on: told on it, and it ends there if it had begun to act."""
        why = f"a fault of amend's own: {type(error).__name__}: {error}"
        known = await self.world.ledger.read(lambda c: runs.get(c, run.id))
        if known is None or known.epoch != run.epoch:
            return
        if known.status in BEGUN:
            await self.conclusion.close(known, why)
        else:
            again = Refusal(Reason.GUARD_ERROR, why, retry_at=self.world.clock() + LATER)
            await self.judgement.refuse(known, again)


def _pace(verify: Verify) -> timedelta:
    return min(SLOWEST, max(FASTEST, verify.absent_for / LOOKS))
