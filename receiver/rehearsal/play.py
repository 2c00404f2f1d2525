"""Plays one test: its inputs come, what falls due in between is done, and what is expected is compared.

The worker, the pipeline, the guards and the store are those of production; the ledger is a file that is thrown away.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from receiver.actions import VERBS
from receiver.alerts import Alert, Message
from receiver.analysis.analyst import Analyst
from receiver.approval import Answer
from receiver.approvals import Approvals, NotAsked, Unanswerable, Unknown
from receiver.case import World
from receiver.deployments import Deployments
from receiver.durations import format_duration
from receiver.identity import Windows
from receiver.matching import Matching
from receiver.pipeline import Pipeline
from receiver.playbook import Playbook, Verify, read_all
from receiver.rehearsal.expectations import Seen, differences
from receiver.rehearsal.outside import RECEIVERS, Addressees, Oracle, Outside, Pretended, Quiet, Stage
from receiver.rehearsal.script import Input, Platforms, Script
from receiver.run import Status
from receiver.settings.auth import Team
from receiver.settings.receivers import Receiver
from receiver.signing import Signer
from receiver.standstill import Standstill
from receiver.store import Ledger, deliveries, runs
from receiver.store.log import Log
from receiver.target import Target
from receiver.targets import Platform
from receiver.worker import Worker

KEPT = (
    12.0  #: hours that a rehearsal may take by its own clock between two moments before it counts as going in circles
)


@dataclass(frozen=True)
class Difference:
    """Something that was not as expected."""

    place: str  #: `playbooks/tests/http.yml:14`
    at: timedelta
    text: str

    def __str__(self) -> str:
        return f"{self.place}: at {format_duration(self.at)}: {self.text}"


def play(script: Script, directory: Path) -> list[Difference]:
    """What was not as expected; a ledger is made in the directory. ConfigErrors when the playbooks cannot be read."""
    return asyncio.run(_Play(script, directory).play())


class _Play:
    def __init__(self, script: Script, directory: Path) -> None:
        self._script = script
        self._test = script.test
        self.now = self._test.start
        self._outside = Outside(clock=lambda: self.now)
        self._outside.set_values(self._test.prometheus)
        self._outside.answers.update(self._test.http)
        self._place(self._test.platform)
        self._playbooks = {each.name: self._as_rehearsed(each) for each in _written(tuple(script.playbook_files))}
        file = directory / "rehearsal.db"
        file.write_bytes(_empty_ledger())
        self._ledger = Ledger(f"sqlite:///{file}")
        sa.event.listen(self._ledger.engine, "connect", _leave_to_the_disk)
        self._ledger.engine.dispose()  # the connection that has been opened waits for the disk
        self._previous: Mapping[str, Any] = {}

    async def play(self) -> list[Difference]:
        world = self._begin()
        try:
            return await self._play()
        finally:
            for part in (world.prometheus, world.alertmanager, world.outbound, self._ledger):
                if part:
                    await part.close()

    async def _play(self) -> list[Difference]:
        found: list[Difference] = []
        for moment in self._script.moments():
            await self._go_on(self._test.start + moment)
            for index, given in enumerate(self._test.input):
                if given.at == moment:
                    found += await self._happens(index, given)
            await self._worker.settle()
            found += await self._compare(moment)
        return found

    def _begin(self) -> World:
        log = Log(actor="rehearsal", key=None)
        clock = self._outside.clock
        signer = Signer(b"a rehearsal")
        outbound = Addressees(self._outside)
        self._deployments = Deployments(self._ledger, log, clock)
        world = World(
            ledger=self._ledger,
            log=log,
            clock=clock,
            platforms=self._platforms(),
            prometheus=Oracle(self._outside),
            alertmanager=Quiet(self._outside),
            limits=self._test.limits,
            outbound=outbound,
            receivers=_receivers(self._playbooks),
            deployments=self._deployments,
            analyst=Analyst(ledger=self._ledger, deployments=self._deployments, outbound=outbound, clock=clock),
            programs=Pretended(self._test.commands),
            signer=signer,
            external_url="https://amend.invalid",
            sleep=self._sleep,
        )
        in_force = list(self._playbooks.values())
        self._worker = Worker(
            ledger=self._ledger,
            pipeline=Pipeline(world, lambda: self._playbooks, pace=_pace),
            matching=Matching(windows=Windows(reopen=timedelta(minutes=10)), log=log, playbooks=lambda: in_force),
            prometheus=world.prometheus,
            alertmanager=None,
            clock=clock,
            owner="rehearsal",
            orphan_after=timedelta(hours=12),
        )
        self._standstill = Standstill(self._ledger, log, self._test.limits.breaker, clock=clock)
        everybody = Team(api_keys=tuple({given.by for given in self._test.input}))
        teams = {name: everybody for each in in_force if each.approval for name in each.approval.approvers}
        self._approvals = Approvals(self._ledger, log, teams, signer=signer, clock=clock, wake=self._worker.wake)
        return world

    async def _sleep(self, span: timedelta) -> None:
        self.now += span

    async def _go_on(self, until: datetime) -> None:
        """Let time pass, and do what falls due."""
        while self.now < until:
            due = await self._ledger.read(runs.next_wake)
            self.now = min(until, max(due or until, self.now + timedelta(milliseconds=500)))
            await self._worker.settle()

    async def _happens(self, index: int, given: Input) -> list[Difference]:
        if given.firing is not None:
            self._previous = {
                "labels": given.firing,
                "annotations": given.annotations,
                "startsAt": self.now.isoformat(),
            }
            await self._deliver(self._previous, firing=True)
        elif given.repeat:
            await self._deliver(self._previous, firing=True)
        elif given.resolved is not None:
            labels = self._previous.get("labels", {}) if given.resolved == "previous" else given.resolved
            await self._deliver({**self._previous, "labels": labels}, firing=False)
        elif given.platform is not None:
            self._place(given.platform)
        elif given.deployed is not None:
            await self._deployments.mark(**given.deployed.model_dump(), at=self.now, by=given.by)
        elif given.prometheus is not None:
            self._outside.set_values(given.prometheus)
        elif given.silence is not None:
            self._outside.silenced = given.silence
        elif given.pause or given.resume:
            turn = self._standstill.pause if given.pause else self._standstill.resume
            await turn(given.by, "")
        else:
            return await self._answer(index, given)
        return []

    async def _deliver(self, alert: Mapping[str, Any], *, firing: bool) -> None:
        labels = frozenset(alert["labels"].items())
        self._outside.alerts[labels] = firing
        ended = {} if firing else {"endsAt": self.now.isoformat()}
        starts_at = alert.get("startsAt", self._test.start.isoformat())
        whole = {**alert, "startsAt": starts_at, "status": "firing" if firing else "resolved", **ended}
        message = Message(
            receiver="rehearsal", group_key="", external_url="", truncated=0, alerts=(Alert.model_validate(whole),)
        )
        store = partial(deliveries.store, source="default", received_at=self.now, replica_labels=())
        await self._ledger.write(lambda connection: store(connection, message))
        await self._worker.settle()

    async def _answer(self, index: int, given: Input) -> list[Difference]:
        playbook, answer = (given.approve, Answer.APPROVED) if given.approve else (given.reject, Answer.REJECTED)
        waiting = await self._ledger.read(
            lambda connection: runs.page(connection, limit=1, status=Status.WAITING, playbook=playbook)
        )
        why = f"no run of {playbook} waits for an answer"
        if waiting:
            try:
                await self._approvals.answer(waiting[0].id, answer, by=given.by)
            except (Unknown, NotAsked, Unanswerable) as error:
                why = str(error)
            else:
                await self._worker.settle()
                return []
        return [Difference(self._script.line("input", index), given.at, why)]

    async def _compare(self, moment: timedelta) -> list[Difference]:
        expected = [(index, each) for index, each in enumerate(self._test.expect) if each.at == moment]
        if not expected:
            return []
        found = await self._ledger.read(lambda connection: runs.page(connection, limit=1000))
        before = max((each.at for each in self._test.expect if each.at < moment), default=None)
        since = None if before is None else self._test.start + before
        seen = Seen(runs=found, told=tuple(self._outside.told), since=since)
        self._outside.told.clear()
        return [
            Difference(self._script.line("expect", index), moment, text)
            for index, each in expected
            for text in differences(each, seen)
        ]

    def _place(self, platforms: Platforms) -> None:
        for kind, workloads in (("docker", platforms.docker), ("kubernetes", platforms.kubernetes)):
            self._outside.workloads |= {(kind, name): state for name, state in workloads.items()}

    def _platforms(self) -> dict[tuple[str, str], Platform]:
        """Of each kind those that the playbooks call by name, or one where they call none."""
        called: dict[str, set[str]] = {"docker": set(), "kubernetes": set()}
        for playbook in self._playbooks.values():
            if not isinstance(playbook.target, Target):
                continue
            docker, kubernetes = playbook.target.docker, playbook.target.kubernetes
            if docker and docker.host:
                called["docker"].add(docker.host)
            if kubernetes and kubernetes.cluster:
                called["kubernetes"].add(kubernetes.cluster)
        return {
            (kind, name): Stage(name, kind, self._outside)
            for kind, names in called.items()
            for name in names or {"the-only-one"}
        }

    def _as_rehearsed(self, playbook: Playbook) -> Playbook:
        if self._test.mode == "as_written" or playbook.enforced:
            return playbook
        return playbook.model_copy(update={"mode": "enforce"})


def _written(files: tuple[Path, ...]) -> list[Playbook]:
    return _read(files, tuple(file.read_bytes() if file.exists() else b"" for file in files))


@lru_cache(maxsize=16)
def _read(files: tuple[Path, ...], _: tuple[bytes, ...]) -> list[Playbook]:
    """The playbooks of files that hold these bytes: most tests of a file are about the same ones."""
    return read_all(files, VERBS)


@cache
def _empty_ledger() -> bytes:
    """A new ledger's file: to make one takes longer than most tests."""
    with TemporaryDirectory(prefix="amend-rehearsal-") as directory:
        file = Path(directory) / "empty.db"
        asyncio.run(Ledger(f"sqlite:///{file}").close())
        return file.read_bytes()


def _pace(verify: Verify) -> timedelta:
    """Fewer looks than in production, as nothing changes but at the moments of the test; none are a minute apart."""
    return min(timedelta(seconds=40), max(timedelta(milliseconds=500), verify.absent_for / 4))


def _leave_to_the_disk(connection: Any, _: object) -> None:
    """A ledger that is thrown away need not outlive a power cut."""
    connection.execute("PRAGMA synchronous=OFF")


def _receivers(playbooks: Mapping[str, Playbook]) -> dict[str, Receiver]:
    """Whoever a playbook tells something, at an address that leads nowhere."""
    return {
        name: Receiver.model_validate({"name": name, "webhook": {"url": f"https://r{number}{RECEIVERS}/"}})
        for number, name in enumerate(sorted(set(_named(playbooks))))
    }


def _named(playbooks: Mapping[str, Playbook]) -> Iterator[str]:
    for playbook in playbooks.values():
        if playbook.approval:
            yield from playbook.approval.approvers
        for step in (*playbook.steps, *playbook.on_failure):
            if name := getattr(getattr(step, step.verb), "receiver", None):
                yield name
