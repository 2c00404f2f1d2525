"""Replicas on one store: each knows the others, and a reload of one reaches all."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver import metrics
from receiver.errors import ConfigError
from receiver.presence import Presence
from receiver.store import Ledger


class Reloads:
    """A replica's configuration, and by whom it was reloaded."""

    def __init__(self, config: str = "one") -> None:
        self.config = config
        self.by: list[str] = []
        self.error: Exception | None = None

    async def __call__(self, by: str) -> None:
        self.by.append(by)
        if self.error:
            raise self.error


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'amend.db'}")
    yield opened
    asyncio.run(opened.close())


def presence(ledger: Ledger, name: str, files: Reloads) -> Presence:
    return Presence(ledger, name, config=lambda: files.config, reload=files, clock=lambda: datetime.now(UTC))


def test_replicas_on_other_configuration_are_counted(ledger: Ledger) -> None:
    async def run() -> None:
        ours, same, other = Reloads(), Reloads(), Reloads("two")
        first = presence(ledger, "a", ours)
        last = presence(ledger, "c", other)
        for each in (first, presence(ledger, "b", same), last, first):
            await each.beat()
        assert (metrics.REPLICAS._value.get(), metrics.REPLICAS_DIFFERING._value.get()) == (3, 1)
        await last.leave()
        await first.beat()
        assert (metrics.REPLICAS._value.get(), metrics.REPLICAS_DIFFERING._value.get()) == (2, 0)

    asyncio.run(run())


def test_a_reload_of_one_reaches_the_others_once_and_no_newcomer(ledger: Ledger) -> None:
    async def run() -> None:
        ours, theirs, late = Reloads(), Reloads(), Reloads()
        first, second = presence(ledger, "a", ours), presence(ledger, "b", theirs)
        for _ in range(2):
            await first.beat()
            await second.beat()
        await first.ask_others_to_reload("anna")
        third = presence(ledger, "c", late)
        for each in (first, second, third, first, second, third):
            await each.beat()
        assert (ours.by, theirs.by, late.by) == ([], ["anna"], [])

    asyncio.run(run())


def test_who_cannot_follow_a_reload_goes_on_as_before(ledger: Ledger) -> None:
    async def run() -> None:
        theirs = Reloads()
        theirs.error = ConfigError("playbooks.yml", 3, "is bad")
        first, second = presence(ledger, "a", Reloads()), presence(ledger, "b", theirs)
        await second.beat()
        await first.ask_others_to_reload("anna")
        await second.beat()
        await second.beat()
        assert theirs.by == ["anna"]

    asyncio.run(run())
