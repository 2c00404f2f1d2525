"""Threads for clients that only know how to wait: a platform makes one pool of them and calls through it.

A call ends within its bound whether or not its thread does. No more than the pool's number of threads ever exist, and
nobody waits for one that hangs: they are daemons, so neither closing nor the interpreter's exit joins them.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from receiver.errors import Temporary

Result = TypeVar("Result")


class Threads:
    """At most `limit` calls at once; those that were given up on still count until they come back."""

    def __init__(self, name: str, *, limit: int = 8) -> None:
        self.name = name
        self.hanging = 0  #: threads still busy with a call that nobody waits for any more
        self._limit = limit
        self._free = asyncio.Semaphore(limit)

    async def call(self, function: Callable[[], Result], *, within: float) -> Result:
        """The function's result; TimeoutError when it started and did not end, Temporary when it never started."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within
        await self._claim(within)
        done: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                finish = _returns(function())
            except BaseException as error:  # noqa: BLE001 - it is raised where the call was made, not lost here
                finish = _raises(error)
            try:
                loop.call_soon_threadsafe(self._finished, done, finish)
            except RuntimeError:
                return  # the loop has closed since: nobody is left to tell

        threading.Thread(target=work, name=f"amend-{self.name}", daemon=True).start()
        try:
            async with asyncio.timeout_at(ends_at):
                return await done
        finally:
            if done.cancelled():
                self.hanging += 1

    async def _claim(self, within: float) -> None:
        if self.hanging >= self._limit:
            raise Temporary(f"{self.name}: all {self._limit} calls at once hang; it answers nothing")
        try:
            async with asyncio.timeout(within):
                await self._free.acquire()
        except TimeoutError:
            raise Temporary(f"{self.name}: busy with {self._limit} other calls; nothing was sent") from None

    def _finished(self, done: asyncio.Future[Result], finish: Callable[[asyncio.Future[Result]], None]) -> None:
        self._free.release()
        if done.cancelled():
            self.hanging -= 1
            return
        finish(done)


def _returns(result: Result) -> Callable[[asyncio.Future[Result]], None]:
    return lambda done: done.set_result(result)


def _raises(error: BaseException) -> Callable[[asyncio.Future[Result]], None]:
    return lambda done: done.set_exception(error)
