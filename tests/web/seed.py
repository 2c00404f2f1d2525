"""A ledger with some history in it, written through the store's own functions as matching and pipeline write it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.alerts import Alert, Message
from receiver.approval import Approval
from receiver.audit import Kind
from receiver.run import Closing, Episode, Outcome, Reason, Run, Status, StepStatus
from receiver.store import approvals, deliveries, episodes, runs, steps
from receiver.store.log import Log
from tests.web.conftest import Web

PLAYBOOK = "restart-slow-service"
WORKLOAD = "docker/local/compose/shop/orders"
TARGET = {"key": WORKLOAD, "name": "compose/shop/orders", "replicas": 1, "ready": 1, "healthy": True}
GUARDS = ["enabled", "episode", "age", "condition", "target", "lock", "cooldown"]
NUMBERS = {"value": "0.912", "mean": "0.104", "stddev": "0.021", "z_score": "38.4", "summary": "orders is slow"}


@dataclass
class Seed:
    """Writes in one transaction each, at moments that the caller chooses."""

    web: Web
    key: bytes | None = None

    @property
    def log(self) -> Log:
        return Log(actor="amend/replica-1", key=self.key)

    def episode(self, at: datetime, *, annotations: Mapping[str, str] = NUMBERS, **labels: str) -> Episode:
        every = {"alertname": "LatencyAnomaly", "service": "orders", "severity": "high", **labels}
        alert = Alert.model_validate(
            {"status": "firing", "labels": every, "annotations": annotations, "startsAt": at.isoformat()}
        )
        message = Message(receiver="amend", group_key="{}", external_url="", truncated=0, alerts=(alert,))

        def write(connection: sa.Connection) -> Episode:
            deliveries.store(connection, message, source="default", received_at=at, replica_labels=())
            stored = deliveries.waiting(connection, limit=1)[0]
            deliveries.settle(connection, [stored.id], state="applied")
            episode = episodes.open_(connection, stored)
            self._tell(connection, Kind.EPISODE_OPENED, episode, at, labels=every, alertname=episode.alertname)
            return episode

        return self.web.write(write)

    def close(self, episode: Episode, at: datetime) -> None:
        def write(connection: sa.Connection) -> None:
            episodes.close(connection, episode, at=at, ends_at=at, closing=Closing.RESOLVED)
            self._tell(connection, Kind.EPISODE_CLOSED, episode, at, alertname=episode.alertname, closing="resolved")

        self.web.write(write)

    def no_match(self, episode: Episode, at: datetime) -> None:
        def write(connection: sa.Connection) -> None:
            data = {"alertname": episode.alertname, "labels": dict(episode.labels)}
            self._tell(connection, Kind.NO_MATCH, episode, at, **data)

        self.web.write(write)

    def matched(self, episode: Episode, at: datetime, *, playbook: str = PLAYBOOK, attempt: int = 1) -> Run:
        def write(connection: sa.Connection) -> Run:
            run = runs.create(
                connection,
                episode_id=episode.id,
                playbook=playbook,
                attempt=attempt,
                mode="enforce",
                at=at,
                wake_at=at,
            )
            assert run
            return run

        return self.web.write(write)

    def ask(self, run: Run, at: datetime, *, approvers: Sequence[str] = (), until: datetime | None = None) -> Approval:
        shown = {
            "target": {"key": WORKLOAD, "name": "compose/shop/orders", "uid": "42"},
            "steps": [{"verb": "restart", "arguments": {"grace": "10s"}}],
            "on_failure": [{"verb": "notify"}],
        }

        def write(connection: sa.Connection) -> Approval:
            runs.change(
                connection, run, at=at, status=Status.WAITING, detail="the playbook always asks", workload=WORKLOAD
            )
            approval = approvals.ask(
                connection,
                run_id=run.id,
                nonce="nonce",
                digest="a digest",
                shown=shown,
                approvers=approvers,
                at=at,
                expires_at=until or at + timedelta(minutes=10),
            )
            told = {**shown, "why": "the playbook always asks", "until": approval.expires_at.isoformat()}
            self._tell_run(connection, Kind.APPROVAL_ASKED, run, at, **told)
            return approval

        return self.web.write(write)

    def skip(self, run: Run, at: datetime, reason: Reason, detail: str, *, retry_at: datetime | None = None) -> None:
        def write(connection: sa.Connection) -> None:
            runs.change(
                connection,
                run,
                at=at,
                status=Status.SKIPPED,
                reason=reason,
                detail=detail,
                workload=WORKLOAD,
                wake_at=retry_at,
                state={"guards": GUARDS[:6]},
            )
            data = {"reason": reason, "detail": detail, "guards": GUARDS[:6]}
            if retry_at:
                data["retry_at"] = retry_at.isoformat()
            self._tell_run(connection, Kind.SKIPPED, run, at, **data)

        self.web.write(write)

    def act(self, run: Run, at: datetime, *, workload: str = WORKLOAD) -> Run:
        def write(connection: sa.Connection) -> Run:
            acting = runs.change(
                connection,
                run,
                at=at,
                status=Status.ACTING,
                workload=workload,
                acted_at=at,
                wake_at=at,
                state={"guards": GUARDS, "target": TARGET, "phase": "steps"},
            )
            step: dict[str, Any] = {"phase": "steps", "position": 0, "verb": "restart", "arguments": {"grace": "10s"}}
            steps.intend(connection, acting, at=at, **step)
            self._tell_run(connection, Kind.INTENT, run, at, target=TARGET, **step)
            return acting

        return self.web.write(write)

    def conclude(
        self, run: Run, at: datetime, *, status: StepStatus = StepStatus.DONE, error: str = "", **result: Any
    ) -> None:
        kinds = {StepStatus.DONE: Kind.STEP_DONE, StepStatus.FAILED: Kind.STEP_FAILED}

        def write(connection: sa.Connection) -> None:
            step: dict[str, Any] = {"phase": "steps", "position": 0, "result": result, "error": error}
            steps.conclude(connection, run, status=status, at=at, **step)
            kind = kinds.get(status, Kind.STEP_UNKNOWN)
            self._tell_run(connection, kind, run, at, verb="restart", target=TARGET, **step)

        self.web.write(write)

    def watch(self, run: Run, at: datetime) -> Run:
        def write(connection: sa.Connection) -> Run:
            until = at + timedelta(minutes=11)
            self._tell_run(connection, Kind.VERIFYING, run, at, until=until.isoformat())
            return runs.change(connection, run, at=at, status=Status.VERIFYING, wake_at=at)

        return self.web.write(write)

    def finish(self, run: Run, at: datetime, outcome: Outcome, detail: str) -> None:
        watch = {"since": at.isoformat(), "sight": "quiet", "why": detail}

        def write(connection: sa.Connection) -> None:
            runs.change(
                connection,
                run,
                at=at,
                status=Status.DONE,
                outcome=outcome,
                detail=detail,
                finished_at=at,
                wake_at=None,
                state={**run.state, "watch": watch},
            )
            self._tell_run(connection, Kind.FINISHED, run, at, outcome=outcome, detail=detail, evidence=watch)

        self.web.write(write)

    def fixed(self, episode: Episode, at: datetime, **options: Any) -> Run:
        """A whole run that helped, over a minute and a half."""
        second = timedelta(seconds=1)
        run = self.act(self.matched(episode, at, **options), at)
        self.conclude(run, at + 2 * second, started_at="2026-01-01T00:00:00Z")
        run = self.watch(run, at + 2 * second)
        detail = "quiet since 60s, with samples: rate(http_requests_total[5m]) > 1"
        self.finish(run, at + 90 * second, Outcome.FIXED, detail)
        return run

    def _tell(self, connection: sa.Connection, kind: Kind, episode: Episode, at: datetime, **data: Any) -> None:
        self.log.append(connection, kind, at=at, data=data, episode_id=episode.id)

    def _tell_run(self, connection: sa.Connection, kind: Kind, run: Run, at: datetime, **data: Any) -> None:
        data["playbook"] = run.playbook
        self.log.append(connection, kind, at=at, data=data, episode_id=run.episode_id, run_id=run.id)
