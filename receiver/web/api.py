"""The JSON API: what was decided and done, for `amend runs`, `explain`, `audit` and other programs.

It reads the ledger and changes nothing (deeds.py does); whoever asks needs a key with the role viewer, or the pages'
session.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from receiver.audit import Entry
from receiver.presence import ALIVE
from receiver.store import approvals, episodes, log, replicas, runs
from receiver.store.pause import Pause
from receiver.web import explain
from receiver.web.auth import insist
from receiver.web.chain import Chain
from receiver.web.doors import Doors
from receiver.web.lists import AUDIT_FILTERS, RUN_FILTERS, page_of_entries, page_of_runs
from receiver.web.openapi import document
from receiver.web.query import Page, Query, number_in_path, refused
from receiver.web.session import Sessions
from receiver.web.shapes import approval_json, episode_json, playbook_json, run_json

T = TypeVar("T")

BATCH = 1000  #: rows of an export that are read at once


class Api:
    def __init__(self, doors: Doors, sessions: Sessions, chain: Chain) -> None:
        self._doors = doors
        self._sessions = sessions
        self._chain = chain

    def routes(self) -> list[Route]:
        return [
            self._route("runs", self.runs),
            self._route("runs/{id}", self.run),
            self._route("episodes", self.episodes),
            self._route("episodes/{id}", self.episode),
            self._route("playbooks", self.playbooks),
            self._route("explain", self.explain),
            self._route("audit", self.audit),
            self._route("audit/verify", self.verify),
            self._route("audit/export", self.export),
            self._route("status", self.status),
            self._route("openapi.json", self.openapi),
        ]

    def _route(self, path: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
        async def guarded(request: Request) -> Response:
            insist(self._sessions.caller(request), "viewer")
            return await answer(request)

        return Route(f"/api/v1/{path}", guarded)

    async def runs(self, request: Request) -> Response:
        query = Query(request, *RUN_FILTERS)
        page, alerts = await self._read(partial(page_of_runs, query=query))
        rows = [run_json(run, alerts.get(run.episode_id)) for run in page.rows]
        return JSONResponse({"runs": rows, "next": page.next})

    async def run(self, request: Request) -> Response:
        Query(request)
        run_id = number_in_path(request)
        run = await self._read(partial(runs.get, run_id=run_id))
        if run is None:
            raise HTTPException(404, f"there is no run {run_id}; /api/v1/runs lists them")
        episode = await self._read(partial(episodes.get, episode_id=run.episode_id))
        annotations = {**(episode.annotations if episode else {}), **run.state.get("numbers", {})}
        asked = await self._read(partial(approvals.latest, run_id=run_id))
        more = {"annotations": annotations, "approval": approval_json(asked) if asked else None}
        return JSONResponse(run_json(run, episode) | more)

    async def episodes(self, request: Request) -> Response:
        query = Query(request, "open", "label", "limit", "cursor")
        if query.text("open") not in (None, "true"):
            raise refused("open: write open=true for episodes that still fire, or leave it out")
        fetch = partial(
            episodes.page,
            limit=query.limit + 1,
            before=query.before,
            open_only=query.text("open") == "true",
            labels=query.labels,
        )
        page = Page.cut(await self._read(fetch), query.limit, lambda episode: episode.id)
        return JSONResponse({"episodes": [episode_json(episode) for episode in page.rows], "next": page.next})

    async def episode(self, request: Request) -> Response:
        Query(request)
        episode_id = number_in_path(request)
        episode = await self._read(partial(episodes.get, episode_id=episode_id))
        if episode is None:
            raise HTTPException(404, f"there is no episode {episode_id}; /api/v1/episodes lists them")
        return JSONResponse(episode_json(episode))

    async def playbooks(self, request: Request) -> Response:
        Query(request)
        rows = [playbook_json(playbook) for playbook in self._doors.playbooks()]
        return JSONResponse({"playbooks": rows, "next": None})

    async def explain(self, request: Request) -> Response:
        query = Query(request, "run", "label")
        run_id, labels = query.number("run"), query.labels
        if (run_id is None) == (not labels):
            raise refused("say what to explain: run=ID, or label=NAME=VALUE as often as needed")
        if run_id is not None:
            told = await self._read(partial(explain.about_run, run_id=run_id))
            missing = f"there is no run {run_id}; /api/v1/runs lists them"
        else:
            told = await self._read(partial(explain.about_labels, labels=labels))
            missing = "no alert with these labels was received; see whether Alertmanager routes it to this receiver"
        if not told:
            raise HTTPException(404, missing)
        return JSONResponse({"explanations": [sentence.as_json() for sentence in told]})

    async def audit(self, request: Request) -> Response:
        page = await self._read(partial(page_of_entries, query=Query(request, *AUDIT_FILTERS)))
        return JSONResponse({"audit": [entry.as_json() for entry in page.rows], "next": page.next})

    async def verify(self, request: Request) -> Response:
        Query(request)
        check = await self._chain.check()
        if check.verdict is None:
            return JSONResponse({"verified": False, "problem": check.broken, "text": str(check)})
        verdict = check.verdict
        return JSONResponse(
            {
                "verified": True,
                "entries": verdict.entries,
                "head": verdict.head,
                "keyed": verdict.keyed,
                "text": str(check),
            }
        )

    async def export(self, request: Request) -> Response:
        Query(request)
        first = await self._batch(0)  # what cannot be read is a 503, not half an export
        headers = {"Content-Disposition": 'attachment; filename="amend-audit.jsonl"'}
        return StreamingResponse(self._lines(first), media_type="application/jsonl", headers=headers)

    async def status(self, request: Request) -> Response:
        Query(request)
        counted = await self._read(runs.counts)
        last = await self._read(partial(log.page, limit=1))
        now = self._doors.clock()
        standing = await self._read(self._doors.standstill.standing)
        others = await self._read(partial(replicas.seen_within, within=ALIVE, at=now))
        settings = self._doors.settings
        playbooks = self._doors.playbooks()
        by_status: dict[str, int] = {}
        by_outcome: dict[str, int] = {}
        for (status, outcome), count in counted.items():
            by_status[status] = by_status.get(status, 0) + count
            by_outcome[outcome] = by_outcome.get(outcome, 0) + count
        return JSONResponse(
            {
                "status": "ok",
                "version": version("amend"),
                "replica": self._doors.replica,
                "config_hash": self._doors.config_hash(),
                "now": now.isoformat(),
                "replicas": [
                    {"name": each.name, "config_hash": each.config, "started_at": each.started_at.isoformat()}
                    for each in others
                ],
                "playbooks": {
                    "all": len(playbooks),
                    "enforced": sum(playbook.enforced and playbook.enabled for playbook in playbooks),
                },
                "paused": _pause_json(standing.pause) if standing.pause else None,
                "breaker_open_until": standing.breaker_open_until and standing.breaker_open_until.isoformat(),
                "runs": {"by_status": by_status, "by_outcome": by_outcome},
                "audit": {"entries": last[0].seq, "head": last[0].hash} if last else {"entries": 0, "head": None},
                "webhook_insecure": settings.auth.webhook.insecure,
                "prometheus": settings.prometheus is not None,
            }
        )

    async def openapi(self, request: Request) -> Response:
        Query(request)
        return JSONResponse(document())

    async def _lines(self, batch: list[Entry]) -> AsyncIterator[str]:
        while batch:
            yield "".join(f"{json.dumps(entry.as_json())}\n" for entry in batch)
            batch = await self._batch(batch[-1].seq)

    async def _batch(self, after: int) -> list[Entry]:
        return await self._read(lambda connection: list(islice(log.entries(connection, after=after), BATCH)))

    async def _read(self, query: Callable[[sa.Connection], T]) -> T:
        return await self._doors.ledger.read(query)


def _pause_json(pause: Pause) -> dict[str, Any]:
    return {"by": pause.by, "since": pause.since.isoformat(), "why": pause.why}
