"""What the three services share: `/metrics`, `/health`, `/faults`, and each business request timed, counted, broken.

orders, users and payments call `application` with their own routes and `serve` the result.
"""

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop.addresses import HOST, PORT
from shop.faults import BadFault, Faults

#: Requests worked on at once, as in a pool of threads or database connections: more load than that must wait its turn.
PLACES = int(os.environ.get("SHOP_PLACES", "2"))

BUILD = Gauge("shop_build_info", "1, with the version that runs; the image says which.", ["version"])
BUILD.labels(os.environ.get("SHOP_VERSION", "")).set(1)

REQUESTS = Counter("http_requests_total", "HTTP requests answered, by status code.", ["code"])
DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request's first byte to its answer.",
    buckets=(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10),
)

WAITING = Gauge("http_requests_waiting", "HTTP requests waiting for a place to be worked on.")


def application(business: Sequence[Route]) -> Starlette:
    faults = Faults.of_this_version()
    REQUESTS.labels("500")  # from the start, so that a ratio of errors is 0 and not missing

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        leak = asyncio.create_task(faults.run_leak())
        yield
        leak.cancel()
        with suppress(asyncio.CancelledError):
            await leak

    async def inject(request: Request) -> Response:
        try:
            faults.inject(await request.body())
        except BadFault as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse(vars(faults))

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/metrics", metrics),
            Route("/health", health),
            Route("/faults", inject, methods=["POST"]),
            Mount("/", Measured(Starlette(routes=business), faults=faults)),
        ],
    )


def serve(app: Starlette) -> None:
    # Two seconds: a request that a fault has slowed down must not hold up the restart that is to mend it.
    uvicorn.run(app, host=HOST, port=PORT, log_level="warning", timeout_graceful_shutdown=2)


async def work(median: float) -> None:
    """Stands for a database: `median` seconds, mostly a little less or more, rarely a lot more."""
    await asyncio.sleep(random.lognormvariate(math.log(median), 0.35))


async def metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def health(_: Request) -> Response:
    return PlainTextResponse("ok")


class Measured:
    """Times and counts what the business answers, faults included, as a client would."""

    def __init__(self, app: ASGIApp, *, faults: Faults) -> None:
        self.app = app
        self.faults = faults
        self.places = asyncio.Semaphore(PLACES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code = "499"  # the visitor left before the answer began

        async def sending(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        started = time.perf_counter()
        await self.faults.delay()
        broken = JSONResponse({"error": "injected"}, status_code=500)
        answer = broken if self.faults.strikes() else self.app
        try:
            with WAITING.track_inprogress():
                await self.places.acquire()
            try:
                with suppress(ClientDisconnect):
                    await answer(scope, receive, sending)
            finally:
                self.places.release()
        finally:
            DURATION.observe(time.perf_counter() - started)
            REQUESTS.labels(code).inc()
