"""Let people be asked before a run acts, and count failures and successes without reading all runs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.BigInteger()
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("shown", sa.JSON(), nullable=False),
        sa.Column("approvers", sa.JSON(), nullable=False),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_approvals_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_run_id", "approvals", ["run_id"])
    pending = sa.text("decision IS NULL")
    op.create_index(
        "uq_approvals_pending", "approvals", ["run_id"], unique=True, sqlite_where=pending, postgresql_where=pending
    )
    unhelpful = sa.text("outcome IN ('failed', 'not_fixed')")
    op.create_index("ix_runs_did_not_help", "runs", ["finished_at"], sqlite_where=unhelpful, postgresql_where=unhelpful)
    acted = sa.text("acted_at IS NOT NULL")
    op.create_index(
        "ix_runs_playbook_acted_at",
        "runs",
        ["playbook", "acted_at"],
        sqlite_where=acted,
        postgresql_where=acted,
    )
    op.add_column("signals", sa.Column("note", sa.Text(), nullable=False, server_default=""))
