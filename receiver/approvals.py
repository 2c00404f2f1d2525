"""Asking people before a run acts: when they must be asked, about what exactly, and their answers.

The guard asks here whether somebody agreed; the doors bring what people say. An answer counts once, in time, and for
what was shown: another target or another argument is another question.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from receiver import autonomy
from receiver.actions import ACTIONS
from receiver.approval import Answer, Approval, ApprovalRule, Autonomy, SlackUser
from receiver.audit import Kind
from receiver.case import Case
from receiver.durations import format_duration
from receiver.errors import AmendError
from receiver.plan import Planned, plan
from receiver.run import Phase, Reason, Run, Status
from receiver.settings.auth import Team
from receiver.signing import Signer
from receiver.store import Ledger, approvals, runs
from receiver.store.log import Log

log = structlog.get_logger(__name__)

CANCELLABLE = frozenset({Status.MATCHED, Status.WAITING, Status.SKIPPED})
"""Statuses in which nothing was begun; a skipped run may be decided again."""


class Unapproved(AmendError):
    """Nobody has agreed yet: the run has to wait for people."""

    def __init__(self, why: str, question: "Question") -> None:
        self.why = why
        self.question = question
        super().__init__(why)


class Unanswerable(AmendError):
    """What a person decided cannot be taken: it is too late, or another question."""


class NotAsked(AmendError):
    """The person is none of those who were asked."""


class Unknown(AmendError):
    """There is no such run, or nothing to decide about it."""


@dataclass(frozen=True)
class Question:
    """What people are asked to allow."""

    shown: Mapping[str, Any]
    digest: str


def why_ask(connection: sa.Connection, case: Case) -> str:
    """Why a person must agree before this run acts; empty when nobody must."""
    playbook, rule = case.playbook, case.playbook.approval
    required = rule.required if rule else "never"
    earned = playbook.autonomy or (Autonomy() if required == "low_confidence" else None)
    if required == "always":
        return "the playbook always asks"
    if rule and required == "when_active":
        holding = [named.name for named in playbook.intervals(rule.active_time_intervals) if named.holds(case.now)]
        if holding:
            return f"the playbook asks in {holding[0]}"
    if earned and (doubt := autonomy.doubt(connection, playbook.name, earned)):
        if rule is None:
            raise case.refuse(Reason.LOW_CONFIDENCE, f"{doubt}; with approval: {{}} people would be asked")
        return doubt
    return ""


def question(case: Case) -> Question:
    """What is to be done now, in full."""
    workload = case.workload
    steps = plan(case, case.playbook.steps, phase=Phase.STEPS)
    later = plan(case, case.playbook.on_failure, phase=Phase.ON_FAILURE)
    target = {"key": case.key, "name": str(workload), "uid": workload.uid} if workload else None
    # what tells people is filled in with what came of the steps
    last = [each.shown() if ACTIONS[each.step.verb].intervenes else {"verb": each.step.verb} for each in later]
    # each delivery brings other numbers: they make no other question of what only tells people
    bound = [{"verb": each.step.verb} if each.step.verb == "notify" else each.shown() for each in steps]
    about = [case.run.id, case.run.playbook, case.run.attempt, target, bound, last]
    shown = {"target": target, "steps": [each.shown() for each in steps], "on_failure": last}
    return Question(shown, hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest())


def hear(connection: sa.Connection, case: Case) -> Approval | None:
    """What people were asked last about a run, unless that is withdrawn; Refusal after a no, or no answer in time.

    Either counts whatever has changed since.
    """
    asked = approvals.latest(connection, case.run.id) if case.run.asked else None
    if asked is None or asked.decision is Answer.WITHDRAWN:
        return None
    if asked.decision is Answer.REJECTED:
        raise case.refuse(Reason.APPROVAL_REJECTED, f"rejected {_by(asked.decided_by, asked.comment)}")
    if asked.decision is Answer.EXPIRED or (asked.decision is None and case.now >= asked.expires_at):
        waited = format_duration(asked.expires_at - asked.asked_at)
        raise case.refuse(Reason.APPROVAL_TIMEOUT, f"nobody decided within {waited}")
    return asked


def agreed(connection: sa.Connection, case: Case) -> Approval | None:
    """The approval that a run may act on, None where it needs none; Unapproved or a Refusal otherwise."""
    standing, why = hear(connection, case), why_ask(connection, case)
    if not why and standing is None:
        return None
    # who was asked is waited for, also when nobody would be asked by now: silence never lets it run
    why, asked = why or "people were asked", question(case)
    if standing is None or standing.decision is None:
        raise Unapproved(why, asked)
    if standing.digest != asked.digest:
        raise Unapproved(f"what it would do has changed since {standing.decided_by} agreed; asks again", asked)
    if not _counts(standing, case):
        raise Unapproved(f"{why}; what {standing.decided_by} agreed to is too old", asked)
    return standing


def _counts(approval: Approval, case: Case) -> bool:
    """Whether a yes may be acted on: once, and for as long as one may answer."""
    patience = (case.playbook.approval or ApprovalRule()).timeout
    unused = approval.decision is Answer.APPROVED and approval.used_at is None
    return unused and approval.decided_at is not None and case.now < approval.decided_at + patience


def answered_meanwhile(approval: Approval | None, asked: Question, case: Case) -> bool:
    """Whether a question need not be put: somebody has just answered the very same."""
    if approval is None or approval.digest != asked.digest:
        return False
    return approval.decision is Answer.REJECTED or _counts(approval, case)


def covered(connection: sa.Connection, case: Case, planned: Planned) -> bool:
    """Whether a step of `on_failure` may change the workload: nobody need be asked, or it was shown and agreed to."""
    if not why_ask(connection, case):
        return True
    latest = approvals.latest(connection, case.run.id)
    if latest is None or latest.used_at is None:
        return False
    shown = latest.shown["on_failure"]
    return planned.position < len(shown) and bool(shown[planned.position] == planned.shown())


class Approvals:
    """What people decide about runs."""

    def __init__(
        self,
        ledger: Ledger,
        audit: Log,
        teams: Mapping[str, Team],
        *,
        signer: Signer,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._audit = audit
        self._teams = teams
        self._signer = signer
        self._clock = clock
        self._wake = wake

    async def signed(self, token: str) -> Approval:
        """The request that a link is about; Unknown when we did not make the link, or it is about something else."""
        approval_id = self._signer.approval_id(token)
        found = await self._ledger.read(partial(approvals.get, approval_id=approval_id)) if approval_id else None
        if found is None or self._signer.approval(found) != token:
            raise Unknown("this link is not one of ours, or was altered")
        return found

    def may_answer(self, who: str | SlackUser, approval: Approval) -> bool:
        """Whether this person, the holder of a key or somebody in Slack, is one of those who were asked."""
        asked = [self._teams[team] for team in approval.approvers if team in self._teams]
        if isinstance(who, SlackUser):
            # a key's role says whether its holder may answer; in Slack, being listed says it
            asked = asked if approval.approvers else list(self._teams.values())
            return any(who.id in team.slack_users for team in asked)
        return not approval.approvers or any(who in team.api_keys for team in asked)

    async def answer(
        self,
        run_id: int,
        answer: Answer,
        *,
        by: str | SlackUser,
        comment: str = "",
        digest: str | None = None,
        request: Approval | None = None,
    ) -> None:
        """Take a person's answer to what a run asks now, or to one request of it; `digest` is of what they saw.

        Unknown, NotAsked or Unanswerable when it cannot be taken.
        """

        def write(connection: sa.Connection) -> None:
            now = self._clock()
            asked = approvals.get(connection, request.id) if request else approvals.latest(connection, run_id)
            if asked is None:
                raise _nothing_asked(runs.get(connection, run_id), run_id)
            if not self.may_answer(by, asked):
                raise NotAsked(_not_asked(by, asked))
            if digest is not None and digest != asked.digest:
                raise Unanswerable("what is asked has changed since it was shown; look at the run again")
            if not approvals.decide(connection, asked, answer, by=str(by), comment=comment, at=now):
                raise Unanswerable(_too_late(asked))
            kind = Kind.APPROVED if answer is Answer.APPROVED else Kind.REJECTED
            about = {"digest": asked.digest, "comment": comment}
            self._tell(connection, runs.get(connection, run_id), kind, about, str(by))
            runs.wake(connection, [run_id], at=now)

        await self._ledger.write(write)
        log.info("answered", run=run_id, answer=str(answer), by=str(by))
        self._wake()

    async def cancel(self, run_id: int, *, by: str, comment: str = "") -> None:
        """Stop a run that has not begun to act, for good; Unknown or Unanswerable when it cannot be."""

        def write(connection: sa.Connection) -> None:
            run, now = runs.get(connection, run_id), self._clock()
            if run is None:
                raise Unknown(_NO_RUN.format(run_id))
            if not runs.cancel(connection, run, among=CANCELLABLE, at=now, detail=_by(by, comment)):
                stands = run.status.replace("_", " ")
                raise Unanswerable(f"run {run_id} is {stands}; only what has not begun can be cancelled")
            approvals.withdraw(connection, run_id, at=now)
            self._tell(connection, run, Kind.CANCELLED, {"comment": comment}, by)

        await self._ledger.write(write)
        log.info("cancelled", run=run_id, by=by)

    def _tell(self, connection: sa.Connection, run: Run | None, kind: Kind, data: Mapping[str, Any], by: str) -> None:
        assert run is not None
        whole = {"playbook": run.playbook, **data}
        ids = {"episode_id": run.episode_id, "run_id": run.id}
        self._audit.append(connection, kind, at=self._clock(), data=whole, actor=by, **ids)


_NO_RUN = 'there is no run {}; "amend runs list" shows them'


def _nothing_asked(run: Run | None, run_id: int) -> Unknown:
    if run is None:
        return Unknown(_NO_RUN.format(run_id))
    return Unknown(f"nobody is asked about run {run_id}, which is {run.status.replace('_', ' ')}")


def _not_asked(by: str | SlackUser, asked: Approval) -> str:
    if asked.approvers:
        return f'"{by}" is in none of the teams that were asked: {", ".join(asked.approvers)}'
    return f'"{by}" is in no team; one has to be listed in auth.teams to answer in Slack'


def _too_late(asked: Approval) -> str:
    match asked.decision:
        case Answer.APPROVED | Answer.REJECTED:
            return f"it was {asked.decision} already, by {asked.decided_by}"
        case Answer.WITHDRAWN:
            return "nothing is asked any more: the alert is over, or the playbook changed its mind"
    return f"the time to decide was over at {asked.expires_at:%Y-%m-%d %H:%M:%S} UTC"


def _by(by: str, comment: str) -> str:
    return f"by {by}: {comment}" if comment else f"by {by}"
