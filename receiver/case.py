"""A run that is being worked on, and the world it is worked on in: what every stage of the pipeline is handed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.alertmanager import Alertmanager
from receiver.analysis.analyst import Analyst
from receiver.approval import Approval
from receiver.audit import Kind
from receiver.conventions import NUMBERS
from receiver.deployments import Deployments
from receiver.notifiers.receivers import Receivers
from receiver.outbound import Outbound
from receiver.playbook import Playbook
from receiver.programs import Programs
from receiver.prometheus import Prometheus
from receiver.render import Names
from receiver.run import Episode, Reason, Refusal, Run
from receiver.settings.limits import Limits
from receiver.signing import Signer
from receiver.store import Ledger
from receiver.store.log import Log
from receiver.targets import Platform
from receiver.workload import Workload

LATER = timedelta(seconds=30)  #: until something that may pass is looked at again
MUCH_LATER = timedelta(minutes=5)  #: where whoever ends the wait wakes those that wait


async def _sleep(span: timedelta) -> None:
    await asyncio.sleep(span.total_seconds())


@dataclass(frozen=True, kw_only=True)
class World:
    """All that is outside of a run: the store, the platforms, Prometheus, the clock."""

    ledger: Ledger
    log: Log
    clock: Callable[[], datetime]
    platforms: Mapping[tuple[str, str], Platform]  #: by kind and name
    prometheus: Prometheus | None
    alertmanager: Alertmanager | None
    limits: Limits
    outbound: Outbound
    receivers: Receivers
    deployments: Deployments
    analyst: Analyst
    programs: Programs
    signer: Signer
    external_url: str = ""
    slack_buttons: bool = False  #: whether a click in Slack comes back to us
    sleep: Callable[[timedelta], Awaitable[None]] = _sleep

    def tell(self, connection: sa.Connection, run: Run, kind: Kind, data: Mapping[str, Any]) -> None:
        """Write a row about a run to the audit log, in the transaction of what it tells."""
        whole = {"playbook": run.playbook, **data}
        self.log.append(connection, kind, at=self.clock(), data=whole, episode_id=run.episode_id, run_id=run.id)

    def link(self, run: Run) -> str:
        """Where people read about a run; empty without an external_url."""
        return self._at(f"runs/{run.id}")

    def approval_link(self, approval: Approval) -> str:
        """Where people decide about a request; empty without an external_url."""
        return self._at(f"approvals/{self.signer.approval(approval)}")

    def _at(self, path: str) -> str:
        return f"{self.external_url.rstrip('/')}/{path}" if self.external_url else ""


@dataclass
class Case:
    """What is to be decided, and what the guards find out on the way."""

    run: Run
    episode: Episode
    playbook: Playbook
    now: datetime
    link: str = ""
    workload: Workload | None = None
    platform: Platform | None = None
    approval: Approval | None = None  #: what a person agreed to, where somebody had to
    replaced: bool = False  #: what it is made of may be something else by now, by this run's doing
    foreseen: dict[tuple[str, str], str] = field(default_factory=dict)
    """What steps come to that leave it open, by verb and arguments, as it was when the workload was looked up."""
    asks: str = ""  #: why a person would have to agree, in observe mode

    @property
    def key(self) -> str:
        """What lock, cooldown and limits go by: the workload, or the playbook where there is none."""
        return self.workload.key if self.workload else f"playbook/{self.playbook.name}"

    @property
    def found(self) -> bool:
        """Whether `key` is known: the workload was found, or there is none to find."""
        return self.workload is not None or self.playbook.target == "none"

    @property
    def context(self) -> dict[str, Any]:
        """The names that a playbook's templates may use."""
        return {
            "labels": Names(self.episode.labels),
            "annotations": Names(self.episode.annotations),
            "playbook": Names({"name": self.playbook.name, "description": self.playbook.description}),
            "run": Names(
                {
                    "id": self.run.id,
                    "attempt": self.run.attempt,
                    "outcome": self.run.outcome,
                    "reason": self.run.reason or "",
                    "detail": self.run.detail,
                    "link": self.link,
                }
            ),
            "target": Names(self._target()),
            **{name: self.episode.annotations.get(name, "") for name in NUMBERS},
        }

    @property
    def numbers(self) -> dict[str, str]:
        """What the alert measured, as it stood when this was decided: the next delivery brings other numbers."""
        return {name: self.episode.annotations[name] for name in NUMBERS if name in self.episode.annotations}

    def target(self) -> dict[str, Any] | None:
        """The workload as it was found, for the ledger."""
        workload = self.workload
        if workload is None:
            return None
        return {
            "key": workload.key,
            "name": str(workload),
            "uid": workload.uid,
            "replicas": workload.replicas,
            "ready": workload.ready,
            "version": workload.version,
            "healthy": workload.healthy,
        }

    def _target(self) -> dict[str, Any]:
        workload = self.workload
        if workload is None:
            return {"name": self.playbook.name, "kind": "playbook", "namespace": "", "key": self.key}
        return {
            "name": workload.name,
            "kind": workload.selector.kind,
            "namespace": workload.selector.scope or "",
            "key": workload.key,
            "replicas": workload.replicas,
            "ready": workload.ready,
        }

    def refuse(self, reason: Reason, detail: str, *, retry_in: timedelta | None = None) -> Refusal:
        return Refusal(reason, detail, retry_at=self.now + retry_in if retry_in else None)
