"""kill -9 cannot show what a power cut would lose; the order of the system calls can (promise 1)."""

import re
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bed.parts import program
from tests.bed.processes import PATIENCE
from tests.bed.receiver import Receiver, alert

CALLS = "fdatasync,fsync,pwrite64,write,writev,send,sendto,sendmsg"


def test_a_delivery_is_synced_to_disk_before_its_2xx_is_sent(tmp_path: Path, running: ExitStack) -> None:
    amend = running.enter_context(Receiver(tmp_path))
    trace = tmp_path / "trace"
    strace = subprocess.Popen(
        # -y names the file behind each number; 5000 characters are a page of the database
        [program("strace"), "-f", "-y", "-s", "5000", "-e", f"trace={CALLS}", "-o", trace, "-p", str(amend.pid)],
        stderr=subprocess.PIPE,
    )
    running.callback(strace.kill)
    assert strace.stderr is not None
    assert b"attached" in strace.stderr.readline()
    for mark in range(10):
        assert amend.post(alert("Broken", service=f"marked-{mark}")).status_code == 200
    strace.terminate()
    strace.wait(PATIENCE)

    calls = trace.read_text().splitlines()
    answers = [place for place, call in enumerate(calls) if "HTTP/1.1 200 OK" in call]
    assert len(answers) == 10
    for mark, answered in enumerate(answers):
        written = _first(calls, rf"pwrite64.*amend\.db-wal>.*marked-{mark}\D")
        told = "\n".join(call[:200] for call in calls[min(written, answered) : max(written, answered) + 1])
        assert _synced(calls[written:answered]), told


def _first(calls: Sequence[str], pattern: str) -> int:
    """The place of the first call that fits."""
    return next(place for place, call in enumerate(calls) if re.search(pattern, call))


def _synced(calls: Sequence[str]) -> bool:
    """Whether a sync of the write-ahead log that began among these calls has returned among them, too."""
    begun: set[str] = set()
    for call in calls:
        thread = call.split()[0]
        if re.search(r"(fdatasync|fsync)\(\d+<.*amend\.db-wal>", call):
            begun.add(thread)
        if thread in begun and re.search(r"f(data)?sync(\(| resumed).*= 0$", call):
            return True
    return False
