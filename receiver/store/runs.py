"""Queries on runs: claimed under a lease, changed by their newest claimant alone.

Each claim raises the run's epoch, and each change names the epoch it was made under: a process that was away too long
finds its change refused (Superseded) instead of writing over its successor.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from receiver.run import Outcome, Reason, Run, Status, Step
from receiver.store import steps
from receiver.store.engine import backend
from receiver.store.statement import Row, Statement
from receiver.store.steps import Superseded
from receiver.store.tables import episodes, runs

_NEW: Mapping["sa.Column[Any]", Any] = {
    runs.c.episode_id: sa.bindparam("episode_id", type_=runs.c.episode_id.type),
    runs.c.playbook: sa.bindparam("playbook", type_=runs.c.playbook.type),
    runs.c.attempt: sa.bindparam("attempt", type_=runs.c.attempt.type),
    runs.c.mode: sa.bindparam("mode", type_=runs.c.mode.type),
    runs.c.status: sa.literal(Status.MATCHED, runs.c.status.type),
    runs.c.outcome: sa.literal(Outcome.NONE, runs.c.outcome.type),
    runs.c.detail: sa.literal("", runs.c.detail.type),
    runs.c.created_at: sa.bindparam("at", type_=runs.c.created_at.type),
    runs.c.updated_at: sa.bindparam("at", type_=runs.c.updated_at.type),
    runs.c.wake_at: sa.bindparam("wake_at", type_=runs.c.wake_at.type),
    runs.c.epoch: sa.literal(0, runs.c.epoch.type),
    runs.c.state: sa.literal({}, runs.c.state.type),
}
_TAKEN = sa.exists().where(
    runs.c.episode_id == sa.bindparam("episode_id"),
    runs.c.playbook == sa.bindparam("playbook"),
    runs.c.attempt == sa.bindparam("attempt"),
)
_CREATE = Statement(
    runs.insert().from_select(list(_NEW), sa.select(*_NEW.values()).where(~_TAKEN)).returning(runs.c.id)
)
_GET = Statement(sa.select(runs).where(runs.c.id == sa.bindparam("id")))
_NEWEST = Statement(sa.select(runs).where(runs.c.episode_id == sa.bindparam("episode_id")).order_by(runs.c.attempt))

_NOT_OF = runs.c.playbook.not_in(sa.bindparam("besides", expanding=True))
_DUE = (
    sa.select(runs.c.id)
    .where(
        runs.c.wake_at <= sa.bindparam("at"),
        runs.c.lease_until.is_(None) | (runs.c.lease_until <= sa.bindparam("clock")),
        runs.c.id.not_in(sa.bindparam("busy", expanding=True)),
        _NOT_OF,
    )
    .order_by(runs.c.wake_at, runs.c.id)
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = Statement(
    runs.update()
    .where(runs.c.id.in_(_DUE.scalar_subquery()))
    .values(epoch=runs.c.epoch + 1, lease_owner=sa.bindparam("owner"), lease_until=sa.bindparam("until"))
    .returning(*runs.c)
)
_NEXT = Statement(
    sa.select(sa.func.min(sa.func.coalesce(runs.c.lease_until, runs.c.wake_at))).where(
        runs.c.wake_at.is_not(None), _NOT_OF
    )
)
_WAKE = Statement(runs.update().where(runs.c.id.in_(sa.bindparam("ids", expanding=True))), columns=["wake_at"])
_LOCKED = Statement(
    sa.select(runs.c.id)
    .where(
        runs.c.workload == sa.bindparam("workload"),
        runs.c.reason == Reason.LOCKED,
        runs.c.status == Status.SKIPPED,
        runs.c.wake_at.is_not(None),
    )
    .order_by(runs.c.id)
    .limit(sa.bindparam("most"))
)


@cache
def _change(columns: tuple[str, ...]) -> Statement:
    """A change of these, which a few places in the code name."""
    ours = (runs.c.id == sa.bindparam("run")) & (runs.c.epoch == sa.bindparam("under_epoch"))
    return Statement(runs.update().where(ours).returning(*runs.c), columns=columns)


def create(
    connection: sa.Connection,
    *,
    episode_id: int,
    playbook: str,
    attempt: int,
    mode: str,
    at: datetime,
    wake_at: datetime,
) -> Run | None:
    """A new attempt, to be decided at `wake_at`; None if it exists already."""
    values = {"episode_id": episode_id, "playbook": playbook, "attempt": attempt, "mode": mode}
    made = _CREATE.scalar(connection, {**values, "at": at, "wake_at": wake_at})
    if made is None:
        return None
    return Run(
        id=made,
        episode_id=episode_id,
        playbook=playbook,
        attempt=attempt,
        mode=mode,
        status=Status.MATCHED,
        created_at=at,
        updated_at=at,
        wake_at=wake_at,
    )


def get(connection: sa.Connection, run_id: int) -> Run | None:
    """A run with its steps."""
    row = _GET.first(connection, {"id": run_id})
    return _run(row, steps.of_runs(connection, [run_id]).get(run_id, ())) if row else None


def newest(connection: sa.Connection, episode_id: int) -> dict[str, Run]:
    """The newest attempt of each playbook in an episode."""
    return {row.playbook: _run(row) for row in _NEWEST.all(connection, {"episode_id": episode_id})}


def claim_due(
    connection: sa.Connection,
    *,
    owner: str,
    at: datetime,
    lease: timedelta,
    limit: int,
    busy: Collection[int],
    besides: Collection[str] = (),
) -> list[Run]:
    """Take runs whose time has come and that nobody holds; each has a new epoch, which is ours.

    None of the playbooks `besides`.
    """
    clock = backend(connection).lease_clock(connection, at)
    values = {"at": at, "clock": clock, "busy": list(busy), "besides": list(besides), "most": limit}
    values |= {"owner": owner, "until": clock + lease}
    rows = sorted(_CLAIM.all(connection, values), key=lambda row: (row.wake_at, row.id))
    begun = [row.id for row in rows if row.status != Status.MATCHED]
    known = steps.of_runs(connection, begun) if begun else {}
    return [_run(row, known.get(row.id, ())) for row in rows]


def renew(connection: sa.Connection, *, owner: str, ids: Collection[int], at: datetime, lease: timedelta) -> None:
    """Keep the leases that are still ours."""
    until = backend(connection).lease_clock(connection, at) + lease
    connection.execute(runs.update().where(runs.c.id.in_(ids), runs.c.lease_owner == owner).values(lease_until=until))


def change(connection: sa.Connection, run: Run, *, at: datetime, keep: bool = False, **values: Any) -> Run:
    """Record something on a run under its epoch, and let go of it unless we `keep` it; Superseded if it is not ours."""
    if not keep:
        values |= {"lease_owner": None, "lease_until": None}
    values["updated_at"] = at
    row = _change(tuple(values)).first(connection, {**values, "run": run.id, "under_epoch": run.epoch})
    if row is None:
        raise Superseded(f"run {run.id} was taken over by another process")
    return _run(row, run.steps)


def cancel(connection: sa.Connection, run: Run, *, among: Collection[Status], at: datetime, detail: str) -> bool:
    """End a run in one of these statuses, whoever is deciding about it; whether it was in one."""
    ours = (runs.c.id == run.id) & runs.c.status.in_(among) & (runs.c.acted_at.is_(None))
    values = {"status": Status.CANCELLED, "reason": None, "detail": detail, "updated_at": at, "finished_at": at}
    values |= {"wake_at": None, "lease_owner": None, "lease_until": None}
    return connection.execute(runs.update().where(ours).values(epoch=runs.c.epoch + 1, **values)).rowcount == 1


def wake(connection: sa.Connection, run_ids: Sequence[int], *, at: datetime) -> None:
    """Have runs looked at now; their claimants see it at their next look."""
    if run_ids:
        _WAKE.count(connection, {"ids": run_ids, "wake_at": at})


def rest(connection: sa.Connection, run_ids: Sequence[int]) -> None:
    """Let runs be: nothing will have them decided again but a new delivery."""
    if run_ids:
        _WAKE.count(connection, {"ids": run_ids, "wake_at": None})


def wake_locked(connection: sa.Connection, workload: str, *, at: datetime, most: int = 2) -> None:
    """Have those that have waited longest for a workload's lock looked at now; one will get it."""
    waiting = _LOCKED.all(connection, {"workload": workload, "most": most})
    wake(connection, [row.id for row in waiting], at=at)


def wake_held(connection: sa.Connection, reasons: Collection[Reason], *, at: datetime) -> None:
    """Have all runs looked at now that wait for one of these reasons to pass."""
    held = runs.c.reason.in_(reasons) & (runs.c.status == Status.SKIPPED) & runs.c.wake_at.is_not(None)
    connection.execute(runs.update().where(held).values(wake_at=at))


def next_wake(connection: sa.Connection, *, besides: Collection[str] = ()) -> datetime | None:
    """When the next run is due, but for those of some playbooks: one that somebody works on, when its lease ends."""
    moment: datetime | None = _NEXT.scalar(connection, {"besides": list(besides)})
    return moment


def cut_off(connection: sa.Connection, run: Run, *, at: datetime) -> list[Step]:
    """As steps.cut_off, of a run that is ours; Superseded if it is not."""
    change(connection, run, at=at, keep=True)
    return steps.cut_off(connection, run, at=at)


def outcomes(connection: sa.Connection, playbook: str, *, most: int) -> list[Outcome]:
    """What came of the newest runs of a playbook that acted, are over and had something to verify."""
    query = (
        sa.select(runs.c.outcome)
        .where(
            runs.c.playbook == playbook,
            runs.c.acted_at.is_not(None),
            runs.c.status == Status.DONE,
            runs.c.outcome != Outcome.NONE,
        )
        .order_by(runs.c.acted_at.desc())
        .limit(most)
    )
    return [Outcome(word) for word in connection.execute(query).scalars()]


# ── for people ──


def page(
    connection: sa.Connection,
    *,
    limit: int,
    before: int | None = None,
    status: str | None = None,
    outcome: str | None = None,
    reason: str | None = None,
    playbook: str | None = None,
    episode_id: int | None = None,
    workload: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[Run]:
    """The newest first, with their steps; `before` is the last page's lowest id."""
    query = sa.select(runs).order_by(runs.c.id.desc()).limit(limit)
    for column, value in (
        (runs.c.status, status),
        (runs.c.outcome, outcome),
        (runs.c.reason, reason),
        (runs.c.playbook, playbook),
        (runs.c.episode_id, episode_id),
        (runs.c.workload, workload),
    ):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(runs.c.id < before)
    if labels:
        query = query.join(episodes, episodes.c.id == runs.c.episode_id)
        for name, label in labels.items():
            query = query.where(episodes.c.labels[name].as_string() == label)
    rows = connection.execute(query).all()
    known = steps.of_runs(connection, [row.id for row in rows])
    return [_run(row, known.get(row.id, ())) for row in rows]


def counts(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """How many runs there are by (status, outcome)."""
    query = sa.select(runs.c.status, runs.c.outcome, sa.func.count()).group_by(runs.c.status, runs.c.outcome)
    return {(status, outcome): count for status, outcome, count in connection.execute(query)}


def _run(row: Row, known: tuple[Step, ...] = ()) -> Run:
    return Run(
        id=row.id,
        episode_id=row.episode_id,
        playbook=row.playbook,
        attempt=row.attempt,
        mode=row.mode,
        status=Status(row.status),
        outcome=Outcome(row.outcome),
        reason=Reason(row.reason) if row.reason else None,
        detail=row.detail,
        workload=row.workload,
        created_at=row.created_at,
        updated_at=row.updated_at,
        acted_at=row.acted_at,
        finished_at=row.finished_at,
        wake_at=row.wake_at,
        epoch=row.epoch,
        state=row.state,
        steps=known,
    )
