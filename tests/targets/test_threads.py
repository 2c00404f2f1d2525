"""Threads that hang are left behind, and no more of them exist than were allowed."""

import asyncio
import subprocess
import sys
import threading

import pytest

from receiver.errors import Temporary
from receiver.targets.threads import Threads
from tests.bed.processes import until


def test_what_the_function_returns_or_raises_comes_back() -> None:
    async def main() -> None:
        threads = Threads("part")
        assert await threads.call(lambda: 42, within=60) == 42
        with pytest.raises(ZeroDivisionError):
            await threads.call(lambda: 1 // 0, within=60)
        assert threads.hanging == 0

    asyncio.run(main())


def test_a_call_that_hangs_ends_in_time_and_counts_until_its_thread_comes_back() -> None:
    async def main() -> None:
        threads, let_go = Threads("part", limit=2), threading.Event()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await threads.call(let_go.wait, within=0.05)
        assert threads.hanging == 2
        with pytest.raises(Temporary, match="hang"):
            await threads.call(lambda: 42, within=60)
        let_go.set()
        await asyncio.to_thread(until, lambda: not threads.hanging, why="the thread comes back")
        assert await threads.call(lambda: 42, within=60) == 42

    asyncio.run(main())


def test_a_call_waits_for_a_thread_that_only_works_and_is_never_started_when_none_gets_free() -> None:
    async def main() -> None:
        threads, let_go = Threads("part", limit=1), threading.Event()
        working = asyncio.create_task(threads.call(let_go.wait, within=60))
        await asyncio.sleep(0)
        with pytest.raises(Temporary, match="nothing was sent"):
            await threads.call(lambda: pytest.fail("it was started"), within=0.05)
        patient = asyncio.create_task(threads.call(lambda: 42, within=60))
        let_go.set()
        assert await working
        assert await patient == 42

    asyncio.run(main())


def test_a_cancelled_caller_leaves_its_thread_behind() -> None:
    async def main() -> None:
        threads, let_go = Threads("part", limit=1), threading.Event()
        calling = asyncio.create_task(threads.call(let_go.wait, within=60))
        await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert threads.hanging == 1
        let_go.set()
        await asyncio.to_thread(until, lambda: not threads.hanging, why="the thread comes back")

    asyncio.run(main())


def test_a_process_ends_while_its_threads_hang() -> None:
    code = """
import asyncio, threading
from receiver.targets.threads import Threads

async def main():
    try:
        await Threads("part").call(threading.Event().wait, within=0.05)
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""
    # Its thread hangs for ever: a process that waited for it would not end.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("gave up\n", "")
