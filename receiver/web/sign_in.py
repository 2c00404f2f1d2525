"""Signing in to the pages with an API key, and out again, by forms that carry a token of this browser.

The pages send strangers here.
"""

import asyncio
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.web.auth import Keys
from receiver.web.frame import Frame
from receiver.web.look import link
from receiver.web.query import Query
from receiver.web.session import TOKEN, Sessions

LARGEST = 16 * 1024  #: bytes of a form
WITHIN = 5.0  #: seconds for a form to arrive
CLOSE = {"Connection": "close"}


class SignIn:
    def __init__(self, keys: Keys, sessions: Sessions, frame: Frame) -> None:
        self._keys = keys
        self._sessions = sessions
        self._frame = frame

    def routes(self) -> list[Route]:
        return [
            Route("/sign-in", self.ask),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        return self._ask(request, after=_ours(Query(request, "next").text("next")), wrong=False)

    async def sign_in(self, request: Request) -> Response:
        form = await self._form(request)
        after = _ours(form.get("next"))
        user = self._keys.holder(form.get("key", "").strip())
        if user is None:
            return self._ask(request, after=after, wrong=True)
        response = RedirectResponse(after, 303)
        self._sessions.begin(response, user)
        return response

    async def sign_out(self, request: Request) -> Response:
        await self._form(request)
        response = RedirectResponse("/sign-in", 303)
        self._sessions.end(response)
        return response

    def _ask(self, request: Request, *, after: str, wrong: bool) -> Response:
        return self._frame.show(
            request, "sign-in.html", code=401 if wrong else 200, after=after, wrong=wrong, keys=bool(self._keys)
        )

    async def _form(self, request: Request) -> dict[str, str]:
        """The fields of a form that we showed to this browser; a stranger's body is read neither far nor long."""
        body = b""
        try:
            async with asyncio.timeout(WITHIN):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > LARGEST:
                        raise HTTPException(413, "that form is too large", CLOSE)
        except TimeoutError:
            raise HTTPException(408, "the form did not arrive in time", CLOSE) from None
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        if not self._sessions.owns(request, form.get(TOKEN, "")):
            raise HTTPException(403, "that form is out of date; go back, load the page again, and retry")
        return form


def to_sign_in(request: Request) -> Response:
    """The way of a stranger who asked for a page; it leads back to it."""
    query = request.url.query
    return RedirectResponse(link("/sign-in", next=f"{request.url.path}?{query}" if query else request.url.path), 303)


def _ours(path: str | None) -> str:
    """Where to go after signing in: a path of ours, whatever was asked for."""
    if path and path.isascii() and path.isprintable() and path.startswith("/") and path[1:2] not in ("/", "\\"):
        return path
    return "/"
