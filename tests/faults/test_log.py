"""The audit log after crashes, cuts, forgeries and age: `amend audit verify` tells what happened to it.

tests/test_audit.py does the same to every byte and row of an export.
"""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import threading
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import httpx
import pytest

from receiver.audit import Entry, Kind, seal, verify
from receiver.store import Ledger, log
from receiver.store.engine import open_to_read
from receiver.store.log import Log
from tests.bed.processes import until
from tests.bed.receiver import AMEND, Receiver, alert


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AMEND, "audit", "verify", *arguments], capture_output=True, text=True, check=False)


def tell(amend: Receiver, count: int) -> None:
    for number in range(count):
        assert amend.post(alert("Nobody", service=f"s{number}")).status_code == 200


def entries(database: Path) -> list[Entry]:
    engine = open_to_read(f"sqlite:///{database}")
    with engine.connect() as connection:
        return list(log.entries(connection))


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """A database, and its write-ahead log, of a receiver that was killed while it wrote."""
    amend = Receiver(tmp_path)
    killer = threading.Thread(target=amend.kill9)
    with amend:
        with suppress(httpx.TransportError):
            for number in count():
                amend.post(alert("Nobody", service=f"s{number}"))
                if number == 40:  # enough for many commits, whatever else the machine does
                    killer.start()
        killer.join()
    return amend.database


def test_a_log_whose_writer_was_killed_verifies(torn: Path) -> None:
    assert torn.with_name("amend.db-wal").stat().st_size > 0
    done = check(torn)
    assert done.stdout.startswith("chain verified: "), done.stderr


def test_a_write_ahead_log_cut_off_anywhere_leaves_a_chain_that_is_shorter_and_whole(
    torn: Path, tmp_path: Path
) -> None:
    wal = torn.with_name("amend.db-wal").read_bytes()
    copy = tmp_path / "copy.db"
    lengths = set()
    for cut in range(0, len(wal), max(1, len(wal) // 60)):
        for left in tmp_path.glob("copy.db*"):
            left.unlink()
        shutil.copy(torn, copy)
        copy.with_name("copy.db-wal").write_bytes(wal[:cut] + b"torn")
        with sqlite3.connect(copy) as books:
            assert books.execute("pragma integrity_check").fetchone() == ("ok",)
            if not books.execute("select 1 from sqlite_master where name = 'audit'").fetchone():
                continue
        lengths.add(verify(entries(copy), None).entries)
    assert len(lengths) > 5
    assert max(lengths) <= len(entries(torn))


@pytest.fixture
def anchored(tmp_path: Path) -> Receiver:
    """A receiver that has come to its end, and kept its log's head elsewhere."""
    anchors = tmp_path / "anchors.jsonl"
    amend = Receiver(tmp_path, audit={"anchor": {"file": str(anchors), "every": "100ms"}})
    with amend:
        tell(amend, 3)
        until(lambda: len(amend.get("audit")["audit"]) >= 7, why="all of it is in the books")
        newest = amend.get("audit", limit="1")["audit"][0]["hash"]
        until(lambda: anchors.exists() and newest in anchors.read_text(), why="its head is kept")
    return amend


def test_a_log_that_holds_what_was_anchored_verifies(anchored: Receiver, tmp_path: Path) -> None:
    done = check(anchored.database, "--anchors", tmp_path / "anchors.jsonl")
    assert done.stdout.startswith("chain verified: "), done.stderr


def test_a_log_that_was_cut_off_is_told_by_its_anchors(anchored: Receiver, tmp_path: Path) -> None:
    last = entries(anchored.database)[-1].seq
    with sqlite3.connect(anchored.database) as books:
        books.execute("delete from audit where seq > ?", (last - 2,))
    assert check(anchored.database).returncode == 0, "a chain alone does not show it"
    done = check(anchored.database, "--anchors", tmp_path / "anchors.jsonl")
    assert done.returncode == 1
    assert f"was anchored, and the log ends at row {last - 2}: it was cut off" in done.stderr


def test_a_log_that_was_rewritten_as_a_whole_is_told_by_its_anchors(anchored: Receiver, tmp_path: Path) -> None:
    forged, prev = [], entries(anchored.database)[0].prev
    for entry in entries(anchored.database):
        other = Entry(**{**vars(entry), "actor": "somebody else", "prev": prev, "hash": ""})
        prev = seal(other, None)
        forged.append((other.actor, other.prev, prev, other.seq))
    with sqlite3.connect(anchored.database) as books:
        books.execute("update audit set prev = 'x' || seq")
        books.executemany("update audit set actor = ?, prev = ?, hash = ? where seq = ?", forged)
    assert check(anchored.database).returncode == 0, "a chain alone does not show it"
    done = check(anchored.database, "--anchors", tmp_path / "anchors.jsonl")
    assert done.returncode == 1
    assert "had another hash when it was anchored: the log was rewritten" in done.stderr


def test_what_a_running_receiver_removes_by_age_leaves_a_log_that_verifies(tmp_path: Path, running: ExitStack) -> None:
    amend = Receiver(tmp_path, store={"url": f"sqlite:///{tmp_path / 'old.db'}", "retention": "1d"})

    async def long_ago() -> None:
        ledger, books = Ledger(f"sqlite:///{tmp_path / 'old.db'}"), Log(actor="amend/old", key=None)
        for day in (9, 5, 3):
            at = datetime.now(UTC) - timedelta(days=day)
            await ledger.write(lambda c, at=at: books.append(c, Kind.NO_MATCH, at=at, data={}))  # type: ignore[misc]
        await ledger.close()

    asyncio.run(long_ago())
    running.enter_context(amend)
    (pruned,) = until(lambda: amend.get("audit", kind="pruned")["audit"], why="it removes what is old")
    assert (pruned["data"]["entries"], pruned["data"]["through"]) == (3, 3)
    tell(amend, 3)
    assert amend.get("audit/verify")["verified"] is True
    done = check(tmp_path / "old.db", "-o", "json")
    assert json.loads(done.stdout)["verified"] is True
    assert entries(tmp_path / "old.db")[0].seq == 4
