"""Carrying out steps: the intent on disk before the call, what came of it after, and each step at most once.

The pipeline calls it for a playbook's steps, the conclusion for those of `on_failure`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import stamina
import structlog

from receiver import metrics
from receiver.actions import ACTIONS
from receiver.actions.scene import Scene
from receiver.audit import Kind
from receiver.case import Case, World
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.plan import Planned
from receiver.run import Run, StepStatus
from receiver.store import pause, runs, steps
from receiver.telling import Telling

log = structlog.get_logger(__name__)

SETTLE = 2.0  #: seconds that an action gets to give up by itself after its time-out

Allow = Callable[[sa.Connection], None]

KINDS = {
    StepStatus.DONE: Kind.STEP_DONE,
    StepStatus.FAILED: Kind.STEP_FAILED,
    StepStatus.UNKNOWN: Kind.STEP_UNKNOWN,
}

stamina.instrumentation.set_on_retry_hooks([])  # a retry is told by the step's own record


@dataclass(frozen=True)
class Execution:
    """The hands of the pipeline."""

    world: World

    def intend(self, connection: sa.Connection, run: Run, case: Case, planned: Planned) -> None:
        """Write down that a step is about to be carried out; the database refuses a second time."""
        now = self.world.clock()
        steps.intend(connection, run, phase=planned.phase, position=planned.position, at=now, **planned.shown())
        about = {"target": case.target(), "numbers": case.numbers}
        place = {"phase": planned.phase, "position": planned.position}
        self.world.tell(connection, run, Kind.INTENT, {**place, **about, **planned.shown()})

    def _intend_another(
        self, connection: sa.Connection, run: Run, case: Case, planned: Planned, allow: Allow | None
    ) -> None:
        """As `intend`, of a run that may have been taken over since it was claimed: Superseded, and nothing is done."""
        runs.change(connection, run, at=self.world.clock(), keep=True)
        if allow:
            allow(connection)
        self.intend(connection, run, case, planned)

    async def carry_out(
        self,
        run: Run,
        case: Case,
        planned: Planned,
        *,
        intended: bool = False,
        allow: Allow | None = None,
        then: Callable[[sa.Connection], object] | None = None,
    ) -> tuple[StepStatus, str]:
        """Do one step, and write down before and after; what came of it, and the error in words.

        `allow` is asked in the intent's transaction, and may raise a Refusal: then nothing was begun. `then` is written
        down with the result of a step that was done.
        """
        world, verb = self.world, planned.step.verb
        if not intended:
            await world.ledger.write(partial(self._intend_another, run=run, case=case, planned=planned, allow=allow))
        began = world.clock()
        status, result, error = await self._do(case, planned)
        platform = case.workload.selector.platform if case.workload and ACTIONS[verb].kinds else ""
        metrics.ACTIONS.labels(action=verb, platform=platform, result=status).inc()
        metrics.ACTION_SECONDS.labels(action=verb).observe((world.clock() - began).total_seconds())
        case.replaced = case.replaced or ACTIONS[verb].replaces
        data = {
            "phase": planned.phase,
            "position": planned.position,
            "verb": verb,
            "target": case.target(),
            "result": result,
            "error": error,
        }

        def write(connection: sa.Connection) -> None:
            steps.conclude(
                connection,
                run,
                phase=planned.phase,
                position=planned.position,
                status=status,
                at=world.clock(),
                result=result,
                error=error,
            )
            world.tell(connection, run, KINDS[status], data)
            if then and status is StepStatus.DONE:
                then(connection)

        try:
            await world.ledger.write(write)
        except steps.Superseded:
            # We were away too long, and another process has told of this run: add what we know, change nothing.
            late = {**data, "status": status}
            await world.ledger.write(lambda connection: world.tell(connection, run, Kind.LATE_EFFECT, late))
            raise
        log.info("step", run=run.id, playbook=run.playbook, verb=verb, target=case.key, status=str(status), error=error)
        return status, error

    async def _do(self, case: Case, planned: Planned) -> tuple[StepStatus, Mapping[str, Any], str]:
        world, action = self.world, ACTIONS[planned.step.verb]
        span = max(planned.step.timeout, action.takes(planned.arguments))
        within = span.total_seconds()
        scene = Scene(
            run_id=case.run.id,
            playbook=case.playbook.name,
            episode=case.episode,
            now=world.clock(),
            within=span,
            workload=case.workload,
            platform=case.platform,
            leads_to=planned.leads_to,
            alertmanager=world.alertmanager,
            analyst=world.analyst,
            deployments=world.deployments,
            outbound=world.outbound,
            programs=world.programs,
            notify=partial(Telling(world).tell, case, said={}),
            sleep=world.sleep,
        )
        kinds = (Temporary, Uncertain) if action.idempotent else (Temporary,)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within
        failed: Temporary | None = None  #: while nothing is under way
        sent: Uncertain | None = None  #: of any try

        def again(error: Exception) -> bool | float:
            """Whether to try again, or after how many seconds, where the other side said."""
            if not isinstance(error, kinds):
                return False
            return (isinstance(error, Temporary) and error.delay) or True

        try:
            async with asyncio.timeout(within + SETTLE):
                async for attempt in stamina.retry_context(on=again, attempts=4, timeout=within, wait_initial=0.2):
                    with attempt:
                        failed = None
                        if attempt.num > 1:
                            if now := await world.ledger.read(pause.current):
                                raise Permanent(f"{now}, before it was tried again")
                            # or it would count on time to undo what it has begun, and be cut off before
                            left = timedelta(seconds=max(0.0, ends_at - loop.time()))
                            scene = replace(scene, within=left)
                        try:
                            return StepStatus.DONE, dict(await action(planned.arguments, scene)), ""
                        except Temporary as error:
                            failed = error
                            raise
                        except Uncertain as error:
                            sent = error
                            raise
        except (Temporary, Permanent, Uncertain) as error:
            return StepStatus.UNKNOWN if sent else StepStatus.FAILED, {}, str(error)
        except TimeoutError:
            if failed and not sent:  # cut off between two tries
                return StepStatus.FAILED, {}, str(failed)
            return StepStatus.UNKNOWN, {}, f"no answer within {within:g}s"
        raise AssertionError("the loop returns or raises")
