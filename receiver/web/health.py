"""`/-/healthy`, `/-/ready`, `/-/reload` and `/metrics`, with the meanings that Prometheus gave them.

Load balancers, supervisors and Prometheus call them; none of them waits for long on anything.
"""

import asyncio
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from receiver.errors import ConfigError, ConfigErrors
from receiver.store import StoreError, runs
from receiver.web.auth import Keys
from receiver.web.doors import Doors

STORE_ANSWERS_WITHIN = 2.0  #: seconds


class Health:
    def __init__(self, doors: Doors, keys: Keys) -> None:
        self._doors = doors
        self._keys = keys

    def routes(self) -> list[Route]:
        return [
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
            Route("/-/reload", self.reload, methods=["POST"]),
            Route("/metrics", self.metrics),
        ]

    async def healthy(self, _: Request) -> Response:
        return PlainTextResponse("Amend is healthy.\n")

    async def ready(self, _: Request) -> Response:
        try:
            async with asyncio.timeout(STORE_ANSWERS_WITHIN):
                await self._doors.ledger.read(partial(runs.get, run_id=0))
        except TimeoutError:
            return PlainTextResponse("Amend is not ready: the store does not answer.\n", 503)
        except StoreError as error:
            return PlainTextResponse(f"Amend is not ready: {error}.\n", 503)
        return PlainTextResponse("Amend is ready.\n")

    async def reload(self, request: Request) -> Response:
        # a key, not a session: no form of another site can send one
        user = self._keys.insist(request, "admin")
        try:
            await self._doors.reload(user.name)
        except (ConfigError, ConfigErrors) as error:
            said = f"not reloaded, the old configuration stays in force:\n{error}"
            return JSONResponse({"status": "error", "error": said}, 400)
        return JSONResponse({"status": "reloaded", "config_hash": self._doors.config_hash()})

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
