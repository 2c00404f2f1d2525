"""The pages on which people decide: runs that wait for an approval, one of them by its link, and the pause switch.

A GET shows, and changes nothing; a POST carries the link and a token of the browser that the form was shown to. Who
decides is the one who signed in: the link alone is no key.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.approval import Answer, Approval
from receiver.run import Episode, Run
from receiver.store import approvals, episodes, runs
from receiver.web.auth import User, insist
from receiver.web.deeds import refusals
from receiver.web.doors import Doors
from receiver.web.frame import Frame
from receiver.web.query import Query
from receiver.web.session import Sessions
from receiver.web.sign_in import to_sign_in

MOST = 100  #: requests that are shown at once
ANSWERS = {"approve": Answer.APPROVED, "reject": Answer.REJECTED}


@dataclass(frozen=True)
class Asked:
    """A request to people, with what it is about."""

    approval: Approval
    token: str
    run: Run
    episode: Episode
    mine: bool  #: whoever looks may answer it


class Decisions:
    def __init__(self, doors: Doors, sessions: Sessions, frame: Frame) -> None:
        self._doors = doors
        self._sessions = sessions
        self._frame = frame

    def routes(self) -> list[Route]:
        return [
            Route("/approvals", self.pending),
            Route("/approvals/{token}", self.show),
            Route("/approvals/{token}", self.decide, methods=["POST"]),
            Route("/pause", self.pause, methods=["POST"]),
            Route("/resume", self.resume, methods=["POST"]),
        ]

    async def pending(self, request: Request) -> Response:
        user = self._sessions.caller(request)
        if user is None:
            return to_sign_in(request)
        Query(request)

        def read(connection: sa.Connection) -> list[Asked]:
            return [self._about(connection, each, user) for each in approvals.pending(connection, limit=MOST)]

        found = await self._doors.ledger.read(read)
        return self._frame.show(request, "approvals.html", waiting=found, most=MOST)

    async def show(self, request: Request) -> Response:
        user = self._sessions.caller(request)
        if user is None:
            return to_sign_in(request)
        Query(request)
        with refusals():
            approval = await self._doors.approvals.signed(request.path_params["token"])
        shown = await self._doors.ledger.read(lambda connection: self._about(connection, approval, user))
        return self._frame.show(request, "approval.html", asked=shown, now=self._doors.clock())

    async def decide(self, request: Request) -> Response:
        form, user = await self._form(request)
        answer = ANSWERS.get(form.get("decision", ""))
        if answer is None:
            raise HTTPException(400, "decide by one of the two buttons")
        with refusals():
            asked = await self._doors.approvals.signed(request.path_params["token"])
            await self._doors.approvals.answer(
                asked.run_id, answer, by=user.name, comment=form.get("comment", "").strip(), request=asked
            )
        return RedirectResponse(f"/runs/{asked.run_id}", 303)

    async def pause(self, request: Request) -> Response:
        form, user = await self._form(request)
        await self._doors.standstill.pause(user.name, form.get("comment", "").strip())
        return RedirectResponse("/", 303)

    async def resume(self, request: Request) -> Response:
        form, user = await self._form(request)
        await self._doors.standstill.resume(user.name, form.get("comment", "").strip())
        self._doors.wake()
        return RedirectResponse("/", 303)

    async def _form(self, request: Request) -> tuple[dict[str, str], User]:
        user = insist(self._sessions.user(request), "approver")
        return await self._sessions.form(request), user

    def _about(self, connection: sa.Connection, approval: Approval, user: User) -> Asked:
        run = runs.get(connection, approval.run_id)
        assert run is not None, "an approval goes when its run does"
        episode = episodes.get(connection, run.episode_id)
        assert episode is not None
        mine = user.may("approver") and self._doors.approvals.may_answer(user.name, approval)
        return Asked(approval, self._doors.signer.approval(approval), run, episode, mine)
