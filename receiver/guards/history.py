"""What was done on the workload before, and whether somebody is at it now."""

import sqlalchemy as sa

from receiver.case import LATER, Case, World
from receiver.guards.guard import LedgerGuard
from receiver.run import Reason, Refusal
from receiver.store import limits


class Lock(LedgerGuard):
    """Nobody else is acting on the workload, or still verifying what it did there."""

    name = "lock"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        holder = limits.holder(connection, case.key, besides=case.run.id)
        if holder:
            raise case.refuse(Reason.LOCKED, f"run {holder.id} of {holder.playbook} has {case.key}", retry_in=LATER)


class Cooldown(LedgerGuard):
    """Per workload and playbook, from the end of the last run."""

    name = "cooldown"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        playbook = case.playbook
        ended = limits.last_end(connection, workload=case.key, playbook=playbook.name, mode=playbook.mode)
        if ended and case.now < ended + playbook.cooldown:
            ready = ended + playbook.cooldown
            raise Refusal(
                Reason.COOLDOWN,
                f"the last run on {case.key} ended at {ended:%H:%M:%S}; may act again at {ready:%H:%M:%S} UTC",
                retry_at=ready,
            )


class Attempts(LedgerGuard):
    """Per workload and playbook, however many alerts ask; per alert, for a playbook without a target."""

    name = "max_attempts"

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:  # noqa: ARG002
        allowed = case.playbook.max_attempts
        since = case.now - allowed.within
        made = limits.attempts(
            connection,
            playbook=case.playbook.name,
            since=since,
            workload=case.workload.key if case.workload else None,
            episode_id=case.episode.id,
        )
        if made >= allowed.count:
            about = case.key if case.workload else "this alert"
            raise case.refuse(Reason.MAX_ATTEMPTS, f"acted {made} times on {about} since {since:%H:%M:%S} UTC")
