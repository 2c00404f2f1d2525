"""What is looked at again and again for as long as a receiver runs: one loop, so that each part is only its look."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from receiver.errors import AmendError

log = structlog.get_logger(__name__)


async def repeat(look: Callable[[], Awaitable[object]], *, every: float, told: str, after: float = 0.0) -> None:
    """Look `after` so many seconds, then `every` so many, until cancelled.

    A look that fails is told in the log by these words; the next one may succeed.
    """
    await asyncio.sleep(after)
    while True:
        try:
            await look()
        except (AmendError, OSError) as error:
            log.error(told, error=str(error))
        await asyncio.sleep(every)
