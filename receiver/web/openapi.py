"""The OpenAPI document of every door that is not a page; `GET /api/v1/openapi.json` shows it.

A test holds it against the routes: neither has what the other lacks.
"""

from importlib.metadata import version

from receiver.audit import Kind
from receiver.marker import MarkerStatus
from receiver.run import Outcome, Reason, Status
from receiver.web.schemas import (
    DEPLOYMENT,
    ENTRY,
    EPISODE,
    ID,
    LABEL,
    LABELS,
    NUMBER,
    PAGING,
    PLAYBOOK,
    RUN,
    SENTENCE,
    STEP,
    STRING,
    Schema,
    answers,
    as_json,
    fields,
    get,
    many,
    one_of,
    page_of,
    parameter,
    post,
    ref,
)


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
                "Error": fields({"status": {"const": "error"}, "error": STRING}),
                "Run": RUN,
                "Step": STEP,
                "Episode": EPISODE,
                "Playbook": PLAYBOOK,
                "Entry": ENTRY,
                "Deployment": DEPLOYMENT,
            },
        },
    }


ACTING = (400, 401, 403, 408, 413, 415, 503)
DECIDING = (*ACTING, 404, 409)

PATHS: Schema = {
    "/api/v1/alerts": {
        "post": {
            "summary": "Alertmanager's webhook, version 4: answered 200 only when it is on disk.",
            "security": [{"webhook_bearer": []}, {"webhook_basic": []}],
            "requestBody": {"required": True, "content": as_json({"type": "object"})},
            "responses": answers(fields({"status": {"const": "stored"}, "delivery": NUMBER}), 400, 401, 413, 415, 503),
        }
    },
    "/api/v1/runs": get(
        "Runs, newest first.",
        page_of("runs", "Run"),
        parameter("status", one_of(Status), "where it stands"),
        parameter("outcome", one_of(Outcome), "what came of it"),
        parameter("reason", one_of(Reason), "why it did not act"),
        parameter("playbook", STRING, "of this playbook"),
        parameter("workload", STRING, "on this workload, by its key"),
        parameter("episode", NUMBER, "of this episode"),
        LABEL,
        *PAGING,
    ),
    "/api/v1/runs/{id}": get("One run with its steps.", ref("Run"), ID, errors=(401, 404, 503)),
    "/api/v1/runs/{id}/approve": post(
        "Agree to what a run would do. `digest` is that of the run's `approval`: what you saw.",
        fields({"status": {"const": "approved"}, "run": NUMBER}),
        "comment",
        "digest",
        path=(ID,),
        errors=DECIDING,
    ),
    "/api/v1/runs/{id}/reject": post(
        "Say no to what a run would do.",
        fields({"status": {"const": "rejected"}, "run": NUMBER}),
        "comment",
        "digest",
        path=(ID,),
        errors=DECIDING,
    ),
    "/api/v1/runs/{id}/cancel": post(
        "Stop a run that has not begun to act, for good.",
        fields({"status": {"const": "cancelled"}, "run": NUMBER}),
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
                "content": as_json(
                    {
                        **fields(
                            {
                                "labels": LABELS,
                                "annotations": LABELS,
                                "status": one_of(["firing", "resolved"]),
                                "enforce": {"type": "boolean", "default": False},
                            }
                        ),
                        "required": ["labels"],
                    }
                ),
            },
            "responses": answers(
                fields(
                    {
                        "status": one_of(["tried", "stored"]),
                        "delivery": NUMBER,
                        "playbooks": many(
                            fields(
                                {
                                    "playbook": STRING,
                                    "mode": one_of(["observe", "enforce"]),
                                    "would": one_of(["act", "ask", "observe", "skip"]),
                                    "reason": {"enum": [*Reason, None]},
                                    "detail": STRING,
                                    "guards": many(STRING),
                                    "target": {"type": ["object", "null"]},
                                    "steps": many({"type": "object"}),
                                    "on_failure": many({"type": "object"}),
                                }
                            )
                        ),
                        "missed": many(fields({"playbook": STRING, "why": STRING})),
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
                "content": {"application/x-www-form-urlencoded": {"schema": fields({"payload": STRING})}},
            },
            "responses": answers(
                fields(
                    {"status": one_of(["approved", "rejected", "refused", "ignored"]), "run": NUMBER, "error": STRING}
                ),
                *(400, 401, 404, 408, 413, 503),
            ),
        }
    },
    "/api/v1/pause": post(
        "Have no action start anywhere from now on.",
        fields({"status": {"const": "paused"}, "changed": {"type": "boolean"}}),
        "comment",
        errors=ACTING,
    ),
    "/api/v1/resume": post(
        "Let actions start again, and forgive failures before now.",
        fields({"status": {"const": "resumed"}, "changed": {"type": "boolean"}}),
        "comment",
        errors=ACTING,
    ),
    "/api/v1/deployments": {
        **get(
            "Deployment markers, in the order in which they came, the newest first.",
            page_of("deployments", "Deployment"),
            parameter("service", STRING, "about this service, as the marker calls it"),
            *PAGING,
        ),
        "post": {
            "summary": "Say that something was deployed. Needs a key with the role approver.",
            "security": [{"key": []}],
            "requestBody": {
                "required": True,
                "content": as_json(
                    {
                        **fields(
                            {
                                "service": STRING,
                                "version": STRING,
                                "status": {**one_of(MarkerStatus), "default": MarkerStatus.SUCCEEDED},
                                "timestamp": {"type": ["string", "number"], "description": "now without one"},
                                "metadata": LABELS,
                            }
                        ),
                        "required": ["service", "version"],
                    }
                ),
            },
            "responses": answers(
                fields({"status": {"const": "stored"}, "deployment": NUMBER}), 400, 401, 403, 408, 413, 503
            ),
        },
    },
    "/api/v1/episodes": get(
        "Episodes of alerts, newest first.",
        page_of("episodes", "Episode"),
        parameter("open", {"const": "true"}, "only those that still fire"),
        LABEL,
        *PAGING,
    ),
    "/api/v1/episodes/{id}": get("One episode.", ref("Episode"), ID, errors=(401, 404, 503)),
    "/api/v1/playbooks": get("The playbooks in force.", page_of("playbooks", "Playbook"), errors=(401,)),
    "/api/v1/explain": get(
        "Why it did or did not act, in sentences, newest first.",
        fields({"explanations": many(SENTENCE)}),
        parameter("run", NUMBER, "this run, or else:"),
        LABEL,
        errors=(400, 401, 404, 503),
    ),
    "/api/v1/audit": get(
        "Rows of the audit log, newest first.",
        page_of("audit", "Entry"),
        parameter("kind", one_of(Kind), "what it tells"),
        parameter("run", NUMBER, "about this run"),
        parameter("episode", NUMBER, "about this episode"),
        *PAGING,
    ),
    "/api/v1/audit/verify": get(
        "Check every hash and link of the audit log.",
        fields(
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
            "responses": answers(STRING, 401, 503, media_type="application/jsonl"),
        }
    },
    "/api/v1/status": get("What this replica runs on, and how it stands.", {"type": "object"}, errors=(401, 503)),
    "/api/v1/openapi.json": get("This document.", {"type": "object"}, errors=(401,)),
    "/-/healthy": {"get": {"summary": "It runs.", "security": [], "responses": answers(None)}},
    "/-/ready": {"get": {"summary": "It runs and reaches its store.", "security": [], "responses": answers(None, 503)}},
    "/-/reload": {
        "post": {
            "summary": "Read the playbooks again; the old set stays if the new one is bad. Needs an admin's key.",
            "security": [{"key": []}],
            "responses": answers(fields({"status": {"const": "reloaded"}, "config_hash": STRING}), 400, 401, 403, 503),
        }
    },
    "/metrics": {"get": {"summary": "Own metrics for Prometheus.", "security": [], "responses": answers(None)}},
}
