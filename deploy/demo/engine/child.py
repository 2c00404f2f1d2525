"""A child process that does not outlive us, however we end.

The engine starts its containers here and the demo its parts; the kernel kills the child when its parent dies, so that
neither Ctrl-C nor kill -9 leaves anything behind.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
GLANCE = 0.05  # seconds between two looks at a child

Child = subprocess.Popen[bytes]

# Loaded before any fork: between fork and exec a child may do next to nothing.
libc = ctypes.CDLL(None, use_errno=True)


def start(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    orphaned: signal.Signals = signal.SIGKILL,
) -> Child:
    """Starts `argv` in a session of its own, its output appended to `log`; the kernel sends `orphaned` when we die.

    Its own session, because Ctrl-C reaches the terminal's whole foreground group at once, and who started the parts
    wants to stop them in order. To be called from the main thread: the kernel's "parent" is the thread that forked.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        libc.prctl(PR_SET_PDEATHSIG, orphaned)
        if os.getppid() != parent:  # the parent died before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 — one thread forks, and the libc is loaded already
        )


def stop(child: Child, *, grace: float) -> int:
    """Asks the child to end, kills it and what it started after `grace` seconds, and returns its exit code."""
    send(child, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(GLANCE)
    send(child, signal.SIGKILL)
    return child.wait()


async def ended(child: Child) -> int:
    """Waits for the child's end and returns its exit code, 128 + N for signal N as a shell would."""
    while (code := child.poll()) is None:  # noqa: ASYNC110 — the end of a process sets no asyncio.Event
        await asyncio.sleep(GLANCE)
    return 128 - code if code < 0 else code


def send(child: Child, number: int) -> None:
    """Sends the signal to the child and all of its session; nothing to do when it has ended."""
    if child.poll() is not None:
        return
    os.killpg(child.pid, number)
