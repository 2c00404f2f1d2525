"""Putting a question to people: the run waits, what is asked stands in the ledger, and those who decide are told.

The decision calls it for a run that may act as soon as somebody agrees.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from receiver.approval import Approval, ApprovalRule
from receiver.approvals import Unapproved, answered_meanwhile
from receiver.audit import Kind
from receiver.case import Case, World
from receiver.run import Run, Status
from receiver.store import approvals, episodes, runs
from receiver.telling import Telling


@dataclass(frozen=True)
class Asking:
    """Asks."""

    world: World

    async def ask(self, case: Case, unapproved: Unapproved, *, passed: list[str]) -> None:
        """Have the run wait for an answer, and tell people, once."""
        told = {"guards": passed, "numbers": case.numbers, "target": case.target()}
        now = self.world.clock()
        since = case.run.state.get("asked_since") if case.run.status is Status.WAITING else None

        def write(connection: sa.Connection) -> tuple[Run, Approval | None]:
            open_ = self._open(connection, case, unapproved, since=since or now.isoformat())
            waiting = runs.change(
                connection,
                case.run,
                at=now,
                keep=open_ is not None,
                status=Status.WAITING,
                reason=None,
                detail=unapproved.why,
                workload=case.key,
                wake_at=now,  # if we come to an end before people were told, the next one tells them
                state={**case.run.state, **told, "asked_since": since or now.isoformat()},
            )
            return waiting, open_

        case.run, approval = await self.world.ledger.write(write)
        if approval is None:
            return
        if case.run.state.get("told") != approval.id:
            await Telling(self.world).ask(case, approval, unapproved.why)
        await self.world.ledger.write(lambda connection: self._rest(connection, case, approval))

    def _open(self, connection: sa.Connection, case: Case, unapproved: Unapproved, *, since: str) -> Approval | None:
        """The open request, if it is about the same; else a new one, or none where somebody has just answered it."""
        asked, latest = unapproved.question, approvals.latest(connection, case.run.id)
        if answered_meanwhile(latest, asked, case):
            return None
        if latest and latest.decision is None and latest.digest == asked.digest:
            return latest
        now, rule = self.world.clock(), case.playbook.approval or ApprovalRule()
        approvals.withdraw(connection, case.run.id, at=now)
        # a question that changes again and again still comes to its end
        until = min(now + rule.timeout, datetime.fromisoformat(since) + 2 * rule.timeout)
        row = {**asked.shown, "why": unapproved.why, "until": until.isoformat(), "approvers": rule.approvers}
        self.world.tell(connection, case.run, Kind.APPROVAL_ASKED, {**row, "digest": asked.digest})
        return approvals.ask(
            connection,
            run_id=case.run.id,
            nonce=secrets.token_urlsafe(16),
            digest=asked.digest,
            shown=asked.shown,
            approvers=rule.approvers,
            at=now,
            expires_at=until,
        )

    def _rest(self, connection: sa.Connection, case: Case, approval: Approval) -> None:
        """Let the run lie until its time is over, or go on at once where something came between."""
        now, known = self.world.clock(), approvals.get(connection, approval.id)
        as_it_was = episodes.is_open(connection, case.episode.id) == (case.playbook.on == "firing")
        wake_at = approval.expires_at if known and known.decision is None and as_it_was else now
        runs.change(connection, case.run, at=now, wake_at=wake_at, state={**case.run.state, "told": approval.id})
