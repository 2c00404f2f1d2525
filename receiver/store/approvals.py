"""Queries on approvals: what people are asked, and their answer, which is taken once.

At most one request of a run is open, which a unique index sees to.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.approval import Answer, Approval
from receiver.store.tables import approvals


def ask(
    connection: sa.Connection,
    *,
    run_id: int,
    nonce: str,
    digest: str,
    shown: Mapping[str, Any],
    approvers: Sequence[str],
    at: datetime,
    expires_at: datetime,
) -> Approval:
    """Open a request."""
    row = {"run_id": run_id, "nonce": nonce, "digest": digest, "shown": shown, "approvers": list(approvers)}
    row |= {"asked_at": at, "expires_at": expires_at, "decided_by": "", "comment": ""}
    return _approval(connection.execute(approvals.insert().returning(*approvals.c), row).one())


def get(connection: sa.Connection, approval_id: int) -> Approval | None:
    row = connection.execute(sa.select(approvals).where(approvals.c.id == approval_id)).first()
    return _approval(row) if row else None


def latest(connection: sa.Connection, run_id: int) -> Approval | None:
    """The newest request of a run."""
    query = sa.select(approvals).where(approvals.c.run_id == run_id).order_by(approvals.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return _approval(row) if row else None


def pending(connection: sa.Connection, *, limit: int) -> list[Approval]:
    """Requests that nobody has answered yet, the oldest first."""
    query = sa.select(approvals).where(approvals.c.decision.is_(None)).order_by(approvals.c.run_id).limit(limit)
    return [_approval(row) for row in connection.execute(query)]


def count_pending(connection: sa.Connection) -> int:
    query = sa.select(sa.func.count()).select_from(approvals).where(approvals.c.decision.is_(None))
    return connection.execute(query).scalar_one()


def decide(
    connection: sa.Connection, approval: Approval, answer: Answer, *, by: str, comment: str, at: datetime
) -> bool:
    """Take a person's answer; whether it was the first, and in time."""
    open_ = (approvals.c.id == approval.id) & approvals.c.decision.is_(None) & (approvals.c.expires_at > at)
    values = {"decision": answer, "decided_at": at, "decided_by": by, "comment": comment}
    return connection.execute(approvals.update().where(open_).values(values)).rowcount == 1


def expire(connection: sa.Connection, run_id: int, *, at: datetime) -> None:
    """End a run's open request, if nobody has answered it in time."""
    _end(connection, run_id, approvals.c.decision.is_(None) & (approvals.c.expires_at <= at), Answer.EXPIRED, at=at)


def withdraw(connection: sa.Connection, run_id: int, *, at: datetime) -> None:
    """End a run's open request: there is nothing to decide any more, or it is another question."""
    _end(connection, run_id, approvals.c.decision.is_(None), Answer.WITHDRAWN, at=at)


def revoke(connection: sa.Connection, run_id: int, *, at: datetime) -> None:
    """As `withdraw`, and with it a yes that no run has acted on."""
    unused = (approvals.c.decision == Answer.APPROVED) & approvals.c.used_at.is_(None)
    _end(connection, run_id, approvals.c.decision.is_(None) | unused, Answer.WITHDRAWN, at=at)


def _end(
    connection: sa.Connection, run_id: int, which: sa.ColumnElement[bool], answer: Answer, *, at: datetime
) -> None:
    ours = (approvals.c.run_id == run_id) & which
    connection.execute(approvals.update().where(ours).values(decision=answer, decided_at=at))


def use(connection: sa.Connection, approval: Approval, *, at: datetime) -> None:
    """A run acts on it: it does not count again."""
    unused = (approvals.c.id == approval.id) & approvals.c.used_at.is_(None)
    connection.execute(approvals.update().where(unused).values(used_at=at))


def _approval(row: sa.Row[Any]) -> Approval:
    return Approval(
        id=row.id,
        run_id=row.run_id,
        nonce=row.nonce,
        digest=row.digest,
        shown=row.shown,
        approvers=tuple(row.approvers),
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        decision=Answer(row.decision) if row.decision else None,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        comment=row.comment,
        used_at=row.used_at,
    )
