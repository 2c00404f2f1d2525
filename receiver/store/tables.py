"""The ledger's tables, the same on SQLite and PostgreSQL; migrations/ brings a database to this shape.

Instants are UTC microseconds in an integer: they sort, compare and survive alike on both.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _EPOCH + value * _MICROSECOND


# SQLite numbers rows by itself only in a column of the type INTEGER
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _id() -> "sa.Column[int]":
    return sa.Column("id", Id, primary_key=True, autoincrement=True)


def _json(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.JSON, nullable=False)


deliveries = sa.Table(
    "deliveries",
    metadata,
    _id(),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("group_key", sa.Text, nullable=False),
    sa.Column("external_url", sa.Text, nullable=False),
    sa.Column("alerts", sa.Integer, nullable=False),
    sa.Column("truncated", sa.Integer, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    _id(),
    sa.Column("delivery_id", Id, sa.ForeignKey("deliveries.id"), nullable=False, index=True),
    # new -> applied | stale | quarantined
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False, default=""),
    sa.Column("alert_key", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    _json("labels"),
    _json("annotations"),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant),
)
sa.Index("ix_alerts_new", alerts.c.id, sqlite_where=alerts.c.state == "new", postgresql_where=alerts.c.state == "new")

episodes = sa.Table(
    "episodes",
    metadata,
    _id(),
    sa.Column("alert_key", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    _json("labels"),
    _json("annotations"),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("last_starts_at", Instant, nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, nullable=False, index=True),
    sa.Column("ends_at", Instant),
    sa.Column("closed_at", Instant),
    sa.Column("closing", sa.Text),
    # on_failure runs once per episode, whichever playbook gets there first
    sa.Column("failure_run_id", Id),
    sa.Index("ix_episodes_alert_key_closed_at", "alert_key", "closed_at"),
)
sa.Index(
    "uq_episodes_open",
    episodes.c.alert_key,
    unique=True,
    sqlite_where=episodes.c.closed_at.is_(None),
    postgresql_where=episodes.c.closed_at.is_(None),
)

runs = sa.Table(
    "runs",
    metadata,
    _id(),
    sa.Column("episode_id", Id, sa.ForeignKey("episodes.id"), nullable=False),
    sa.Column("playbook", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("workload", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("acted_at", Instant),
    sa.Column("finished_at", Instant),
    # when a worker should look at it next; null when there is nothing left to do
    sa.Column("wake_at", Instant),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", Instant),
    _json("state"),
    sa.UniqueConstraint("episode_id", "playbook", "attempt"),
    sa.Index("ix_runs_workload_playbook_finished_at", "workload", "playbook", "finished_at"),
    sa.Index("ix_runs_acted_at", "acted_at"),
)
sa.Index(
    "ix_runs_wake_at",
    runs.c.wake_at,
    sqlite_where=runs.c.wake_at.is_not(None),
    postgresql_where=runs.c.wake_at.is_not(None),
)
# The lock on a workload: two runs cannot both be acting on it, whatever else goes wrong.
# In words, not in parameters: SQLite finds who holds a lock by the index only if it is asked in the index' own words.
HOLDS_LOCK = runs.c.workload.is_not(None) & runs.c.status.in_(
    sa.bindparam("holding", ["acting", "verifying"], expanding=True, literal_execute=True)
)
sa.Index("uq_runs_lock", runs.c.workload, unique=True, sqlite_where=HOLDS_LOCK, postgresql_where=HOLDS_LOCK)
# What the breaker counts, in words as above.
DID_NOT_HELP = runs.c.outcome.in_(
    sa.bindparam("unhelpful", ["failed", "not_fixed"], expanding=True, literal_execute=True)
)
sa.Index("ix_runs_did_not_help", runs.c.finished_at, sqlite_where=DID_NOT_HELP, postgresql_where=DID_NOT_HELP)
# How often a playbook acted, and what came of it.
sa.Index(
    "ix_runs_playbook_acted_at",
    runs.c.playbook,
    runs.c.acted_at,
    sqlite_where=runs.c.acted_at.is_not(None),
    postgresql_where=runs.c.acted_at.is_not(None),
)

steps = sa.Table(
    "steps",
    metadata,
    _id(),
    sa.Column("run_id", Id, sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    _json("arguments"),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    _json("result"),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    # a step of an attempt is carried out at most once
    sa.UniqueConstraint("run_id", "phase", "position"),
    sa.Index("ix_steps_started_at", "started_at"),
)

# what people were asked to allow, as it was shown to them, and what they said
approvals = sa.Table(
    "approvals",
    metadata,
    _id(),
    sa.Column("run_id", Id, sa.ForeignKey("runs.id"), nullable=False, index=True),
    # part of what the link is signed over: a link to one request says nothing about another
    sa.Column("nonce", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    _json("shown"),
    _json("approvers"),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    # null -> approved | rejected | expired | withdrawn, once
    sa.Column("decision", sa.Text),
    sa.Column("decided_at", Instant),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    # when a run acted on it: it counts once
    sa.Column("used_at", Instant),
)
sa.Index(
    "uq_approvals_pending",
    approvals.c.run_id,
    unique=True,
    sqlite_where=approvals.c.decision.is_(None),
    postgresql_where=approvals.c.decision.is_(None),
)

# what was deployed when, as those who deploy tell it
deployments = sa.Table(
    "deployments",
    metadata,
    _id(),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    _json("metadata"),
    sa.Index("ix_deployments_service_at", "service", "at"),
)

# the processes that work on this store, each with what it runs on
replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)

# what one of them tells all others, by name: a number that changes, who changed it, and when
signals = sa.Table(
    "signals",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", Id, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("episode_id", Id, index=True),
    sa.Column("run_id", Id, index=True),
    # canonical JSON as text: a database that reorders keys would break the hash
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("keyed", sa.Boolean, nullable=False),
    # one row follows each row: two writers cannot fork the chain
    sa.Column("prev", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.Text, nullable=False),
)
