"""The OpenAPI document of every door that is not a page; `GET /api/v1/openapi.json` shows it.

A test holds it against the routes: neither has what the other lacks.
"""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from receiver.audit import Kind
from receiver.marker import MarkerStatus
from receiver.run import Outcome, Reason, Status
from receiver.web.query import MOST, USUAL

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer", "minimum": 1}
MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}


def document() -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Amend",
            "version": version("amend"),
            "description": "Answers Alertmanager's alerts by playbooks, checks that it helped, and keeps the books.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}, {"session": []}],
        "paths": PATHS,
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key of amend.yml."},
                "session": {"type": "apiKey", "in": "cookie", "name": "amend_session"},
                "webhook_bearer": {"type": "http", "scheme": "bearer"},
                "webhook_basic": {"type": "http", "scheme": "basic"},
                "slack": {"type": "apiKey", "in": "header", "name": "X-Slack-Signature"},
            },
            "schemas": {
                "Error": _object({"status": {"const": "error"}, "error": STRING}),
                "Run": RUN,
                "Step": STEP,
                "Episode": EPISODE,
                "Playbook": PLAYBOOK,
                "Entry": ENTRY,
                "Deployment": DEPLOYMENT,
            },
        },
    }


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _words(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(words)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(name: str, of: str) -> Schema:
    return _object(
        {name: _list(_ref(of)), "next": {"type": ["string", "null"], "description": "cursor of what follows"}}
    )


def _answers(schema: Schema | None, *errors: int, media_type: str = "application/json") -> Schema:
    good: Schema = {"description": "OK"}
    if schema is not None:
        good["content"] = {media_type: {"schema": schema}}
    bad = {str(code): {"description": ERRORS[code], "content": _json(_ref("Error"))} for code in errors}
    return {"200": good, **bad}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _filter(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _get(summary: str, schema: Schema, *parameters: Schema, errors: tuple[int, ...] = (400, 401, 503)) -> Schema:
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": _answers(schema, *errors)}}


def _post(summary: str, status: Schema, *texts: str, path: tuple[Schema, ...] = (), errors: tuple[int, ...]) -> Schema:
    """What an approver does, with texts that may be left out."""
    return {
        "post": {
            "summary": f"{summary} Needs the role approver.",
            "parameters": list(path),
            "requestBody": {"content": _json(_object(dict.fromkeys(texts, STRING)))},
            "responses": _answers(status, *errors),
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
    **_filter("label", _list(STRING), "NAME=VALUE that the alert must carry; may be repeated"),
    "explode": True,
}
PAGING = (
    _filter("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}, "rows of one answer"),
    _filter("cursor", STRING, "`next` of the page before"),
)
ID: Schema = {"name": "id", "in": "path", "required": True, "schema": NUMBER}

STEP = _object(
    {
        "phase": _words(["steps", "on_failure"]),
        "position": {"type": "integer"},
        "verb": STRING,
        "status": _words(["intent", "done", "failed", "unknown"]),
        "arguments": {"type": "object"},
        "started_at": MOMENT,
        "finished_at": MOMENT,
        "result": {"type": "object"},
        "error": STRING,
    }
)
RUN = _object(
    {
        "id": NUMBER,
        "episode": NUMBER,
        "playbook": STRING,
        "attempt": NUMBER,
        "mode": _words(["observe", "enforce"]),
        "status": _words(Status),
        "outcome": _words(Outcome),
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
        "steps": _list(_ref("Step")),
    }
)
EPISODE = _object(
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
PLAYBOOK = _object(
    {
        **dict.fromkeys(("name", "description", "place", "mode", "on", "cooldown", "max_age"), STRING),
        "enabled": {"type": "boolean"},
        "matchers": _list(STRING),
        "condition": {"type": ["string", "null"]},
        "target": {"description": "as the playbook writes it"},
        "max_attempts": _object({"count": NUMBER, "within": STRING}),
        "active_time_intervals": _list(STRING),
        "mute_time_intervals": _list(STRING),
        "approval": {"type": ["string", "null"], "description": "when it asks people"},
        "steps": _list(STRING),
        "verified": {"type": "boolean"},
        "on_failure": _list(STRING),
    }
)
ENTRY = _object(
    {
        "seq": NUMBER,
        "at": MOMENT,
        "kind": _words(Kind),
        "actor": STRING,
        "episode": {"type": ["integer", "null"]},
        "run": {"type": ["integer", "null"]},
        "data": {"type": "object"},
        "keyed": {"type": "boolean"},
        "prev": STRING,
        "hash": STRING,
    }
)
DEPLOYMENT = _object(
    {
        "id": NUMBER,
        **dict.fromkeys(("service", "version", "by"), STRING),
        "status": _words(MarkerStatus),
        "timestamp": MOMENT,
        "metadata": LABELS,
    }
)
SENTENCE = _object({"at": MOMENT, "run": {"type": ["integer", "null"]}, "episode": {"type": "integer"}, "text": STRING})

ACTING = (400, 401, 403, 408, 413, 415, 503)
DECIDING = (*ACTING, 404, 409)

PATHS: Schema = {
    "/api/v1/alerts": {
        "post": {
            "summary": "Alertmanager's webhook, version 4: answered 200 only when it is on disk.",
            "security": [{"webhook_bearer": []}, {"webhook_basic": []}],
            "requestBody": {"required": True, "content": _json({"type": "object"})},
            "responses": _answers(
                _object({"status": {"const": "stored"}, "delivery": NUMBER}), 400, 401, 413, 415, 503
            ),
        }
    },
    "/api/v1/runs": _get(
        "Runs, newest first.",
        _page("runs", "Run"),
        _filter("status", _words(Status), "where it stands"),
        _filter("outcome", _words(Outcome), "what came of it"),
        _filter("reason", _words(Reason), "why it did not act"),
        _filter("playbook", STRING, "of this playbook"),
        _filter("workload", STRING, "on this workload, by its key"),
        _filter("episode", NUMBER, "of this episode"),
        LABEL,
        *PAGING,
    ),
    "/api/v1/runs/{id}": _get("One run with its steps.", _ref("Run"), ID, errors=(401, 404, 503)),
    "/api/v1/runs/{id}/approve": _post(
        "Agree to what a run would do. `digest` is that of the run's `approval`: what you saw.",
        _object({"status": {"const": "approved"}, "run": NUMBER}),
        "comment",
        "digest",
        path=(ID,),
        errors=DECIDING,
    ),
    "/api/v1/runs/{id}/reject": _post(
        "Say no to what a run would do.",
        _object({"status": {"const": "rejected"}, "run": NUMBER}),
        "comment",
        "digest",
        path=(ID,),
        errors=DECIDING,
    ),
    "/api/v1/runs/{id}/cancel": _post(
        "Stop a run that has not begun to act, for good.",
        _object({"status": {"const": "cancelled"}, "run": NUMBER}),
        "comment",
        path=(ID,),
        errors=DECIDING,
    ),
    "/api/v1/trigger": {
        "post": {
            "summary": (
                "Try an alert that nobody delivered: what would be done about it. Needs a key with the role approver; "
                "with `enforce` it is answered like any other, which needs an admin's."
            ),
            "security": [{"key": []}],
            "requestBody": {
                "required": True,
                "content": _json(
                    {
                        **_object(
                            {
                                "labels": LABELS,
                                "annotations": LABELS,
                                "status": _words(["firing", "resolved"]),
                                "enforce": {"type": "boolean", "default": False},
                            }
                        ),
                        "required": ["labels"],
                    }
                ),
            },
            "responses": _answers(
                _object(
                    {
                        "status": _words(["tried", "stored"]),
                        "delivery": NUMBER,
                        "playbooks": _list(
                            _object(
                                {
                                    "playbook": STRING,
                                    "mode": _words(["observe", "enforce"]),
                                    "would": _words(["act", "ask", "observe", "skip"]),
                                    "reason": {"enum": [*Reason, None]},
                                    "detail": STRING,
                                    "guards": _list(STRING),
                                    "target": {"type": ["object", "null"]},
                                    "steps": _list({"type": "object"}),
                                    "on_failure": _list({"type": "object"}),
                                }
                            )
                        ),
                    }
                ),
                *(400, 401, 403, 408, 413, 503),
            ),
        }
    },
    "/api/v1/slack": {
        "post": {
            "summary": "A click in Slack on a button of a question, signed by Slack.",
            "security": [{"slack": []}],
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": _object({"payload": STRING})}},
            },
            "responses": _answers(
                _object(
                    {"status": _words(["approved", "rejected", "refused", "ignored"]), "run": NUMBER, "error": STRING}
                ),
                *(400, 401, 404, 408, 413, 503),
            ),
        }
    },
    "/api/v1/pause": _post(
        "Have no action start anywhere from now on.",
        _object({"status": {"const": "paused"}, "changed": {"type": "boolean"}}),
        "comment",
        errors=ACTING,
    ),
    "/api/v1/resume": _post(
        "Let actions start again, and forgive failures before now.",
        _object({"status": {"const": "resumed"}, "changed": {"type": "boolean"}}),
        "comment",
        errors=ACTING,
    ),
    "/api/v1/deployments": {
        **_get(
            "Deployment markers, in the order in which they came, the newest first.",
            _page("deployments", "Deployment"),
            _filter("service", STRING, "about this service, as the marker calls it"),
            *PAGING,
        ),
        "post": {
            "summary": "Say that something was deployed. Needs a key with the role approver.",
            "security": [{"key": []}],
            "requestBody": {
                "required": True,
                "content": _json(
                    {
                        **_object(
                            {
                                "service": STRING,
                                "version": STRING,
                                "status": {**_words(MarkerStatus), "default": MarkerStatus.SUCCEEDED},
                                "timestamp": {"type": ["string", "number"], "description": "now without one"},
                                "metadata": LABELS,
                            }
                        ),
                        "required": ["service", "version"],
                    }
                ),
            },
            "responses": _answers(
                _object({"status": {"const": "stored"}, "deployment": NUMBER}), 400, 401, 403, 408, 413, 503
            ),
        },
    },
    "/api/v1/episodes": _get(
        "Episodes of alerts, newest first.",
        _page("episodes", "Episode"),
        _filter("open", {"const": "true"}, "only those that still fire"),
        LABEL,
        *PAGING,
    ),
    "/api/v1/episodes/{id}": _get("One episode.", _ref("Episode"), ID, errors=(401, 404, 503)),
    "/api/v1/playbooks": _get("The playbooks in force.", _page("playbooks", "Playbook"), errors=(401,)),
    "/api/v1/explain": _get(
        "Why it did or did not act, in sentences, newest first.",
        _object({"explanations": _list(SENTENCE)}),
        _filter("run", NUMBER, "this run, or else:"),
        LABEL,
        errors=(400, 401, 404, 503),
    ),
    "/api/v1/audit": _get(
        "Rows of the audit log, newest first.",
        _page("audit", "Entry"),
        _filter("kind", _words(Kind), "what it tells"),
        _filter("run", NUMBER, "about this run"),
        _filter("episode", NUMBER, "about this episode"),
        *PAGING,
    ),
    "/api/v1/audit/verify": _get(
        "Check every hash and link of the audit log.",
        _object(
            {
                "verified": {"type": "boolean"},
                "entries": {"type": "integer"},
                "head": STRING,
                "keyed": {"type": "integer"},
                "problem": STRING,
                "text": STRING,
            }
        ),
        errors=(401, 503),
    ),
    "/api/v1/audit/export": {
        "get": {
            "summary": "The whole audit log, one row a line, for `amend audit verify`.",
            "responses": _answers(STRING, 401, 503, media_type="application/jsonl"),
        }
    },
    "/api/v1/status": _get("What this replica runs on, and how it stands.", {"type": "object"}, errors=(401, 503)),
    "/api/v1/openapi.json": _get("This document.", {"type": "object"}, errors=(401,)),
    "/-/healthy": {"get": {"summary": "It runs.", "security": [], "responses": _answers(None)}},
    "/-/ready": {
        "get": {"summary": "It runs and reaches its store.", "security": [], "responses": _answers(None, 503)}
    },
    "/-/reload": {
        "post": {
            "summary": "Read the playbooks again; the old set stays if the new one is bad. Needs an admin's key.",
            "security": [{"key": []}],
            "responses": _answers(
                _object({"status": {"const": "reloaded"}, "config_hash": STRING}), 400, 401, 403, 503
            ),
        }
    },
    "/metrics": {"get": {"summary": "Own metrics for Prometheus.", "security": [], "responses": _answers(None)}},
}
