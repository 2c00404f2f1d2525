"""Plays one test: its inputs come, what falls due in between is done, and what is expected is compared.

`amend playbooks test` calls it; the ledger is a file that is thrown away.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from receiver.actions import VERBS
from receiver.approval import Answer
from receiver.approvals import NotAsked, Unanswerable, Unknown
from receiver.durations import format_duration
from receiver.marker import Marker
from receiver.playbook import Playbook, read_all
from receiver.rehearsal.expectations import Seen, differences
from receiver.rehearsal.outside import Pretended
from receiver.rehearsal.rehearsal import Rehearsal
from receiver.rehearsal.script import Input, Platforms, Script
from receiver.run import Status
from receiver.store import runs


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
    return asyncio.run(_play(script, directory))


async def _play(script: Script, directory: Path) -> list[Difference]:
    player = _Player(script, directory)
    try:
        return await player.play()
    finally:
        await player.rehearsal.close()


class _Player:
    def __init__(self, script: Script, directory: Path) -> None:
        self._script = script
        self._test = script.test
        self.rehearsal = Rehearsal(
            {each.name: self._as_rehearsed(each) for each in written(script)},
            directory,
            start=self._test.start,
            limits=self._test.limits,
            people={given.by for given in self._test.input},
            programs=Pretended(self._test.commands),
        )
        self._outside = self.rehearsal.outside
        self._outside.set_values(self._test.prometheus)
        self._outside.answers.update(self._test.http)
        self._place(self._test.platform)
        self._previous: Mapping[str, Any] = {}

    async def play(self) -> list[Difference]:
        found: list[Difference] = []
        for moment in self._script.moments():
            await self.rehearsal.go_on(self._test.start + moment)
            for index, given in enumerate(self._test.input):
                if given.at == moment:
                    found += await self._happens(index, given)
            await self.rehearsal.settle()
            found += await self._compare(moment)
        return found

    async def _happens(self, index: int, given: Input) -> list[Difference]:
        if given.firing is not None:
            self._previous = {
                "labels": given.firing,
                "annotations": given.annotations,
                "startsAt": self.rehearsal.now.isoformat(),
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
            marker = Marker(**given.deployed.model_dump(), at=self.rehearsal.now, by=given.by)
            await self.rehearsal.deployments.mark(marker)
        elif given.prometheus is not None:
            self._outside.set_values(given.prometheus)
        elif given.silence is not None:
            self._outside.set_silence(given.silence)
        elif given.pause or given.resume:
            turn = self.rehearsal.standstill.pause if given.pause else self.rehearsal.standstill.resume
            await turn(given.by, "")
        else:
            return await self._answer(index, given)
        return []

    async def _deliver(self, alert: Mapping[str, Any], *, firing: bool) -> None:
        await self.rehearsal.deliver({"startsAt": self._test.start.isoformat(), **alert}, firing=firing)

    async def _answer(self, index: int, given: Input) -> list[Difference]:
        playbook, answer = (given.approve, Answer.APPROVED) if given.approve else (given.reject, Answer.REJECTED)
        waiting = await self.rehearsal.ledger.read(
            lambda connection: runs.page(connection, limit=1, status=Status.WAITING, playbook=playbook)
        )
        why = f"no run of {playbook} waits for an answer"
        if waiting:
            try:
                await self.rehearsal.approvals.answer(waiting[0].id, answer, by=given.by)
            except (Unknown, NotAsked, Unanswerable) as error:
                why = str(error)
            else:
                await self.rehearsal.settle()
                return []
        return [Difference(self._script.line("input", index), given.at, why)]

    async def _compare(self, moment: timedelta) -> list[Difference]:
        expected = [(index, each) for index, each in enumerate(self._test.expect) if each.at == moment]
        if not expected:
            return []
        found = await self.rehearsal.ledger.read(lambda connection: runs.page(connection, limit=1000))
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

    def _as_rehearsed(self, playbook: Playbook) -> Playbook:
        if self._test.mode == "as_written" or playbook.enforced:
            return playbook
        return playbook.model_copy(update={"mode": "enforce"})


def written(script: Script) -> list[Playbook]:
    """The playbooks that a test is about, as they are written; ConfigErrors when they cannot be read."""
    files = tuple(script.playbook_files)
    return _read(files, tuple(file.read_bytes() if file.exists() else b"" for file in files))


@lru_cache(maxsize=16)
def _read(files: tuple[Path, ...], _: tuple[bytes, ...]) -> list[Playbook]:
    """The playbooks of files that hold these bytes: most tests of a file are about the same ones."""
    return read_all(files, VERBS)
