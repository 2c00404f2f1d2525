"""A receiver in a rehearsal: worker, pipeline, guards and store of production, on a clock that is moved by hand.

play.py has it play a test, backtest.py what really happened; both bring alerts, let time pass, and look at the ledger.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from receiver.alerts import Alert, Message
from receiver.analysis.analyst import Analyst
from receiver.approvals import Approvals
from receiver.case import World
from receiver.deployments import Deployments
from receiver.identity import Windows
from receiver.matching import Matching
from receiver.notifiers.receivers import Receivers
from receiver.pipeline import Pipeline
from receiver.playbook import Playbook, Verify
from receiver.programs import Programs
from receiver.prometheus import Prometheus
from receiver.rehearsal.outside import RECEIVERS, Addressees, Oracle, Outside, Quiet, Stage
from receiver.rehearsal.throwaway import throwaway
from receiver.settings import Identity
from receiver.settings.auth import Team
from receiver.settings.limits import Limits
from receiver.settings.receivers import Receiver
from receiver.signing import Signer
from receiver.standstill import Standstill
from receiver.store import deliveries, runs
from receiver.store.log import Log
from receiver.target import Target
from receiver.targets import Platform
from receiver.worker import Worker

STEP = timedelta(milliseconds=500)  #: the least by which the clock is moved


class Rehearsal:
    """One receiver; its ledger is made in the directory. Close it when it is over."""

    def __init__(
        self,
        playbooks: Mapping[str, Playbook],
        directory: Path,
        *,
        start: datetime,
        limits: Limits,
        identity: Identity | None = None,
        people: Collection[str] = ("somebody",),
        programs: Programs | None = None,
        stage: type[Stage] = Stage,
        oracle: Callable[[Outside], Prometheus] = Oracle,
    ) -> None:
        self.now = start
        self._asleep: list[tuple[datetime, asyncio.Future[None]]] = []  #: runs that wait, and until when
        self.outside = Outside(clock=self.clock)
        self.ledger = throwaway(directory)
        self._identity = identity or Identity()
        log = Log(actor="rehearsal", key=None)
        signer = Signer(b"a rehearsal")
        self.deployments = Deployments(self.ledger, log, self.clock)
        self.prometheus = oracle(self.outside)
        self._alertmanager, self._outbound = Quiet(self.outside), Addressees(self.outside)
        self.world = World(
            ledger=self.ledger,
            log=log,
            clock=self.clock,
            platforms=_platforms(playbooks.values(), self.outside, stage),
            prometheus=self.prometheus,
            alertmanager=self._alertmanager,
            limits=limits,
            outbound=self._outbound,
            receivers=Receivers(_receivers(playbooks.values()), self._outbound),
            deployments=self.deployments,
            analyst=Analyst(
                ledger=self.ledger, deployments=self.deployments, outbound=self._outbound, clock=self.clock
            ),
            programs=programs or Programs({}),
            signer=signer,
            external_url="https://amend.invalid",
            sleep=self._sleep,
        )
        in_force = list(playbooks.values())
        self.worker = Worker(
            ledger=self.ledger,
            pipeline=Pipeline(self.world, lambda: playbooks, pace=_pace),
            matching=Matching(
                windows=Windows(reopen=self._identity.reopen_window), log=log, playbooks=lambda: in_force
            ),
            prometheus=self.prometheus,
            alertmanager=None,
            clock=self.clock,
            owner="rehearsal",
            orphan_after=self._identity.orphan_after,
        )
        self.standstill = Standstill(self.ledger, log, limits.breaker, clock=self.clock)
        everybody = Team(api_keys=tuple(people))
        teams = {name: everybody for each in in_force if each.approval for name in each.approval.approvers}
        self.approvals = Approvals(self.ledger, log, teams, signer=signer, clock=self.clock, wake=self.worker.wake)

    def clock(self) -> datetime:
        return self.now

    async def settle(self) -> None:
        """Do all that is to be done at this moment; a run that waits goes on waiting."""
        await self.worker.settle(lambda: len(self._asleep))

    async def go_on(self, until: datetime) -> None:
        """Let time pass, and do what falls due."""
        while self.now < until:
            if self._asleep:
                await self.worker.renew()
            moments = [await self.ledger.read(runs.next_wake), *(at for at, _ in self._asleep)]
            due = min(filter(None, moments), default=until)
            self.now = min(until, max(due, self.now + STEP))
            self._rouse()
            await self.settle()

    async def deliver(self, alert: Mapping[str, Any], *, firing: bool, source: str = "default") -> None:
        """A webhook with this alert: labels, annotations, and when it began."""
        self.outside.alerts[frozenset(alert["labels"].items())] = firing
        ended = {} if firing else {"endsAt": self.now.isoformat()}
        whole = {**alert, "status": "firing" if firing else "resolved", **ended}
        message = Message(
            receiver="rehearsal", group_key="", external_url="", truncated=0, alerts=(Alert.model_validate(whole),)
        )
        store = partial(
            deliveries.store, source=source, received_at=self.now, replica_labels=self._identity.replica_labels
        )
        await self.ledger.write(lambda connection: store(connection, message))
        await self.settle()

    async def close(self) -> None:
        await self.worker.drain(0)
        for part in (self.prometheus, self._alertmanager, self._outbound, self.ledger):
            await part.close()

    async def _sleep(self, span: timedelta) -> None:
        """Until the clock was moved that far: what comes in between comes in between, as in production."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep.append((self.now + span, over))
        self.worker.wake()
        await over

    def _rouse(self) -> None:
        roused = [each for each in self._asleep if each[0] <= self.now]
        self._asleep = [each for each in self._asleep if each not in roused]
        for _, over in roused:
            over.set_result(None)


def _pace(verify: Verify) -> timedelta:
    """Fewer looks than in production, as nothing changes but at known moments; none are a minute apart."""
    return min(timedelta(seconds=40), max(STEP, verify.absent_for / 4))


def _platforms(
    playbooks: Collection[Playbook], outside: Outside, stage: type[Stage]
) -> dict[tuple[str, str], Platform]:
    """Of each kind those that the playbooks call by name, or one where they call none."""
    called: dict[str, set[str]] = {"docker": set(), "kubernetes": set()}
    for playbook in playbooks:
        if not isinstance(playbook.target, Target):
            continue
        docker, kubernetes = playbook.target.docker, playbook.target.kubernetes
        if docker and docker.host:
            called["docker"].add(docker.host)
        if kubernetes and kubernetes.cluster:
            called["kubernetes"].add(kubernetes.cluster)
    return {
        (kind, name): stage(name, kind, outside) for kind, names in called.items() for name in names or {"the-only-one"}
    }


def _receivers(playbooks: Collection[Playbook]) -> list[Receiver]:
    """Whoever a playbook tells something, at an address that leads nowhere; nothing that they are told is gathered."""
    return [
        Receiver.model_validate(
            {"name": name, "max_per_minute": 10_000, "webhook": {"url": f"https://r{number}{RECEIVERS}/"}}
        )
        for number, name in enumerate(sorted(set(_named(playbooks))))
    ]


def _named(playbooks: Collection[Playbook]) -> Iterator[str]:
    for playbook in playbooks:
        if playbook.approval:
            yield from playbook.approval.approvers
        for step in (*playbook.steps, *playbook.on_failure):
            if name := getattr(step.written, "receiver", None):
                yield name
