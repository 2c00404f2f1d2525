"""Alerts that a person makes up, over HTTP: tried without doing anything, or answered like any other.

A trial needs a key with the role approver; one that is answered needs an admin's, as it may act on anything that a
playbook may.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.alerts import Alert, Labels
from receiver.trigger import Trial
from receiver.web import body
from receiver.web.auth import Keys, insist
from receiver.web.doors import Doors
from receiver.web.query import Query

EXAMPLE = '{"labels": {"alertname": "…"}}'


class Posted(BaseModel):
    """An alert as a person makes it up."""

    model_config = ConfigDict(extra="forbid", strict=True)

    labels: Labels = Field(min_length=1)
    annotations: Labels = {}
    status: str = Field(default="firing", pattern="^(firing|resolved)$")
    enforce: bool = False


class Triggering:
    def __init__(self, doors: Doors, keys: Keys) -> None:
        self._doors = doors
        self._keys = keys

    def routes(self) -> list[Route]:
        return [Route("/api/v1/trigger", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        user = self._keys.insist(request, "approver")
        Query(request)
        posted = await body.posted(request, Posted, example=EXAMPLE)
        alert = self._alert(posted)
        if not posted.enforce:
            trials = await self._doors.trigger.tried(alert)
            missed = [{"playbook": playbook.name, "why": why} for playbook, why in self._doors.trigger.missed(alert)]
            tried = [_json(trial) for trial in trials]
            return JSONResponse({"status": "tried", "playbooks": tried, "missed": missed})
        insist(user, "admin")
        delivery = await self._doors.trigger.send(alert, by=user.name)
        return JSONResponse({"status": "stored", "delivery": delivery})

    def _alert(self, posted: Posted) -> Alert:
        now = self._doors.clock().isoformat()
        ended = {"endsAt": now} if posted.status == "resolved" else {}
        about = {"labels": posted.labels, "annotations": posted.annotations, "status": posted.status}
        return Alert.model_validate({**about, "startsAt": now, **ended})


def _json(trial: Trial) -> dict[str, Any]:
    no = trial.refusal
    return {
        "playbook": trial.playbook.name,
        "mode": trial.playbook.mode,
        "would": trial.would,
        "reason": no.reason if no else None,
        "detail": no.detail if no else trial.asks,
        "guards": list(trial.passed),
        "target": trial.target,
        "steps": [dict(step) for step in trial.steps],
        "on_failure": [dict(step) for step in trial.on_failure],
    }
