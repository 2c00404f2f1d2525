"""The body of a request that people or their programs send: read neither far nor long, and only what we take.

Alertmanager's deliveries are larger and have rules of their own; the webhook reads them itself.
"""

import asyncio
import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

Model = TypeVar("Model", bound=BaseModel)

LARGEST = 16 * 1024  #: bytes
LONGEST = 1000  #: characters of one text: it stands in the audit log, and in the reason of each run that it holds
WITHIN = 5.0  #: seconds to arrive
CLOSE = {"Connection": "close"}


async def read(request: Request, *, largest: int = LARGEST) -> bytes:
    """413 or 408 when it is too large or too slow."""
    body = b""
    try:
        async with asyncio.timeout(WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > largest:
                    raise HTTPException(413, f"the body is larger than {largest} bytes", CLOSE)
    except TimeoutError:
        raise HTTPException(408, "the body did not arrive in time", CLOSE) from None
    return body


async def form(request: Request) -> dict[str, str]:
    """The fields of a form."""
    fields = dict(parse_qsl((await read(request)).decode("utf-8", "replace")))
    for name, text in fields.items():
        _insist(name, text)
    return fields


async def texts(request: Request, *known: str) -> dict[str, str]:
    """A JSON object of texts, all of which may be left out, as may the body; 400 for anything else."""
    found = await object_(request)
    for name, value in found.items():
        if name not in known:
            raise HTTPException(400, f'unknown key "{name}"; known here: {", ".join(known)}')
        _insist(name, value)
    return {name: value.encode("utf-8", "replace").decode() for name, value in found.items()}


async def object_(request: Request) -> dict[str, Any]:
    """A JSON object, or an empty one where there is no body; 400 for anything else."""
    body = await read(request)
    if not body.strip():
        return {}
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise HTTPException(400, 'the body is not an object; send for example {"comment": "…"}')
    return found


async def posted(request: Request, model: type[Model], *, example: str) -> Model:
    """A JSON object as this model; 400 with what is wrong, and an example, for anything else."""
    given = await object_(request)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the body"
        said = f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}; send for example {example}"
        raise HTTPException(400, said) from error


def _insist(name: str, value: Any) -> None:
    if not isinstance(value, str) or "\x00" in value:
        raise HTTPException(400, f'"{name}" must be a text without NUL')
    if len(value) > LONGEST:
        raise HTTPException(400, f'"{name}" has {len(value)} characters; at most {LONGEST} are taken')
