"""Buys: about `SHOP_RATE` orders a second, with the mild waves and gaps of real visitors.

Runs beside the services for as long as the demo does, and goes on when the shop fails.
"""

import asyncio
import math
import os
import random
import time
from contextlib import suppress

import httpx

from shop.addresses import url

#: Few that wait long keep the shop as busy as many that are quick, and need less of the machine.
RATE = float(os.environ.get("SHOP_RATE", "2"))
PATIENCE = 10.0  # seconds a visitor waits
AT_MOST = 200  # visitors at once: a shop that hangs must not make the load grow for ever


async def visit(shop: httpx.AsyncClient) -> None:
    bill = {"user": random.randrange(1000), "cents": random.randrange(100, 10_000)}
    # A failed order is the shop's trouble, and its metrics tell it.
    with suppress(httpx.HTTPError):
        await shop.post(f"{url('orders')}/orders", json=bill)


def pause() -> float:
    """Seconds until the next visitor: a Poisson stream whose rate swells and ebbs by a tenth each minute."""
    rate = RATE * (1 + 0.1 * math.sin(time.time() * 2 * math.pi / 60))
    return random.expovariate(rate)


async def main() -> None:
    places = asyncio.Semaphore(AT_MOST)
    places = asyncio.Semaphore(AT_MOST)
    # No kept connections: each visit looks the name up again and so finds new instances.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(timeout=PATIENCE, limits=limits, trust_env=False) as shop,
        asyncio.TaskGroup() as visitors,
    ):
        while True:
            await places.acquire()
            visitors.create_task(visit(shop)).add_done_callback(lambda _: places.release())
            await asyncio.sleep(pause())


if __name__ == "__main__":
    asyncio.run(main())
