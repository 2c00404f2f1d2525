"""The pages: overview, runs, one run as a timeline, playbooks and the audit log, made on the server without scripts.

People sign in with an API key. What the pages show is what the API tells, in the words of `explain`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from receiver.approval import Approval
from receiver.audit import Broken, Entry, Kind
from receiver.conventions import NUMBERS
from receiver.playbook import Playbook
from receiver.run import Episode, Outcome, Reason, Run, Status
from receiver.standstill import Standing
from receiver.store import approvals, episodes, log, overview, runs
from receiver.store.overview import Delivery, Tally
from receiver.web.chain import Chain
from receiver.web.doors import Doors
from receiver.web.frame import Frame
from receiver.web.lists import AUDIT_FILTERS, RUN_FILTERS, page_of_entries, page_of_runs
from receiver.web.look import STATIC, link
from receiver.web.query import Page, Query, number_in_path
from receiver.web.session import Sessions
from receiver.web.sign_in import to_sign_in

DAY = timedelta(days=1)
LATEST = 8  #: rows of each list on the overview, and outcomes of a playbook
ENTRIES = 200  #: audit rows under a run

Runs = Sequence[tuple[Run, Episode | None]]


@dataclass(frozen=True)
class Overview:
    standing: Standing
    tally: Tally
    latest: Runs
    deliveries: Sequence[Delivery]


@dataclass(frozen=True)
class Story:
    """A run and all that belongs to it."""

    run: Run
    episode: Episode
    approval: Approval | None
    entries: Sequence[Entry]

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """What the alert measured when the run was decided; as it is now, while it waits to be."""
        known = self.run.state.get("numbers", self.episode.annotations)
        return [(name, known[name]) for name in NUMBERS if name in known]

    @property
    def verifying(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.kind == Kind.VERIFYING), None)

    @property
    def evidence(self) -> Any:
        return self.run.state.get("watch")


class Pages:
    def __init__(self, doors: Doors, sessions: Sessions, chain: Chain, frame: Frame) -> None:
        self._doors = doors
        self._sessions = sessions
        self._chain = chain
        self._frame = frame

    def routes(self) -> list[BaseRoute]:
        return [
            self._route("/", self.overview),
            self._route("/runs", self.runs),
            self._route("/runs/{id}", self.run),
            self._route("/audit", self.audit),
            self._route("/playbooks", self.playbooks),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]

    def _route(self, path: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
        async def guarded(request: Request) -> Response:
            # every role may look
            return await answer(request) if self._sessions.caller(request) else to_sign_in(request)

        return Route(path, guarded)

    async def overview(self, request: Request) -> Response:
        Query(request)
        since = self._doors.clock() - DAY

        def read(connection: sa.Connection) -> Overview:
            newest = runs.page(connection, limit=LATEST)
            return Overview(
                self._doors.standstill.standing(connection),
                overview.tally(connection, since=since),
                [(run, episodes.get(connection, run.episode_id)) for run in newest],
                overview.last_deliveries(connection, limit=LATEST),
            )

        return self._frame.show(request, "overview.html", shown=await self._doors.ledger.read(read))

    async def runs(self, request: Request) -> Response:
        query = Query(request, *RUN_FILTERS)
        page, alerts = await self._doors.ledger.read(partial(page_of_runs, query=query))
        names = {playbook.name for playbook in self._doors.playbooks()} | {query.text("playbook")}
        return self._frame.show(
            request,
            "runs.html",
            runs=[(run, alerts.get(run.episode_id)) for run in page.rows],
            labels=query.labels,
            older=_older(request, page),
            choices={
                "status": list(Status),
                "outcome": list(Outcome),
                "reason": list(Reason),
                "playbook": sorted(filter(None, names)),
            },
            chosen={name: query.text(name) or "" for name in RUN_FILTERS if name not in ("label", "cursor", "limit")},
        )

    async def run(self, request: Request) -> Response:
        Query(request)
        run_id = number_in_path(request)

        def read(connection: sa.Connection) -> Story | None:
            run = runs.get(connection, run_id)
            episode = episodes.get(connection, run.episode_id) if run else None
            if run is None or episode is None:
                return None
            asked = approvals.latest(connection, run_id)
            return Story(run, episode, asked, log.page(connection, limit=ENTRIES, run_id=run_id))

        story = await self._doors.ledger.read(read)
        if story is None:
            raise HTTPException(404, f"There is no run {run_id}.")
        token = self._doors.signer.approval(story.approval) if story.approval else ""
        return self._frame.show(
            request, "run.html", story=story, run=story.run, episode=story.episode, approval_token=token
        )

    async def audit(self, request: Request) -> Response:
        query = Query(request, *AUDIT_FILTERS)
        try:
            page = await self._doors.ledger.read(partial(page_of_entries, query=query))
            check = await self._chain.recent()
        except Broken:  # a row that cannot even be shown; the check says where
            page = Page((), None)
            check = await self._chain.check()
        return self._frame.show(
            request,
            "audit.html",
            entries=page.rows,
            older=_older(request, page),
            check=check,
            kinds=list(Kind),
            chosen={name: query.text(name) or "" for name in ("kind", "run", "episode")},
        )

    async def playbooks(self, request: Request) -> Response:
        Query(request)
        playbooks = self._doors.playbooks()

        def read(connection: sa.Connection) -> list[tuple[Playbook, list[Run]]]:
            return [(each, runs.page(connection, limit=LATEST, playbook=each.name)) for each in playbooks]

        return self._frame.show(request, "playbooks.html", playbooks=await self._doors.ledger.read(read))


def _older(request: Request, page: Page[Any]) -> str | None:
    """The address of the page after this one, with the same filters."""
    if page.next is None:
        return None
    given = {name: request.query_params.getlist(name) for name in request.query_params if name != "cursor"}
    return link(request.url.path, **given, cursor=page.next)
