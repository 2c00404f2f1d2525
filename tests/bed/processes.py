"""Child processes with a log file each, and waiting for what they should do; the rest of the bed is built on these.

A process is stopped by its own id, and nothing waits without a deadline that says what it waited for.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import httpx

Result = TypeVar("Result")

PATIENCE = 90.0
"""Seconds for what takes one or two: only a failure waits for so long, and a busy machine may."""

_given_out: set[int] = set()
_running: "list[Process]" = []


def until(condition: Callable[[], Result], *, why: str, within: float = PATIENCE, every: float = 0.1) -> Result:
    """The first truthy result of `condition`; AssertionError when there was none in time."""
    deadline = time.monotonic() + within
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {within:g} s in vain: {why} (last seen: {result!r})"
        time.sleep(every)
    return result


def free_port() -> int:
    """A port that nobody listens on, and that nobody else is given until its program does."""
    # Below those that Linux gives out by itself, and none that another process of this run draws from.
    mine, processes = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    ports = range(10_000 + int(mine.removeprefix("gw")), 32_000, int(processes))
    while True:
        port = random.choice(ports)
        if port not in _given_out and _is_free(port):
            _given_out.add(port)
            return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a GET of the address gives 200 now."""
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def logs() -> list[tuple[str, str]]:
    """Name and end of the log of every process that runs now: what a failed test shows."""
    return [(f"log of {process.name}", process.tail()) for process in _running]


class Process:
    """A program that a test starts, kills and starts again; leaving the `with` block stops it."""

    name = "process"
    starts_within = PATIENCE  #: seconds from start to ready
    stops_within = PATIENCE  #: seconds from SIGTERM to SIGKILL

    def __init__(self, argv: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.argv = [str(word) for word in argv]
        self.log = log
        self.environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def ready(self) -> bool:
        """Whether it does its work; a subclass asks the program itself."""
        return self.running

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.begin()
        try:
            until(self._ready_or_dead, within=self.starts_within, why=f"{self.name} is not ready")
            assert self.running, f"{self.name} ended at once"
        except BaseException:
            print(self.tail())
            self.kill9()
            raise

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches pytest alone, which then stops everything in order.
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        _running.append(self)

    def terminate(self) -> int:
        """SIGTERM, and SIGKILL when it does not listen; its exit code."""
        if not self.running:
            return self._ended()
        os.kill(self.pid, signal.SIGTERM)
        try:
            self._popen.wait(self.stops_within)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        return self._ended()

    def kill9(self) -> None:
        """End it as a power cut does."""
        if self.running:
            self._popen.kill()
        self._ended()

    def restart(self) -> None:
        self.terminate()
        self.start()

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        assert self._child, f"{self.name} was never started"
        return self._child

    def _ready_or_dead(self) -> bool:
        return not self.running or self.ready()

    def _ended(self) -> int:
        if self in _running:
            _running.remove(self)
        return self._popen.wait() if self._child else 0
