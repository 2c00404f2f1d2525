"""What is done to a server, and what is counted: deliveries that it takes, and actions that reach a target.

__main__.py calls it once for each subject.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from statistics import quantiles
from typing import Final

from benchmarks.receiver.client import Connection, connections, post
from tests.bed.receiver import alert, message

PATH: Final = "/api/v1/alerts"
CONNECTIONS: Final = 32
SHARDS: Final = 50  #: playbooks; alerts of one wait for one another
NUMBERS: Final = {"z_score": "4.2", "value": "1.3", "mean": "0.4"}

_numbers = count()


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    token: str


@dataclass
class Target:
    """An HTTP server that notes when which alert's action arrived."""

    arrived: dict[str, float] = field(default_factory=dict)
    times: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, path: str) -> None:
        self.times += 1
        self.arrived.setdefault(path.rpartition("/")[2], time.perf_counter())
        self.news.set()


@asynccontextmanager
async def target(port: int) -> AsyncIterator[Target]:
    """Listening until the end of the block."""
    found = Target()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                found.take(head.split(b" ", 2)[1].decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield found


def deliveries(alerts: int, *, name: str, token: str) -> Iterator[tuple[list[str], bytes]]:
    """Groups of distinct alerts for ever: their names, and the request."""
    while True:
        numbers = [next(_numbers) for _ in range(alerts)]
        group = [
            alert(
                name,
                service=f"s{number}",
                shard=str(number % SHARDS),
                namespace="shop",
                job="orders",
                instance="10.0.0.1:8000",
                severity="high",
                annotations={**NUMBERS, "summary": "Latency of orders is higher than on a usual day"},
            )
            for number in numbers
        ]
        body = json.dumps(message(*group)).encode()
        yield [f"s{number}" for number in numbers], post(PATH, body, token=token)


async def accepts(server: Server, *, alerts: int, seconds: float) -> float:
    """Deliveries that were answered 200 in a second, of alerts that no playbook answers."""
    waiting = deliveries(alerts, name="Nobody", token=server.token)
    enough = max(200, 6000 / alerts) * seconds / 5
    ready = [next(waiting)[1] for _ in range(max(CONNECTIONS, int(enough)))]
    taken, began = 0, time.perf_counter()

    async with connections(server.host, server.port, CONNECTIONS) as opened:

        async def feed(connection: Connection, position: int) -> None:
            nonlocal taken
            mine = ready[position::CONNECTIONS]
            for request in mine:
                if time.perf_counter() > began + seconds:
                    return
                status = await connection.send(request)
                assert status == 200, status
                taken += 1

        await asyncio.gather(*(feed(each, position) for position, each in enumerate(opened)))
    return taken / (time.perf_counter() - began)


async def latencies(server: Server, target: Target, *, samples: int) -> list[float]:
    """Seconds from the POST of one alert to the arrival of its action, one at a time."""
    found = []
    async with connections(server.host, server.port, 1) as (connection,):
        for _, (names, request) in zip(range(samples), deliveries(1, name="Bench", token=server.token), strict=False):
            began = time.perf_counter()
            assert await connection.send(request) == 200
            found.append(await _arrival(target, names[0]) - began)
    return found


async def burst(server: Server, target: Target, *, alerts: int) -> float:
    """Seconds from the first POST of many at once to the arrival of the last action."""
    named = deliveries(1, name="Bench", token=server.token)
    ready = [next(named) for _ in range(alerts)]
    began = time.perf_counter()
    async with connections(server.host, server.port, CONNECTIONS) as opened:

        async def feed(connection: Connection, position: int) -> None:
            for _, request in ready[position::CONNECTIONS]:
                assert await connection.send(request) == 200

        await asyncio.gather(*(feed(each, position) for position, each in enumerate(opened)))
        return max([await _arrival(target, names[0]) for names, _ in ready]) - began


async def _arrival(target: Target, name: str) -> float:
    async with asyncio.timeout(120):
        while name not in target.arrived:
            target.news.clear()
            await target.news.wait()
    return target.arrived[name]


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
