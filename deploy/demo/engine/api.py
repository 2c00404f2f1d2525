"""The Docker Engine API, as far as docker clients, Prometheus' discovery and Amend's verbs ask for it.

Each path also works under `/v1.24` to `/v1.41`; answers and errors have Docker's shapes.
"""

import json
import re
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine import filters
from engine.engine import Engine
from engine.refusal import Refusal

API_VERSION = "1.41"
MIN_API_VERSION = "1.24"
VERSIONED = re.compile(r"/v(\d+)\.(\d+)(/.*)")
STDOUT = 1


def application(engine: Engine) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await engine.shut_down()

    app = Starlette(
        routes=[
            Route("/_ping", ping),
            Route("/version", version),
            Route("/info", info),
            *_container_routes(engine),
            *_network_routes(engine),
            *_image_routes(engine),
        ],
        lifespan=lifespan,
        exception_handlers={Refusal: refuse, 404: page_not_found, json.JSONDecodeError: bad_json},
    )
    return Versioned(app)


class Versioned:
    """Takes `/v1.41` off the path, and refuses a client that is newer or older than we are."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = VERSIONED.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            return await self.app(scope, receive, send)
        asked = (int(found[1]), int(found[2]))
        problem = _unsupported(asked)
        if problem:
            return await JSONResponse({"message": problem}, status_code=400)(scope, receive, send)
        return await self.app({**scope, "path": found[3]}, receive, send)


def _unsupported(asked: tuple[int, int]) -> str:
    said = f"client version {asked[0]}.{asked[1]}"
    if asked > _numbers(API_VERSION):
        return f"{said} is too new. Maximum supported API version is {API_VERSION}"
    if asked < _numbers(MIN_API_VERSION):
        return f"{said} is too old. Minimum supported API version is {MIN_API_VERSION}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


async def ping(_: Request) -> Response:
    headers = {"Api-Version": API_VERSION, "Ostype": "linux", "Docker-Experimental": "false"}
    return PlainTextResponse("OK", headers=headers)


async def version(_: Request) -> Response:
    return JSONResponse(
        {
            "Version": "20.10.0-demo",
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "Os": "linux",
            "Arch": "amd64",
            "Components": [{"Name": "Engine", "Version": "20.10.0-demo", "Details": {}}],
        }
    )


async def info(_: Request) -> Response:
    swarm = {"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": False}
    return JSONResponse({"Name": "demo", "OSType": "linux", "Driver": "process", "Swarm": swarm})


async def refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"message": error.message}, status_code=error.status)


async def page_not_found(_: Request, __: Exception) -> Response:
    return JSONResponse({"message": "page not found"}, status_code=404)


async def bad_json(_: Request, error: Exception) -> Response:
    return JSONResponse({"message": f"invalid JSON: {error}"}, status_code=400)


def _container_routes(engine: Engine) -> list[Route]:
    async def listing(request: Request) -> Response:
        wanted = filters.parse(request.query_params.get("filters"))
        # A wish for a status is a wish for stopped containers too, as in `docker ps --filter status=exited`.
        every = _flag(request, "all") or "status" in wanted
        return JSONResponse(
            [
                container.summary()
                for container in reversed(engine.containers.values())
                if (every or container.running) and filters.wants_container(wanted, container)
            ]
        )

    async def create(request: Request) -> Response:
        container = engine.create(request.query_params.get("name"), wanted=await request.json())
        return JSONResponse({"Id": container.id, "Warnings": []}, status_code=201)

    async def inspect(request: Request) -> Response:
        return JSONResponse(engine.container(_name(request)).inspect())

    async def start(request: Request) -> Response:
        return _changed(await engine.start(engine.container(_name(request))))

    async def stop(request: Request) -> Response:
        return _changed(await engine.stop(engine.container(_name(request)), grace=_grace(request)))

    async def restart(request: Request) -> Response:
        await engine.restart(engine.container(_name(request)), grace=_grace(request))
        return Response(status_code=204)

    async def kill(request: Request) -> Response:
        engine.kill(engine.container(_name(request)), number=_signal(request))
        return Response(status_code=204)

    async def wait(request: Request) -> Response:
        code = await engine.wait(engine.container(_name(request)))
        return JSONResponse({"StatusCode": code, "Error": None})

    async def rename(request: Request) -> Response:
        engine.rename(engine.container(_name(request)), request.query_params.get("name", ""))
        return Response(status_code=204)

    async def remove(request: Request) -> Response:
        await engine.remove(engine.container(_name(request)), force=_flag(request, "force"))
        return Response(status_code=204)

    async def logs(request: Request) -> Response:
        lines = engine.container(_name(request)).log.read_bytes().splitlines(keepends=True)
        tail = request.query_params.get("tail", "all")
        kept = b"".join(lines if tail == "all" else lines[-int(tail) :])
        frame = struct.pack(">BxxxL", STDOUT, len(kept)) + kept
        return Response(frame, media_type="application/vnd.docker.raw-stream")

    return [
        Route("/containers/json", listing),
        Route("/containers/create", create, methods=["POST"]),
        Route("/containers/{name}/json", inspect),
        Route("/containers/{name}/logs", logs),
        Route("/containers/{name}/start", start, methods=["POST"]),
        Route("/containers/{name}/stop", stop, methods=["POST"]),
        Route("/containers/{name}/restart", restart, methods=["POST"]),
        Route("/containers/{name}/kill", kill, methods=["POST"]),
        Route("/containers/{name}/wait", wait, methods=["POST"]),
        Route("/containers/{name}/rename", rename, methods=["POST"]),
        Route("/containers/{name}", remove, methods=["DELETE"]),
    ]


def _network_routes(engine: Engine) -> list[Route]:
    async def listing(request: Request) -> Response:
        wanted = filters.parse(request.query_params.get("filters"))
        return JSONResponse(
            [network.inspect() for network in engine.networks.values() if filters.wants_network(wanted, network)]
        )

    async def inspect(request: Request) -> Response:
        return JSONResponse(engine.network(_name(request)).inspect())

    async def create(request: Request) -> Response:
        wanted: dict[str, Any] = await request.json()
        network = engine.create_network(wanted["Name"], labels=wanted.get("Labels") or {})
        return JSONResponse({"Id": network.id, "Warning": ""}, status_code=201)

    async def remove(request: Request) -> Response:
        engine.remove_network(_name(request))
        return Response(status_code=204)

    return [
        Route("/networks", listing),
        Route("/networks/create", create, methods=["POST"]),
        Route("/networks/{name}", inspect),
        Route("/networks/{name}", remove, methods=["DELETE"]),
    ]


def _image_routes(engine: Engine) -> list[Route]:
    async def listing(_: Request) -> Response:
        return JSONResponse([image.summary() for image in engine.images.values()])

    async def inspect(request: Request) -> Response:
        return JSONResponse(engine.image(_name(request)).inspect())

    return [Route("/images/json", listing), Route("/images/{name:path}/json", inspect)]


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _changed(changed: bool) -> Response:
    return Response(status_code=204 if changed else 304)


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


def _grace(request: Request) -> float | None:
    seconds = request.query_params.get("t")
    if seconds is None:
        return None
    try:
        return float(seconds)
    except ValueError as error:
        raise Refusal(400, f'strconv.Atoi: parsing "{seconds}": invalid syntax') from error


def _signal(request: Request) -> int:
    name = request.query_params.get("signal", "SIGKILL")
    if name.isdigit():
        return int(name)
    try:
        return signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except KeyError as error:
        raise Refusal(400, f"Invalid signal: {name}") from error
