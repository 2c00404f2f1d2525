"""Deployment markers over HTTP: whoever deploys posts one, and anybody may see which are known.

Posting needs a key with the role approver, as a marker decides what a rollback goes back to.
"""

import json
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.alerts import Moment
from receiver.marker import Marker, MarkerStatus
from receiver.store import deployments
from receiver.web import body
from receiver.web.auth import Keys, insist
from receiver.web.doors import Doors
from receiver.web.query import Page, Query
from receiver.web.session import Sessions

AHEAD = timedelta(minutes=5)  #: so much may somebody else's clock be ahead of ours


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable, without blanks around it")
    return text


Word = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_printable)]


OF_PIPELINES = {
    "success": MarkerStatus.SUCCEEDED,
    "in_progress": MarkerStatus.STARTED,
    "running": MarkerStatus.STARTED,
    "failure": MarkerStatus.FAILED,
    "error": MarkerStatus.FAILED,
}
"""What GitHub, GitLab and Argo call it."""


def _status(value: object) -> object:
    return OF_PIPELINES.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _text(value: object) -> object:
    """A number or a truth as JSON writes it."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


EXAMPLE = '{"service": "shop/orders", "version": "1.4.2"}'


class Posted(BaseModel):
    """A marker as it comes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    service: Word
    version: Word
    status: Annotated[MarkerStatus, Field(strict=False), BeforeValidator(_status)] = MarkerStatus.SUCCEEDED
    timestamp: Annotated[Moment, Field(strict=False)] | None = None  #: ISO 8601, or seconds since 1970
    metadata: dict[Word, Annotated[str, BeforeValidator(_text), Field(max_length=1000), AfterValidator(_printable)]] = (
        Field(default={}, max_length=50)
    )


class Markers:
    def __init__(self, doors: Doors, keys: Keys, sessions: Sessions) -> None:
        self._doors = doors
        self._keys = keys
        self._sessions = sessions

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/deployments", self.post, methods=["POST"]),
            Route("/api/v1/deployments", self.list, methods=["GET"]),
        ]

    async def post(self, request: Request) -> Response:
        user = self._keys.insist(request, "approver")
        Query(request)
        posted = await body.posted(request, Posted, example=EXAMPLE)
        now = self._doors.clock()
        at = posted.timestamp or now
        if at > now + AHEAD:
            raise HTTPException(400, f"timestamp: {at.isoformat()} has not come yet; it is {now.isoformat()} here")
        marker = Marker(
            service=posted.service,
            version=posted.version,
            status=posted.status,
            at=at,
            by=user.name,
            metadata=posted.metadata,
        )
        stored = await self._doors.deployments.mark(marker)
        self._doors.wake()
        return JSONResponse({"status": "stored", "deployment": stored})

    async def list(self, request: Request) -> Response:
        insist(self._sessions.caller(request), "viewer")
        query = Query(request, "service", "limit", "cursor")
        ask = partial(deployments.page, limit=query.limit + 1, before=query.before, service=query.text("service"))
        page = Page.cut(await self._doors.ledger.read(ask), query.limit, lambda marker: marker.id)
        return JSONResponse({"deployments": [_json(marker) for marker in page.rows], "next": page.next})


def _json(marker: Marker) -> dict[str, Any]:
    return {
        "id": marker.id,
        "service": marker.service,
        "version": marker.version,
        "status": marker.status,
        "timestamp": marker.at.isoformat(),
        "by": marker.by,
        "metadata": dict(marker.metadata),
    }
