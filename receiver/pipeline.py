"""A run's way: decide (guards), act, verify, conclude; each turn is short, and what it found is committed at its end.

The worker gives it a run that it holds under a lease. Every stage writes down what it is about to do before it does it,
so that a process that dies anywhere leaves a ledger from which the next one goes on honestly.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import stamina
import structlog
from pydantic import BaseModel

from receiver import metrics
from receiver.actions import ACTIONS
from receiver.actions.scene import Scene
from receiver.audit import Kind
from receiver.conventions import NUMBERS
from receiver.errors import AmendError, Permanent, Temporary, Uncertain
from receiver.guards import GUARDS, LATER, Case, MinHealthy, RateLimit, World, judge_ledger
from receiver.notifiers import notify
from receiver.notifiers.notice import Notice
from receiver.outbound import Outbound
from receiver.playbook import Playbook, Step, Target, Verify
from receiver.render import Names, Unrenderable
from receiver.run import PASSING, Outcome, Reason, Refusal, Run, Status, StepStatus
from receiver.settings import Receiver
from receiver.store import episodes, runs
from receiver.store.log import Log
from receiver.verify import Verdict, Verifier, Watch, judge
from receiver.workload import Workload

log = structlog.get_logger(__name__)

LOOKS = 8  #: how often a verification looks while it waits for `absent_for`
FASTEST, SLOWEST = timedelta(milliseconds=500), timedelta(seconds=15)  #: between two looks
SETTLE = 2.0  #: seconds that an action gets to give up by itself after its time-out

stamina.instrumentation.set_on_retry_hooks([])  # a retry is told by the step's own record


@dataclass(frozen=True)
class Planned:
    """A step with its arguments filled in."""

    step: Step
    arguments: BaseModel

    def shown(self) -> dict[str, Any]:
        return {"verb": self.step.verb, "arguments": self.arguments.model_dump(mode="json", exclude_unset=True)}


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The stages of a run, and what they need."""

    world: World
    log: Log
    clock: Callable[[], datetime]
    playbooks: Callable[[], Mapping[str, Playbook]]
    outbound: Outbound
    receivers: Mapping[str, Receiver]
    verifier: Verifier
    external_url: str

    async def advance(self, run: Run) -> None:
        """Take a claimed run one turn further."""
        playbook = self.playbooks().get(run.playbook)
        if playbook is None:
            await self._orphaned(run)
        elif run.status in (Status.MATCHED, Status.SKIPPED):
            await self._decide(run, playbook)
        elif run.status is Status.ACTING:
            await self._interrupted(run, playbook)
        elif run.status is Status.VERIFYING:
            await self._verify(run, playbook)

    # ── decide ──

    async def _decide(self, run: Run, playbook: Playbook) -> None:
        case = await self._case(run, playbook)
        passed: list[str] = []
        try:
            plan = await self._allow(case, passed)
            if not playbook.enforced:
                await self._observe(case, plan, passed)
                return
            acting = await self.world.ledger.write(lambda c: self._claim(c, case, plan, passed))
        except Refusal as no:
            await self._refuse(case, no, passed)
            return
        except sa.exc.IntegrityError:  # the lock's unique index: somebody was faster by less than a moment
            lost = case.refuse(Reason.LOCKED, f"another run took {case.key} at the same moment", retry_in=LATER)
            await self._refuse(case, lost, passed)
            return
        metrics.ALERT_TO_ACTION_SECONDS.observe((self.clock() - case.episode.last_seen_at).total_seconds())
        metrics.IN_PROGRESS.labels(playbook=playbook.name, target=case.key).set(1)
        await self._act(acting, case, plan)

    async def _allow(self, case: Case, passed: list[str]) -> list[Planned]:
        """Ask every guard in order; what is to be done, or the first Refusal."""
        for guard in GUARDS:
            await _ask(guard.name, guard.check(case, self.world), case)
            passed.append(guard.name)
        return self._plan(case.playbook.steps, case)

    async def _case(self, run: Run, playbook: Playbook) -> Case:
        episode = await self.world.ledger.read(lambda c: episodes.get(c, run.episode_id))
        assert episode is not None  # runs refer to it
        context = {
            "labels": Names(episode.labels),
            "annotations": Names(episode.annotations),
            "playbook": Names({"name": playbook.name, "description": playbook.description}),
            "run": Names({"id": run.id, "attempt": run.attempt, "outcome": run.outcome, "link": self._link(run)}),
            "target": Names(_names(None, playbook)),
            **{name: episode.annotations.get(name, "") for name in NUMBERS},
        }
        return Case(run, episode, playbook, self.clock(), context)

    def _plan(self, steps: Sequence[Step], case: Case) -> list[Planned]:
        """Every step's arguments, filled in before the first is carried out."""
        case.context = {**case.context, "target": Names(_names(case.workload, case.playbook))}
        try:
            return [Planned(step, step.arguments(case.context)) for step in steps]
        except Unrenderable as error:
            raise case.refuse(Reason.GUARD_ERROR, f"a step cannot be filled in: {error}", retry_in=LATER) from error

    async def _refuse(self, case: Case, no: Refusal, passed: Sequence[str]) -> None:
        run, playbook = case.run, case.playbook
        repeated = run.status is Status.SKIPPED and run.reason is no.reason
        data = {"playbook": playbook.name, "reason": no.reason, "detail": no.detail, "guards": list(passed)}
        if no.retry_at:
            data["retry_at"] = no.retry_at.isoformat()
        gives_up = no.reason is Reason.MAX_ATTEMPTS and playbook.on_failure and playbook.enforced

        def write(connection: sa.Connection) -> Run:
            if not repeated:  # a wait that goes on is told once
                self._tell(connection, run, Kind.SKIPPED, data)
            return runs.change(
                connection,
                run,
                at=self.clock(),
                keep=bool(gives_up),
                status=Status.SKIPPED,
                reason=no.reason,
                detail=no.detail,
                workload=case.key if case.workload else run.workload,
                wake_at=self.clock() if gives_up else no.retry_at if no.reason in PASSING else None,
                state={**run.state, "guards": list(passed), "refused_at": self.clock().isoformat()},
            )

        skipped = await self.world.ledger.write(write)
        if not repeated:
            metrics.SKIPS.labels(playbook=playbook.name, reason=no.reason).inc()
            log.info("skipped", run=run.id, playbook=playbook.name, reason=str(no.reason), detail=no.detail)
        if gives_up:
            await self._on_failure(skipped, case, final=Status.SKIPPED)

    async def _observe(self, case: Case, plan: Sequence[Planned], passed: Sequence[str]) -> None:
        shown = [planned.shown() for planned in plan]
        target = _shown(case.workload)

        def write(connection: sa.Connection) -> None:
            self._tell(
                connection,
                case.run,
                Kind.OBSERVED,
                {"playbook": case.playbook.name, "target": target, "steps": shown, "guards": list(passed)},
            )
            runs.change(
                connection,
                case.run,
                at=self.clock(),
                status=Status.DONE,
                outcome=Outcome.OBSERVED,
                reason=None,
                detail=f"would have done: {', '.join(each['verb'] for each in shown)}",
                workload=case.key,
                finished_at=self.clock(),
                wake_at=None,
                state={"guards": list(passed), "target": target, "plan": shown},
            )

        await self.world.ledger.write(write)
        metrics.RUNS.labels(playbook=case.playbook.name, outcome=Outcome.OBSERVED).inc()
        log.info("observed", run=case.run.id, playbook=case.playbook.name, target=case.key)

    def _claim(self, connection: sa.Connection, case: Case, plan: Sequence[Planned], passed: Sequence[str]) -> Run:
        """The limits once more, the lock, and the first step's intent: all of it or nothing."""
        case.now = self.clock()
        judge_ledger(connection, case, self.world)
        acting = runs.change(
            connection,
            case.run,
            at=case.now,
            keep=True,
            status=Status.ACTING,
            reason=None,
            detail="",
            workload=case.key,
            acted_at=case.now,
            wake_at=case.now,
            state={"guards": list(passed), "target": _shown(case.workload), "phase": "steps"},
        )
        self._intend(connection, acting, case, ("steps", 0), plan[0])
        return acting

    # ── act ──

    async def _act(self, run: Run, case: Case, plan: Sequence[Planned]) -> None:
        ledger = self.world.ledger
        for position, planned in enumerate(plan):
            if position:
                intend = partial(self._intend, run=run, case=case, place=("steps", position), planned=planned)
                await ledger.write(intend)
            status, error = await self._carry_out(run, case, ("steps", position), planned)
            if status is StepStatus.UNKNOWN:
                await self._watch(run, case, Outcome.UNKNOWN, f"{planned.step.verb}: {error}")
                return
            if status is StepStatus.FAILED:
                await self._conclude(run, case, Verdict(Outcome.FAILED, f"{planned.step.verb}: {error}"))
                return
        await self._watch(run, case, Outcome.NONE, "")

    def _intend(
        self, connection: sa.Connection, run: Run, case: Case, place: tuple[str, int], planned: Planned
    ) -> None:
        phase, position = place
        shown = planned.shown()
        runs.intend(connection, run, phase=phase, position=position, at=self.clock(), **shown)
        data = {"playbook": run.playbook, "phase": phase, "position": position, "target": _shown(case.workload)}
        self._tell(connection, run, Kind.INTENT, {**data, **shown})

    async def _carry_out(
        self, run: Run, case: Case, place: tuple[str, int], planned: Planned
    ) -> tuple[StepStatus, str]:
        """Do one step whose intent is on disk, and write down what came of it."""
        phase, position = place
        began = self.clock()
        status, result, error = await self._do(case, planned)
        verb = planned.step.verb
        platform = case.workload.selector.platform if case.workload and ACTIONS[verb].changes_target else ""
        metrics.ACTIONS.labels(action=verb, platform=platform, result=status).inc()
        metrics.ACTION_SECONDS.labels(action=verb).observe((self.clock() - began).total_seconds())
        kind = {StepStatus.DONE: Kind.STEP_DONE, StepStatus.FAILED: Kind.STEP_FAILED}.get(status, Kind.STEP_UNKNOWN)
        data = {
            "playbook": run.playbook,
            "phase": phase,
            "position": position,
            "verb": verb,
            "target": _shown(case.workload),
            "result": result,
            "error": error,
        }

        def write(connection: sa.Connection) -> None:
            runs.conclude(
                connection,
                run,
                phase=phase,
                position=position,
                status=status,
                at=self.clock(),
                result=result,
                error=error,
            )
            self._tell(connection, run, kind, data)

        try:
            await self.world.ledger.write(write)
        except runs.Superseded:
            # We were away too long, and another process has told of this run: add what we know, change nothing.
            await self.world.ledger.write(lambda c: self._tell(c, run, Kind.LATE_EFFECT, {**data, "status": status}))
            raise
        log.info("step", run=run.id, playbook=run.playbook, verb=verb, target=case.key, status=str(status), error=error)
        return status, error

    async def _do(self, case: Case, planned: Planned) -> tuple[StepStatus, Mapping[str, Any], str]:
        action = ACTIONS[planned.step.verb]
        within = planned.step.timeout.total_seconds()
        scene = Scene(
            workload=case.workload,
            platform=case.platform,
            within=planned.step.timeout,
            outbound=self.outbound,
            notify=lambda name, message: self._notify(case, name, message),
        )
        again = (Temporary, Uncertain) if action.idempotent else (Temporary,)
        try:
            async with asyncio.timeout(within + SETTLE):
                async for attempt in stamina.retry_context(on=again, attempts=4, timeout=within, wait_initial=0.2):
                    with attempt:
                        return StepStatus.DONE, dict(await action(planned.arguments, scene)), ""
        except (Temporary, Permanent) as error:
            return StepStatus.FAILED, {}, str(error)
        except Uncertain as error:
            return StepStatus.UNKNOWN, {}, str(error)
        except TimeoutError:
            return StepStatus.UNKNOWN, {}, f"no answer within {within:g}s"
        raise AssertionError("the loop returns or raises")

    async def _notify(self, case: Case, name: str, message: str) -> Mapping[str, Any]:
        run = {"id": case.run.id, "playbook": case.playbook.name, "attempt": case.run.attempt, "target": case.key}
        notice = Notice(message=message, link=self._link(case.run), run=run, labels=case.episode.labels)
        return await notify(self.receivers.get(name), notice, self.outbound)

    async def _interrupted(self, run: Run, playbook: Playbook) -> None:
        """A run found acting: whoever acted is gone, and nothing that was begun is done again."""
        case = await self._case(run, playbook)
        phase = run.state.get("phase", "steps")

        def write(connection: sa.Connection) -> None:
            left = [step.verb for step in runs.cut_off(connection, run, at=self.clock())]
            self._tell(connection, run, Kind.INTERRUPTED, {"playbook": run.playbook, "phase": phase, "cut_off": left})

        await self.world.ledger.write(write)
        log.warning("interrupted", run=run.id, playbook=run.playbook, phase=phase)
        await self._look_up(case)
        if phase == "on_failure":
            await self._on_failure(run, case, final=Status(run.state.get("final", Status.DONE)))
        else:
            await self._watch(run, case, Outcome.UNKNOWN, "cut off: the process that acted is gone")

    # ── verify ──

    async def _watch(self, run: Run, case: Case, outcome: Outcome, detail: str) -> None:
        """Begin to verify; `outcome` is unknown already where a step was cut off."""
        if case.playbook.verify is None:
            why = detail or "the steps are done; the playbook has nothing to verify"
            await self._conclude(run, case, Verdict(outcome, why))
            return
        now = self.clock()
        watch = Watch(since=now, fired_at=case.episode.last_starts_at)
        until = now + case.playbook.verify.deadline

        def write(connection: sa.Connection) -> None:
            runs.change(
                connection,
                run,
                at=now,
                status=Status.VERIFYING,
                outcome=outcome,
                detail=detail,
                wake_at=now + FASTEST,
                state={**run.state, "watch": watch.as_state()},
            )
            self._tell(connection, run, Kind.VERIFYING, {"playbook": run.playbook, "until": until.isoformat()})

        await self.world.ledger.write(write)

    async def _verify(self, run: Run, playbook: Playbook) -> None:
        case = await self._case(run, playbook)
        verify = playbook.verify
        if verify is None:
            await self._conclude(run, case, Verdict(Outcome.UNKNOWN, "the playbook no longer says how to verify"))
            return
        await self._look_up(case)
        before = Watch.from_state(run.state["watch"])
        look = await self.verifier.look(verify, case.episode, case.workload, fired_at=before.fired_at)
        watch, verdict = judge(before, look, verify, now=self.clock())
        state = {**run.state, "watch": watch.as_state()}
        if verdict is None:
            wake_at = self.clock() + _pace(verify)
            await self.world.ledger.write(lambda c: runs.change(c, run, at=self.clock(), wake_at=wake_at, state=state))
            return
        if run.outcome is Outcome.UNKNOWN:
            # Whatever the alert does now, nobody can say that it was our doing.
            verdict = Verdict(Outcome.UNKNOWN, f"{run.detail}; since then: {verdict.outcome} ({verdict.why})")
        await self._conclude(run, case, verdict, state=state, quiet=watch.quiet_since is not None)

    async def _look_up(self, case: Case) -> None:
        """Find the workload again, as it is now; not finding it is for the verifier to judge."""
        target = case.playbook.target
        if not isinstance(target, Target):
            return
        guard = next(guard for guard in GUARDS if guard.name == "target")
        try:
            await guard.check(case, self.world)
        except AmendError as error:
            log.warning("target not found", run=case.run.id, error=str(error))

    # ── conclude ──

    async def _conclude(
        self,
        run: Run,
        case: Case,
        verdict: Verdict,
        *,
        state: Mapping[str, Any] | None = None,
        quiet: bool = False,
    ) -> None:
        """Write down the outcome, and see to what comes after it: the next attempt, or `on_failure`."""
        playbook = case.playbook
        missed = verdict.outcome in (Outcome.NOT_FIXED, Outcome.FAILED, Outcome.UNKNOWN) and not quiet
        again = missed and run.attempt < playbook.max_attempts.count
        gives_up = missed and not again and bool(playbook.on_failure)
        now = self.clock()
        state = dict(state or run.state)
        evidence = {"playbook": playbook.name, "outcome": verdict.outcome, "detail": verdict.why}

        def write(connection: sa.Connection) -> Run:
            self._tell(connection, run, Kind.FINISHED, {**evidence, "evidence": state.get("watch")})
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
                state={**state, "phase": "on_failure", "final": Status.DONE} if gives_up else state,
            )
            if again:
                self._try_again(connection, run, case, now)
            if not gives_up:
                runs.wake_locked(connection, case.key, at=now)
            return finished

        finished = await self.world.ledger.write(write)
        metrics.RUNS.labels(playbook=playbook.name, outcome=verdict.outcome).inc()
        log.info("finished", run=run.id, playbook=run.playbook, outcome=str(verdict.outcome), detail=verdict.why)
        if gives_up:
            await self._on_failure(finished, case, final=Status.DONE)
        else:
            _no_longer_in_progress(playbook, case)

    def _try_again(self, connection: sa.Connection, run: Run, case: Case, now: datetime) -> None:
        runs.create(
            connection,
            episode_id=run.episode_id,
            playbook=run.playbook,
            attempt=run.attempt + 1,
            mode=run.mode,
            at=now,
            wake_at=now + case.playbook.cooldown,
        )

    async def _on_failure(self, run: Run, case: Case, *, final: Status) -> None:
        """The steps for when nothing helped: once per episode, and each at most once."""
        ledger = self.world.ledger
        case.run = run
        told: set[int] = {step.position for step in run.steps if step.phase == "on_failure"}
        if await ledger.write(lambda c: episodes.claim_failure(c, run.episode_id, run.id)):
            for position, step in enumerate(case.playbook.on_failure):
                if position not in told:
                    await self._on_failure_step(run, case, position, step)
        now = self.clock()

        def write(connection: sa.Connection) -> None:
            finished_at = now if final is Status.DONE else None
            runs.change(connection, run, at=now, status=final, wake_at=None, finished_at=finished_at)
            runs.wake_locked(connection, case.key, at=now)

        await ledger.write(write)
        _no_longer_in_progress(case.playbook, case)

    async def _on_failure_step(self, run: Run, case: Case, position: int, step: Step) -> None:
        """One of them; one that cannot be done does not keep the others from being done: people must hear of it."""
        ledger = self.world.ledger
        try:
            if ACTIONS[step.verb].changes_target:
                await self._may_still_touch(case)
            planned = self._plan([step], case)[0]
        except Refusal as no:
            data = {
                "playbook": run.playbook,
                "phase": "on_failure",
                "position": position,
                "verb": step.verb,
                "reason": no.reason,
                "error": no.detail,
            }
            await ledger.write(lambda c: self._tell(c, run, Kind.STEP_FAILED, data))
            return
        await ledger.write(lambda c: self._intend(c, run, case, ("on_failure", position), planned))
        await self._carry_out(run, case, ("on_failure", position), planned)

    async def _may_still_touch(self, case: Case) -> None:
        case.now = self.clock()
        if case.run.status is not Status.ACTING:
            raise case.refuse(Reason.LOCKED, "this run does not have the workload's lock")
        for guard in (RateLimit(), MinHealthy()):
            await _ask(guard.name, guard.check(case, self.world), case)

    async def _orphaned(self, run: Run) -> None:
        """The playbook is gone from the files: nothing more is done, and nothing is claimed about what was done."""
        began = run.status in (Status.ACTING, Status.VERIFYING)
        now = self.clock()
        detail = f'the playbook "{run.playbook}" is no longer in force'

        def write(connection: sa.Connection) -> None:
            if began:
                runs.cut_off(connection, run, at=now)
                data = {"playbook": run.playbook, "outcome": Outcome.UNKNOWN, "detail": detail}
                self._tell(connection, run, Kind.FINISHED, data)
                ended: dict[str, Any] = {"status": Status.DONE, "outcome": Outcome.UNKNOWN, "finished_at": now}
            else:
                data = {"playbook": run.playbook, "reason": Reason.DISABLED, "detail": detail}
                self._tell(connection, run, Kind.SKIPPED, data)
                ended = {"status": Status.SKIPPED, "reason": Reason.DISABLED}
            runs.change(connection, run, at=now, wake_at=None, detail=detail, **ended)

        await self.world.ledger.write(write)

    def _tell(self, connection: sa.Connection, run: Run, kind: Kind, data: Mapping[str, Any]) -> None:
        self.log.append(connection, kind, at=self.clock(), data=data, episode_id=run.episode_id, run_id=run.id)

    def _link(self, run: Run) -> str:
        return f"{self.external_url.rstrip('/')}/runs/{run.id}" if self.external_url else ""


async def _ask(name: str, answer: Any, case: Case) -> None:
    """A guard that cannot be evaluated says no."""
    try:
        await answer
    except (Temporary, Permanent, Uncertain) as error:
        raise case.refuse(Reason.GUARD_ERROR, f"{name}: {error}", retry_in=LATER) from error


def _pace(verify: Verify) -> timedelta:
    return min(SLOWEST, max(FASTEST, verify.absent_for / LOOKS))


def _names(workload: Workload | None, playbook: Playbook) -> dict[str, Any]:
    if workload is None:
        return {"name": playbook.name, "kind": "playbook", "namespace": "", "key": f"playbook/{playbook.name}"}
    return {
        "name": workload.name,
        "kind": workload.selector.kind,
        "namespace": workload.selector.scope or "",
        "key": workload.key,
        "replicas": workload.replicas,
        "ready": workload.ready,
    }


def _shown(workload: Workload | None) -> dict[str, Any] | None:
    if workload is None:
        return None
    return {
        "key": workload.key,
        "name": str(workload),
        "uid": workload.uid,
        "replicas": workload.replicas,
        "ready": workload.ready,
        "version": workload.version,
        "healthy": workload.healthy,
    }


def _no_longer_in_progress(playbook: Playbook, case: Case) -> None:
    labels = (playbook.name, case.key)
    metrics.IN_PROGRESS.labels(*labels).set(0)
    metrics.IN_PROGRESS.remove(*labels)
