"""Signing in to the pages with an API key, and out again, by forms that carry a token of this browser.

The pages send strangers here.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.web.auth import Keys
from receiver.web.frame import Frame
from receiver.web.look import link
from receiver.web.query import Query
from receiver.web.session import Sessions


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
        form = await self._sessions.form(request)
        after = _ours(form.get("next"))
        user = self._keys.holder(form.get("key", "").strip())
        if user is None:
            return self._ask(request, after=after, wrong=True)
        response = RedirectResponse(after, 303)
        self._sessions.begin(response, user)
        return response

    async def sign_out(self, request: Request) -> Response:
        await self._sessions.form(request)
        response = RedirectResponse("/sign-in", 303)
        self._sessions.end(response)
        return response

    def _ask(self, request: Request, *, after: str, wrong: bool) -> Response:
        return self._frame.show(
            request, "sign-in.html", code=401 if wrong else 200, after=after, wrong=wrong, keys=bool(self._keys)
        )


def to_sign_in(request: Request) -> Response:
    """The way of a stranger who asked for a page; it leads back to it."""
    query = request.url.query
    return RedirectResponse(link("/sign-in", next=f"{request.url.path}?{query}" if query else request.url.path), 303)


def _ours(path: str | None) -> str:
    """Where to go after signing in: a path of ours, whatever was asked for."""
    if path and path.isascii() and path.isprintable() and path.startswith("/") and path[1:2] not in ("/", "\\"):
        return path
    return "/"
