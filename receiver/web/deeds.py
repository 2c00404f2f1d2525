"""What people and their programs change through the API: approve, reject and cancel runs, pause and resume everything.

Whoever asks needs a key with the role approver, or the pages' session and a body of JSON, which no form of another site
can send.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.approval import Answer
from receiver.approvals import NotAsked, Unanswerable, Unknown
from receiver.web import body
from receiver.web.auth import User, insist, key_of
from receiver.web.doors import Doors
from receiver.web.query import Query, number_in_path
from receiver.web.session import Sessions


@contextmanager
def refusals() -> Iterator[None]:
    """What people cannot decide, as an answer over HTTP."""
    try:
        yield
    except Unknown as error:
        raise HTTPException(404, str(error)) from error
    except NotAsked as error:
        raise HTTPException(403, str(error)) from error
    except Unanswerable as error:
        raise HTTPException(409, str(error)) from error


class Deeds:
    def __init__(self, doors: Doors, sessions: Sessions) -> None:
        self._doors = doors
        self._sessions = sessions

    def routes(self) -> list[Route]:
        return [
            self._route("runs/{id}/approve", self.approve),
            self._route("runs/{id}/reject", self.reject),
            self._route("runs/{id}/cancel", self.cancel),
            self._route("pause", self.pause),
            self._route("resume", self.resume),
        ]

    def _route(self, path: str, act: Callable[[Request, User], Awaitable[Response]]) -> Route:
        async def guarded(request: Request) -> Response:
            json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
            if key_of(request) is None and self._sessions.user(request) and not json:
                raise HTTPException(415, "send Content-Type: application/json with a session, or a key")
            user = insist(self._sessions.caller(request), "approver")
            Query(request)
            with refusals():
                return await act(request, user)

        return Route(f"/api/v1/{path}", guarded, methods=["POST"])

    async def approve(self, request: Request, user: User) -> Response:
        return await self._answer(request, user, Answer.APPROVED)

    async def reject(self, request: Request, user: User) -> Response:
        return await self._answer(request, user, Answer.REJECTED)

    async def _answer(self, request: Request, user: User, answer: Answer) -> Response:
        run_id, said = number_in_path(request), await body.texts(request, "comment", "digest")
        await self._doors.approvals.answer(
            run_id, answer, by=user.name, comment=said.get("comment", ""), digest=said.get("digest")
        )
        return JSONResponse({"status": answer, "run": run_id})

    async def cancel(self, request: Request, user: User) -> Response:
        run_id, said = number_in_path(request), await body.texts(request, "comment")
        await self._doors.approvals.cancel(run_id, by=user.name, **said)
        return JSONResponse({"status": "cancelled", "run": run_id})

    async def pause(self, request: Request, user: User) -> Response:
        said = await body.texts(request, "comment")
        changed = await self._doors.standstill.pause(user.name, said.get("comment", ""))
        return JSONResponse({"status": "paused", "changed": changed})

    async def resume(self, request: Request, user: User) -> Response:
        said = await body.texts(request, "comment")
        changed = await self._doors.standstill.resume(user.name, said.get("comment", ""))
        self._doors.wake()
        return JSONResponse({"status": "resumed", "changed": changed})
