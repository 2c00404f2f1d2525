"""The web application: every route, the headers that every answer carries, and what an error looks like.

`serve` runs it under uvicorn. It never redirects a delivery and answers every mistake in JSON, or as a page.
"""

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.audit import Broken
from receiver.store import StoreError
from receiver.web.api import Api
from receiver.web.auth import Keys
from receiver.web.chain import Chain
from receiver.web.decisions import Decisions
from receiver.web.deeds import Deeds
from receiver.web.doors import Doors
from receiver.web.frame import Frame
from receiver.web.health import Health
from receiver.web.markers import Markers
from receiver.web.pages import Pages
from receiver.web.session import Sessions
from receiver.web.sign_in import SignIn
from receiver.web.slack import Slack
from receiver.web.trigger import Triggering
from receiver.web.webhook import Webhook

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(doors: Doors) -> Starlette:
    keys = Keys(doors.settings.auth.api_keys)
    sessions = Sessions(doors.settings, keys, doors.signer, doors.clock)
    chain = Chain(doors.ledger, doors.settings, doors.clock)
    frame = Frame(doors, sessions)

    async def refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if _for_people(request):
            return frame.error(request, error)
        return JSONResponse({"status": "error", "error": error.detail}, error.status_code, error.headers)

    async def store_away(request: Request, error: Exception) -> Response:
        return await refusal(request, HTTPException(503, str(error)))

    async def tampered(request: Request, error: Exception) -> Response:
        return await refusal(request, HTTPException(500, f"the audit log is broken: {error}"))

    app = Starlette(
        routes=[
            *Webhook(doors).routes(),
            *Health(doors, keys).routes(),
            *Api(doors, sessions, chain).routes(),
            *Deeds(doors, sessions).routes(),
            *Triggering(doors, keys).routes(),
            *Markers(doors, keys, sessions).routes(),
            *Decisions(doors, sessions, frame).routes(),
            *Slack(doors).routes(),
            *Pages(doors, sessions, chain, frame).routes(),
            *SignIn(keys, sessions, frame).routes(),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers={HTTPException: refusal, StoreError: store_away, Broken: tampered, Exception: _fault},
    )
    # A redirected POST becomes an empty GET, which Alertmanager takes for success: the alert would be lost.
    app.router.redirect_slashes = False
    return app


class _Headers:
    """Puts HEADERS on every answer that does not set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _for_people(request: Request) -> bool:
    machine = request.url.path.startswith(("/api/", "/-/", "/metrics"))
    return not machine and "text/html" in request.headers.get("accept", "")


async def _fault(_: Request, __: Exception) -> Response:
    # made outside _Headers, and the exception goes on to the log
    return JSONResponse({"status": "error", "error": "a fault of Amend's own; its log tells more"}, 500, HEADERS)
