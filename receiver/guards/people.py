"""What people say: by the pause switch, by a silence, by an approval."""

import sqlalchemy as sa

from receiver import approvals
from receiver.case import LATER, MUCH_LATER, Case, World
from receiver.guards.guard import LedgerGuard
from receiver.run import MADE_UP, Reason, Refusal
from receiver.store import pause


class NotPaused(LedgerGuard):
    """The kill switch: while it is on, no action starts on any replica."""

    name = "pause"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        # who resumes wakes all that wait for it; the time is for whoever missed that
        if now := pause.current(connection):
            raise case.refuse(Reason.PAUSED, str(now), retry_in=MUCH_LATER)


class NotSilenced:
    """Who silences an alert wants nothing done about it."""

    name = "silence"

    async def check(self, case: Case, world: World) -> None:
        if world.alertmanager is None:
            return
        labels = case.episode.labels
        if silence := await world.alertmanager.silence(labels):
            # one that is ended early is told by the next delivery, which Alertmanager then sends
            raise Refusal(Reason.SILENCED, str(silence), retry_at=max(silence.ends_at, case.now + LATER))
        # Alertmanager sends no `resolved` of a silenced alert: what we last heard may be long over
        long_ago = case.now - case.episode.last_seen_at > LATER
        made_up = case.episode.source == MADE_UP  # of which Alertmanager has never heard
        if case.playbook.on == "firing" and long_ago and not made_up and not await world.alertmanager.lists(labels):
            raise case.refuse(Reason.RESOLVED, "it is over, and its end was silenced: Alertmanager lists it no more")


class Answered(LedgerGuard):
    """Whoever was asked has not said no, and still has time: asked for first, of a run that waits."""

    name = "answer"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        approvals.hear(connection, case)


class Agreed(LedgerGuard):
    """People said yes, where the playbook asks them, or has not earned acting alone."""

    name = "approval"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        if case.playbook.enforced:
            case.approval = approvals.agreed(connection, case)
        else:
            case.asks = approvals.why_ask(connection, case)
