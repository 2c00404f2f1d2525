"""The words of the OpenAPI document: how objects, lists, parameters and answers are written, and the nouns of the API.

openapi.py puts paths together from them.
"""

from collections.abc import Iterable
from typing import Any

from receiver.audit import Kind
from receiver.marker import MarkerStatus
from receiver.run import Outcome, Reason, Status
from receiver.web.query import MOST, USUAL

Schema = dict[str, Any]


STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer", "minimum": 1}
MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}


def fields(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def many(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def one_of(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(words)}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str, of: str) -> Schema:
    return fields({name: many(ref(of)), "next": {"type": ["string", "null"], "description": "cursor of what follows"}})


def answers(schema: Schema | None, *errors: int, media_type: str = "application/json") -> Schema:
    good: Schema = {"description": "OK"}
    if schema is not None:
        good["content"] = {media_type: {"schema": schema}}
    bad = {str(code): {"description": ERRORS[code], "content": as_json(ref("Error"))} for code in errors}
    return {"200": good, **bad}


def as_json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def parameter(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def get(summary: str, schema: Schema, *parameters: Schema, errors: tuple[int, ...] = (400, 401, 503)) -> Schema:
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": answers(schema, *errors)}}


def post(summary: str, status: Schema, *texts: str, path: tuple[Schema, ...] = (), errors: tuple[int, ...]) -> Schema:
    """What an approver does, with texts that may be left out."""
    return {
        "post": {
            "summary": f"{summary} Needs the role approver.",
            "parameters": list(path),
            "requestBody": {"content": as_json(fields(dict.fromkeys(texts, STRING)))},
            "responses": answers(status, *errors),
        }
    }


ERRORS = {
    400: "A mistake in the request; `error` says which, and the way out.",
    401: "No credentials, or wrong ones.",
    403: "The key's role does not suffice.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It cannot be decided any more, or it is another question by now; `error` says which.",
    413: "The body is larger than server.max_body.",
    415: "The body is not application/json, or it is compressed.",
    503: "The store did not answer or could not store, or the body did not arrive in time; try again.",
}

LABELS: Schema = {"type": "object", "additionalProperties": STRING}
LABEL = {
    **parameter("label", many(STRING), "NAME=VALUE that the alert must carry; may be repeated"),
    "explode": True,
}
PAGING = (
    parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}, "rows of one answer"),
    parameter("cursor", STRING, "`next` of the page before"),
)
ID: Schema = {"name": "id", "in": "path", "required": True, "schema": NUMBER}

STEP = fields(
    {
        "phase": one_of(["steps", "on_failure"]),
        "position": {"type": "integer"},
        "verb": STRING,
        "status": one_of(["intent", "done", "failed", "unknown"]),
        "arguments": {"type": "object"},
        "started_at": MOMENT,
        "finished_at": MOMENT,
        "result": {"type": "object"},
        "error": STRING,
    }
)
RUN = fields(
    {
        "id": NUMBER,
        "episode": NUMBER,
        "playbook": STRING,
        "attempt": NUMBER,
        "mode": one_of(["observe", "enforce"]),
        "status": one_of(Status),
        "outcome": one_of(Outcome),
        "reason": {"enum": [*Reason, None]},
        "detail": STRING,
        "workload": {"type": ["string", "null"]},
        "labels": LABELS,
        "annotations": {**LABELS, "description": "of one run alone"},
        "approval": {"description": "of one run alone: what people were asked, and what they said"},
        **dict.fromkeys(("created_at", "updated_at", "acted_at", "finished_at", "wake_at"), MOMENT),
        "guards": {"type": "array", "description": "those that allowed it, in their order"},
        "target": {"description": "the workload as it was found"},
        "evidence": {"description": "what verification saw last"},
        "steps": many(ref("Step")),
    }
)
EPISODE = fields(
    {
        "id": NUMBER,
        "open": {"type": "boolean"},
        "alertname": STRING,
        "labels": LABELS,
        "annotations": LABELS,
        "source": STRING,
        "alert_key": STRING,
        "fingerprint": STRING,
        **dict.fromkeys(("starts_at", "last_starts_at", "opened_at", "last_seen_at", "ends_at", "closed_at"), MOMENT),
        "closing": {"enum": ["resolved", "lost", "orphaned", None]},
    }
)
PLAYBOOK = fields(
    {
        **dict.fromkeys(("name", "description", "place", "mode", "on", "cooldown", "max_age"), STRING),
        "enabled": {"type": "boolean"},
        "matchers": many(STRING),
        "condition": {"type": ["string", "null"]},
        "target": {"description": "as the playbook writes it"},
        "max_attempts": fields({"count": NUMBER, "within": STRING}),
        "active_time_intervals": many(STRING),
        "mute_time_intervals": many(STRING),
        "approval": {"type": ["string", "null"], "description": "when it asks people"},
        "steps": many(STRING),
        "verified": {"type": "boolean"},
        "on_failure": many(STRING),
    }
)
ENTRY = fields(
    {
        "seq": NUMBER,
        "at": MOMENT,
        "kind": one_of(Kind),
        "actor": STRING,
        "episode": {"type": ["integer", "null"]},
        "run": {"type": ["integer", "null"]},
        "data": {"type": "object"},
        "keyed": {"type": "boolean"},
        "prev": STRING,
        "hash": STRING,
    }
)
DEPLOYMENT = fields(
    {
        "id": NUMBER,
        **dict.fromkeys(("service", "version", "by"), STRING),
        "status": one_of(MarkerStatus),
        "timestamp": MOMENT,
        "metadata": LABELS,
    }
)
SENTENCE = fields({"at": MOMENT, "run": {"type": ["integer", "null"]}, "episode": {"type": "integer"}, "text": STRING})
