"""Queries on what the limits count: by the workload and the playbook, never by the alert.

Guards ask them, and once more in the transaction that claims a run or writes down a step's intent.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from receiver.run import Phase, Status
from receiver.store.statement import Statement
from receiver.store.tables import DID_NOT_HELP, HOLDS_LOCK, steps
from receiver.store.tables import runs as table

_HOLDER = Statement(
    sa.select(table.c.id, table.c.playbook).where(
        HOLDS_LOCK, table.c.workload == sa.bindparam("workload"), table.c.id != sa.bindparam("besides")
    )
)
_LAST_END = Statement(
    sa.select(sa.func.max(table.c.finished_at)).where(
        table.c.workload == sa.bindparam("workload"),
        table.c.playbook == sa.bindparam("playbook"),
        table.c.mode == sa.bindparam("mode"),
        table.c.status == Status.DONE,
    )
)
_ATTEMPTS = sa.select(sa.func.count()).where(
    table.c.playbook == sa.bindparam("playbook"), table.c.acted_at > sa.bindparam("since")
)
_ON_WORKLOAD = Statement(_ATTEMPTS.where(table.c.workload == sa.bindparam("workload")))
_IN_EPISODE = Statement(_ATTEMPTS.where(table.c.episode_id == sa.bindparam("episode_id")))
# gathered here: asked to group them, SQLite would go by the workloads' index, through all runs that there ever were
_TOUCHED = (
    sa.select(table.c.workload, table.c.acted_at)
    .where(table.c.acted_at > sa.bindparam("since"))
    .order_by(table.c.acted_at)
)
_BY_ALL = Statement(_TOUCHED)
_BY_ONE = Statement(_TOUCHED.where(table.c.playbook == sa.bindparam("playbook")))
_ACTED = Statement(
    sa.select(steps.c.started_at)
    .where(steps.c.started_at > sa.bindparam("since"), steps.c.verb.in_(sa.bindparam("verbs", expanding=True)))
    .order_by(steps.c.started_at.desc())
    .offset(sa.bindparam("before"))
    .limit(1)
)
_UNHELPFUL = Statement(
    sa.select(table.c.finished_at)
    .where(DID_NOT_HELP, table.c.finished_at > sa.bindparam("since"))
    .order_by(table.c.finished_at.desc())
    .limit(1000)
)
_BEGUN = (
    sa.select(sa.func.count())
    .where(
        steps.c.run_id == table.c.id,
        steps.c.phase == Phase.STEPS,
        steps.c.verb.in_(sa.bindparam("verbs", expanding=True)),
    )
    .scalar_subquery()
)
_COMING = Statement(
    sa.select(sa.func.coalesce(table.c.state["actions"].as_integer(), 0).label("actions"), _BEGUN.label("begun")).where(
        HOLDS_LOCK,
        table.c.status == Status.ACTING,
        table.c.id != sa.bindparam("besides"),
        table.c.state["phase"].as_string() == Phase.STEPS,
    )
)


class Holder(NamedTuple):
    """Which run has a lock."""

    id: int
    playbook: str


def holder(connection: sa.Connection, workload: str, *, besides: int) -> Holder | None:
    """The run that has the workload's lock, if another one does."""
    row = _HOLDER.first(connection, {"workload": workload, "besides": besides})
    return Holder(*row) if row else None


def is_lock_taken(error: sa.exc.IntegrityError) -> bool:
    """Whether it was the lock's unique index that refused: another run was faster by less than a moment."""
    return "uq_runs_lock" in str(error.orig) or "runs.workload" in str(error.orig)


def last_end(connection: sa.Connection, *, workload: str, playbook: str, mode: str) -> datetime | None:
    """When this playbook's last run on the workload ended."""
    values = {"workload": workload, "playbook": playbook, "mode": mode}
    moment: datetime | None = _LAST_END.scalar(connection, values)
    return moment


def attempts(
    connection: sa.Connection, *, playbook: str, since: datetime, workload: str | None, episode_id: int
) -> int:
    """How often this playbook acted on the workload; in the episode, for a playbook that acts on none."""
    values = {"playbook": playbook, "since": since}
    made: int = (
        _ON_WORKLOAD.scalar(connection, {**values, "workload": workload})
        if workload
        else _IN_EPISODE.scalar(connection, {**values, "episode_id": episode_id})
    )
    return made


def touched(connection: sa.Connection, *, since: datetime, playbook: str | None = None) -> dict[str, datetime]:
    """Workloads that were acted on, by one playbook or by all, each with the last time."""
    statement = _BY_ALL if playbook is None else _BY_ONE
    rows = statement.all(connection, {"since": since, "playbook": playbook})
    return {row.workload: row.acted_at for row in rows if row.workload is not None}


def acted(connection: sa.Connection, *, since: datetime, verbs: Collection[str], allowed: int) -> datetime | None:
    """When the earliest of the last `allowed` steps of these verbs began; None if there were fewer since.

    Each step of any playbook counts, not each run.
    """
    values = {"since": since, "verbs": list(verbs), "before": allowed - 1}
    moment: datetime | None = _ACTED.scalar(connection, values)
    return moment


def unhelpful(connection: sa.Connection, *, since: datetime) -> list[datetime]:
    """When runs of any playbook ended that failed or did not help, the oldest first; of very many the newest."""
    return [row.finished_at for row in reversed(_UNHELPFUL.all(connection, {"since": since}))]


def coming(connection: sa.Connection, *, verbs: Collection[str], besides: int) -> int:
    """How many steps of these verbs the other runs that are acting have not begun yet."""
    acting = _COMING.all(connection, {"verbs": list(verbs), "besides": besides})
    return sum(max(0, row.actions - row.begun) for row in acting)
