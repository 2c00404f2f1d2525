"""The receivers of amend.yml: a notice is sent to every place that one names, and no receiver gets too many of them.

Runs, the watchdog and the anchor tell through it. What is too much is gathered and sent as one when there is room; a
question never waits.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import stamina
import structlog

from receiver.errors import AmendError, Permanent, Temporary, Uncertain
from receiver.notifiers import NOTIFIERS, Notifier
from receiver.notifiers.gathering import Gathering
from receiver.notifiers.notice import Kind, Notice
from receiver.outbound import Outbound
from receiver.settings.receivers import Receiver

STOP_WITHIN = 3.0  #: seconds that what was gathered has at a stop
GATHERED_WITHIN = 60.0  #: seconds for all tries of what was gathered
GATHERED_TRIES = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Place:
    """A receiver, with what it is spared."""

    name: str
    notifiers: Mapping[str, Notifier]
    gathering: Gathering


class Receivers:
    """All of them, by name; ModuleNotFoundError or ConfigError when one cannot be made."""

    def __init__(
        self,
        receivers: Iterable[Receiver],
        outbound: Outbound,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._outbound = outbound
        self._clock = clock
        self._sleep = sleep
        self._places = {
            each.name: _Place(each.name, _notifiers(each), Gathering(each.max_per_minute)) for each in receivers
        }
        self._waiting: dict[str, asyncio.Task[None]] = {}  #: for room, by the receiver's name
        self._sending: set[asyncio.Task[None]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    async def tell(self, name: str, notice: Notice, *, said: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send it now, or have it wait for room; what each place answered, or that it was gathered.

        `said` holds the answers of an earlier try: these places are not told again.
        """
        place, said = self._places.get(name), {} if said is None else said
        if place is None:
            raise Permanent("there is no such receiver in amend.yml")
        if notice.kind is Kind.ASKED:
            place.gathering.note(self._clock())
        elif not said and (waiting := place.gathering.give(notice, self._clock())):
            self._wait_for_room(place)
            return {"gathered": waiting}
        await self._send(place, notice, said)
        return said

    async def close(self, *, within: float = STOP_WITHIN) -> None:
        """Send what was gathered, at once; what is not sent in time is told in the log."""
        for task in self._waiting.values():
            task.cancel()
        for place in self._places.values():
            if left := place.gathering.collect():
                self._begin(self._send_gathered(place, left))
        if not self._sending:
            return
        _, late = await asyncio.wait(self._sending, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _send(self, place: _Place, notice: Notice, said: dict[str, Any]) -> None:
        """To all places at once, so that one that hangs does not hold the others up."""

        async def one(kind: str, notifier: Notifier) -> None:
            said[kind] = dict(await notifier.send(notice, self._outbound))

        waiting = {kind: notifier for kind, notifier in place.notifiers.items() if kind not in said}
        ended = await asyncio.gather(*(one(*each) for each in waiting.items()), return_exceptions=True)
        if errors := [each for each in ended if isinstance(each, BaseException)]:
            raise _worth_most(errors)

    def _wait_for_room(self, place: _Place) -> None:
        task = self._waiting.get(place.name)
        if task is None or task.done():
            self._waiting[place.name] = asyncio.create_task(self._when_there_is_room(place))

    async def _when_there_is_room(self, place: _Place) -> None:
        while (due := place.gathering.due) is not None:
            await self._sleep(max(due - self._clock(), 0.0))
            if place.gathering.has_room(self._clock()) and (left := place.gathering.collect()):
                place.gathering.note(self._clock())
                self._begin(self._send_gathered(place, left))

    async def _send_gathered(self, place: _Place, notice: Notice) -> None:
        said: dict[str, Any] = {}
        try:
            async for attempt in stamina.retry_context(
                on=(Temporary, Uncertain), attempts=GATHERED_TRIES, timeout=GATHERED_WITHIN, wait_initial=1.0
            ):
                with attempt:
                    await self._send(place, notice, said)
        except AmendError as error:
            log.error("gathered messages were not told", receiver=place.name, messages=notice.count, error=str(error))
        except asyncio.CancelledError:
            log.error("gathered messages were not told", receiver=place.name, messages=notice.count, error="stopped")
            raise

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def _notifiers(receiver: Receiver) -> dict[str, Notifier]:
    return {kind: NOTIFIERS[kind](configured) for kind, configured in receiver.places.items()}


def _worth_most(errors: list[BaseException]) -> BaseException:
    """Of several errors one that tells them all, and is tried again if any of them is worth it."""
    for kind in (Temporary, Uncertain, Permanent):
        if not all(isinstance(each, Temporary | Uncertain | Permanent) for each in errors):
            break
        if any(isinstance(each, kind) for each in errors):
            return errors[0] if len(errors) == 1 else kind("; ".join(map(str, errors)))
    return next(each for each in errors if not isinstance(each, Temporary | Uncertain | Permanent))
