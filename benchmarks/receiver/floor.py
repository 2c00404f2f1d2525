"""`python -m benchmarks.receiver.floor PORT TARGET`: the least that could be called a receiver, which keeps nothing.

It reads the alerts of a delivery and, for those that are to be answered, sends a request before it says 200.
"""

import json
import sys

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def main(port: int, target: str) -> None:
    client = httpx.AsyncClient(trust_env=False)

    async def receive(request: Request) -> Response:
        for alert in json.loads(await request.body())["alerts"]:
            if alert["labels"]["alertname"] == "Bench":
                await client.post(f"{target}/act/{alert['labels']['service']}")
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        return Response()

    routes = [Route("/api/v1/alerts", receive, methods=["POST"]), Route("/-/ready", ready)]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
