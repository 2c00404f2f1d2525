"""A part of the demo: a child process with a log, and an address that answers once it is ready.

parts.py starts them; the stage waits for them and stops them, and their logs are shown when the loop does not close.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from engine import child

GLANCE = 0.1  # seconds between two looks
PATIENCE = 120  # seconds for what takes a few: the machine may be busy with other things


class Broken(Exception):
    """Something that the demo needs did not work; the message says what, and where to look."""


@dataclass(frozen=True)
class Part:
    name: str
    process: child.Child
    log: Path

    def wait_until_ready(self, url: str) -> None:
        """Until the address answers 2xx; Broken when the process ends first, or time is up."""

        def ready() -> bool:
            self.check()
            return answers(url)

        wait_until(ready, what=f"{self.name} to be ready at {url}")

    def check(self) -> None:
        """Broken when it has ended: nothing of the demo ends by itself."""
        if (code := self.process.poll()) is not None:
            raise Broken(f"{self.name} ended with code {code}; see its log above")


@contextmanager
def running(
    name: str,
    argv: Sequence[str],
    *,
    logs: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    grace: float = 5,
    orphaned: signal.Signals = signal.SIGKILL,
) -> Iterator[Part]:
    log = logs / f"{name}.log"
    process = child.start(argv, log=log, env=env, cwd=cwd, orphaned=orphaned)
    try:
        yield Part(name, process, log)
    finally:
        child.stop(process, grace=grace)


def finished(argv: Sequence[str | Path], *, what: str) -> subprocess.CompletedProcess[str]:
    """A program that has run to its end; Broken when it takes for ever."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as late:
        raise Broken(f"waited {PATIENCE} s in vain for {what}") from late


def wait_until(condition: Callable[[], object], *, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(GLANCE)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).is_success
    except httpx.HTTPError:
        return False
