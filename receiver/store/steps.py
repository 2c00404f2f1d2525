"""Queries on the steps of runs: each is written down before it is carried out, and once more with what came of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.errors import AmendError
from receiver.run import Phase, Run, Step, StepStatus
from receiver.store.statement import Statement
from receiver.store.tables import steps

_BEGUN = ("run_id", "phase", "position", "verb", "status", "arguments", "started_at", "result", "error", "epoch")
_INTEND = Statement(steps.insert().inline(), columns=_BEGUN)
_CONCLUDE = Statement(
    steps.update().where(
        steps.c.run_id == sa.bindparam("of_run"),
        steps.c.phase == sa.bindparam("of_phase"),
        steps.c.position == sa.bindparam("at_position"),
        steps.c.epoch == sa.bindparam("under_epoch"),
        steps.c.status == StepStatus.INTENT,
    ),
    columns=["status", "finished_at", "result", "error"],
)
_OF_RUNS = Statement(
    sa.select(steps).where(steps.c.run_id.in_(sa.bindparam("run_ids", expanding=True))).order_by(steps.c.id)
)


class Superseded(AmendError):
    """Another process has claimed the run since: nothing was recorded."""


def intend(
    connection: sa.Connection,
    run: Run,
    *,
    phase: str,
    position: int,
    verb: str,
    arguments: Mapping[str, Any],
    at: datetime,
) -> None:
    """Write down a step before it is carried out; a second time is refused by the database."""
    row = {"run_id": run.id, "phase": phase, "position": position, "verb": verb, "status": StepStatus.INTENT}
    row |= {"arguments": arguments, "started_at": at, "result": {}, "error": "", "epoch": run.epoch}
    _INTEND.count(connection, row)


def conclude(
    connection: sa.Connection,
    run: Run,
    *,
    phase: str,
    position: int,
    status: StepStatus,
    at: datetime,
    result: Mapping[str, Any],
    error: str,
) -> None:
    """Write down what came of a step; Superseded if another process has told of it meanwhile."""
    place = {"of_run": run.id, "of_phase": phase, "at_position": position, "under_epoch": run.epoch}
    told = {"status": status, "finished_at": at, "result": result, "error": error}
    if _CONCLUDE.count(connection, {**place, **told}) != 1:
        raise Superseded(f"run {run.id} was taken over by another process")


def cut_off(connection: sa.Connection, run: Run, *, at: datetime) -> list[Step]:
    """Mark the steps that a process left in mid-air as unknown; which they were."""
    left = [step for step in run.steps if step.status is StepStatus.INTENT]
    statement = steps.update().where(steps.c.run_id == run.id, steps.c.status == StepStatus.INTENT)
    connection.execute(
        statement.values(status=StepStatus.UNKNOWN, finished_at=at, error="cut off: the process that did it is gone")
    )
    return left


def of_runs(connection: sa.Connection, run_ids: Sequence[int]) -> dict[int, tuple[Step, ...]]:
    """Those of each of these runs, in their order."""
    found: dict[int, tuple[Step, ...]] = {}
    for row in _OF_RUNS.all(connection, {"run_ids": run_ids}):
        step = Step(
            phase=Phase(row.phase),
            position=row.position,
            verb=row.verb,
            status=StepStatus(row.status),
            arguments=row.arguments,
            started_at=row.started_at,
            finished_at=row.finished_at,
            result=row.result,
            error=row.error,
        )
        found[row.run_id] = (*found.get(row.run_id, ()), step)
    return found
