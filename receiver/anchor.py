"""Keeps the audit log's newest hash elsewhere, so that a log that was cut off or rewritten as a whole shows.

`serve` runs it beside the worker, where `audit.anchor` says so; `amend audit verify --anchors` reads what it wrote.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from receiver import metrics
from receiver.audit import Broken
from receiver.notifiers.notice import Notice
from receiver.notifiers.receivers import Receivers
from receiver.settings import Anchor
from receiver.store import Ledger
from receiver.store import log as books


@dataclass(frozen=True)
class Head:
    """The log's newest row at some time."""

    at: str
    seq: int
    hash: str


class Anchoring:
    """Looks every `audit.anchor.every`."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Anchor,
        *,
        receivers: Receivers,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._receivers = receivers
        self._clock = clock
        self._last = 0

    async def anchor(self) -> None:
        """Write the head down wherever it is to be kept, if it has changed."""
        newest = await self._ledger.read(partial(books.page, limit=1))
        if not newest or newest[0].seq == self._last:
            return
        head = Head(self._clock().isoformat(), newest[0].seq, newest[0].hash)
        if self._settings.file:
            await asyncio.to_thread(_append, self._settings.file, head)
        if self._settings.receiver:
            message = f"audit log: row {head.seq} has the hash {head.hash}"
            about = Notice(message=message, link="", run={}, labels={"seq": str(head.seq), "hash": head.hash})
            await self._receivers.tell(self._settings.receiver, about)
        self._last = head.seq
        metrics.ANCHORED.set(self._clock().timestamp())


def read_anchors(path: Path) -> Iterator[Head]:
    """The heads in a file of anchors; Broken names a line that is none."""
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
            yield Head(str(row["at"]), int(row["seq"]), str(row["hash"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(f"{path}: line {number} is no anchor") from error


def _append(path: Path, head: Head) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(head)) + "\n")
        file.flush()
        os.fsync(file.fileno())
