"""Runs the programs that amend.yml declares: without a shell, with an empty environment, and never longer than allowed.

The `command` verb calls it; an error says whether anything was done.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from receiver.errors import Permanent, Uncertain
from receiver.settings.commands import Command

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}  #: our own holds secrets
LARGEST = 64 * 1024  #: bytes that are kept of what a program says
REAPED = 1.0  #: seconds that one that was killed gets to be gone
QUOTED = 500  #: characters of that in a record


@dataclass(frozen=True)
class Said:
    """What a program that ended well has said last."""

    output: str


class Programs:
    """Those of amend.yml, by name."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    async def run(self, name: str, args: Sequence[str], *, within: float, run_id: int) -> Said:
        """Run one to its end.

        Permanent: there is no such command, it cannot be started, or it ended with another code than 0. Uncertain: it
        was killed after its time was over, so that nobody knows how far it came.
        """
        command = self._commands.get(name)
        if command is None:
            raise Permanent(f'no command is called "{name}"; declare it under commands: in amend.yml')
        within = min(within, command.timeout.total_seconds())
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                *args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**ENVIRONMENT, "AMEND_RUN": str(run_id)},
                cwd="/",
                start_new_session=True,  # so that its children can be killed with it
            )
        except (OSError, ValueError) as error:
            raise Permanent(f"{command.argv[0]} cannot be started: {error}") from error
        try:
            async with asyncio.timeout(within):
                said = await _last(process)
                code = await process.wait()
        except TimeoutError:
            end = "was killed" if _kill(process.pid) else "runs on as another user, where it cannot be killed,"
            raise Uncertain(f"{name} {end} after {within:g}s; how far it came is not known") from None
        finally:
            _kill(process.pid)  # what it left behind, if it did
            with suppress(TimeoutError):
                async with asyncio.timeout(REAPED):
                    await process.wait()
        if code != 0:
            raise Permanent(f"{name} ended with {_ending(code)}: {said[-QUOTED:].strip() or 'it said nothing'}")
        return Said(said[-QUOTED:])


def _kill(group: int) -> bool:
    """Whether it is gone; sudo and its like run as somebody whose processes are not ours to kill."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


async def _last(process: asyncio.subprocess.Process) -> str:
    """The end of what it says; all of it is read, as a program whose pipe is full stands still."""
    assert process.stdout
    kept = b""
    while chunk := await process.stdout.read(LARGEST):
        kept = (kept + chunk)[-LARGEST:]
    return kept.decode(errors="replace").replace("\x00", "�")


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
