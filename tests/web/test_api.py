import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from receiver.actions import VERBS
from receiver.audit import GENESIS, Kind, read_export, verify
from receiver.playbook import read
from receiver.run import Outcome, Reason, Status
from receiver.web import create_app
from receiver.web.explain import SAID, STANDING
from tests.web.conftest import KEYS, Web
from tests.web.seed import PLAYBOOK, WORKLOAD, Seed

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

LISTS = ("runs", "episodes", "playbooks", "audit")
PATHS = (*LISTS, "status", "openapi.json", "audit/verify", "audit/export", "explain?run=1", "runs/1", "episodes/1")


@pytest.fixture
def seed(web: Web) -> Seed:
    web.now = NOON + 10 * MINUTE
    return Seed(web)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_a_key(web: Web, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dmlld2Vy"}):
        answer = web.client.get(f"/api/v1/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["status"] == "error"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_webhooks_credentials_open_nothing_else(web: Web) -> None:
    assert web.client.get("/api/v1/runs", headers={"Authorization": "Bearer webhook-token"}).status_code == 401
    assert web.deliver({"version": "4", "alerts": []}, token=KEYS["admin"]).status_code == 401


@pytest.mark.parametrize("role", KEYS)
def test_every_role_may_look(web: Web, role: str) -> None:
    assert web.get("/api/v1/runs", role=role).json() == {"runs": [], "next": None}


def test_a_run_tells_its_alert_its_steps_and_its_evidence(web: Web, seed: Seed) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    listed = web.get("/api/v1/runs").json()["runs"]
    assert len(listed) == 1
    run = web.get("/api/v1/runs/1").json()
    of_one_alone = {"annotations": None, "approval": None}
    assert {**run, **of_one_alone} == {**listed[0], **of_one_alone}
    assert (run["status"], run["outcome"], run["reason"]) == ("done", "fixed", None)
    assert run["labels"] == {"alertname": "LatencyAnomaly", "service": "orders", "severity": "high"}
    assert run["annotations"]["z_score"] == "38.4"
    assert run["created_at"] == "2026-03-02T12:00:00+00:00"
    assert run["guards"][-1] == "cooldown"
    assert run["evidence"]["sight"] == "quiet"
    assert [(step["verb"], step["status"]) for step in run["steps"]] == [("restart", "done")]


@pytest.mark.parametrize("path", ["runs/7", "episodes/7", "runs/seven", "episodes/-1", f"runs/{2**70}", "nothing"])
def test_what_is_not_there_is_not_found(web: Web, path: str) -> None:
    answer = web.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["status"] == "error"


def ids(web: Web, **filters: Any) -> list[int]:
    return [run["id"] for run in web.get("/api/v1/runs", **filters).json()["runs"]]


def test_runs_are_filtered_by_what_they_are_and_by_their_alerts_labels(web: Web, seed: Seed) -> None:
    orders, users = seed.episode(NOON), seed.episode(NOON, service="users")
    seed.fixed(orders, NOON)
    seed.skip(seed.matched(users, NOON), NOON, Reason.COOLDOWN, "too soon")
    seed.matched(users, NOON, playbook="other")
    assert ids(web) == [3, 2, 1]
    assert ids(web, status="skipped") == [2]
    assert ids(web, outcome="fixed") == [1]
    assert ids(web, reason="cooldown") == [2]
    assert ids(web, playbook="other") == [3]
    assert ids(web, workload=WORKLOAD) == [2, 1]
    assert ids(web, episode=str(users.id)) == [3, 2]
    assert ids(web, label="service=users") == [3, 2]
    assert ids(web, label=["service=users", "severity=high"], playbook=PLAYBOOK) == [2]
    assert ids(web, label="service=") == []
    assert ids(web, status="", outcome="") == [3, 2, 1]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"status": "don"}, f'"don" is not known; known are {", ".join(Status)}'),
        ({"outcome": "x"}, ", ".join(Outcome)),
        ({"reason": "x"}, ", ".join(Reason)),
        ({"statu": "done"}, 'unknown parameter "statu"; known here: cursor, episode, label, limit'),
        ({"status": ["done", "acting"]}, "given 2 times"),
        ({"limit": "0"}, "between 1 and 500"),
        ({"limit": "501"}, "between 1 and 500"),
        ({"limit": "ten"}, "between 1 and 500"),
        ({"cursor": "xx"}, 'take the "next"'),
        ({"cursor": "é"}, 'take the "next"'),
        ({"cursor": "LTk5OTk5OTk5OTk5OTk5OTk5OTk5"}, 'take the "next"'),  # -99999999999999999999
        ({"episode": str(2**63)}, "not a number"),
        ({"label": "service"}, "is not NAME=VALUE"),
        ({"label": 'a"b=c'}, "is not NAME=VALUE"),
        ({"label": "a\\=c"}, "is not NAME=VALUE"),
        ({"label": "a=\x00"}, "is not NAME=VALUE"),
        ({"playbook": "a\x00"}, "holds a NUL"),
    ],
)
def test_a_mistake_in_a_filter_is_a_400_that_says_what_is_known(
    web: Web, parameters: dict[str, Any], said: str
) -> None:
    answer = web.get("/api/v1/runs", **parameters)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize("label", ["a.b=c", "$[0]=x", "a'b=c", "*=x", "ä=ö", "a-b[0]=x", "{{x}}=y"])
def test_odd_label_names_find_nothing_and_break_nothing(web: Web, seed: Seed, label: str) -> None:
    seed.episode(NOON)
    assert web.get("/api/v1/episodes", label=label).json()["episodes"] == []


@pytest.mark.parametrize("noun", ["runs", "episodes", "audit"])
def test_pages_follow_each_other_without_gap_or_repetition(web: Web, seed: Seed, noun: str) -> None:
    for number in range(7):
        seed.matched(seed.episode(NOON, pod=str(number)), NOON)
    found: list[int] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        page = web.get(f"/api/v1/{noun}", limit=3, cursor=cursor).json()
        found += [row["seq" if noun == "audit" else "id"] for row in page[noun]]
        cursor, pages = page["next"], pages + 1
    assert found == [7, 6, 5, 4, 3, 2, 1]
    assert pages == 3
    assert web.get(f"/api/v1/{noun}", limit=7).json()["next"] is None


def test_episodes_can_be_asked_for_that_still_fire(web: Web, seed: Seed) -> None:
    closed, still = seed.episode(NOON), seed.episode(NOON, service="users")
    seed.close(closed, NOON + MINUTE)
    assert [each["id"] for each in web.get("/api/v1/episodes", open="true").json()["episodes"]] == [still.id]
    assert web.get("/api/v1/episodes/1").json()["closing"] == "resolved"
    assert web.get("/api/v1/episodes", open="yes").status_code == 400


def test_playbooks_are_shown_as_they_are_in_force(web: Web, tmp_path: Path) -> None:
    file = tmp_path / "playbooks.yml"
    file.write_text(
        """playbooks:
- name: restart-slow-service
  matchers: ['alertname="LatencyAnomaly"', 'severity=~"high|critical"']
  condition: z_score > 3
  target: {docker: {compose: {project: shop, service: "{{ labels.service }}"}}}
  steps: [restart: ]
"""
    )
    web.playbooks = read(file, VERBS)
    playbook = web.get("/api/v1/playbooks").json()["playbooks"][0]
    assert playbook["matchers"] == ['alertname="LatencyAnomaly"', 'severity=~"high|critical"']
    assert playbook["condition"] == "z_score > 3"
    assert playbook["target"] == {"docker": {"compose": {"project": "shop", "service": "{{ labels.service }}"}}}
    assert (playbook["mode"], playbook["cooldown"], playbook["steps"]) == ("observe", "5m", ["restart"])
    assert playbook["place"] == f"{file}:2"


def explained(web: Web, **parameters: Any) -> list[str]:
    answer = web.get("/api/v1/explain", **parameters)
    assert answer.status_code == 200, answer.text
    return [each["text"] for each in answer.json()["explanations"]]


def test_a_skip_is_explained_with_its_reason_and_the_next_decision(web: Web, seed: Seed) -> None:
    run = seed.matched(seed.episode(NOON), NOON)
    detail = f"acted on {WORKLOAD} 2m ago"
    seed.skip(run, NOON, Reason.COOLDOWN, detail, retry_at=NOON + 5 * MINUTE)
    assert explained(web, run=run.id) == [
        f"run 1 of {PLAYBOOK}: skipped, cooldown: {detail}; decided again at 12:05:00 UTC"
    ]


def test_a_run_that_helped_is_explained_from_its_end_to_its_beginning(web: Web, seed: Seed) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    assert explained(web, run=1) == [
        f"run 1 of {PLAYBOOK}: fixed: quiet since 60s, with samples: rate(http_requests_total[5m]) > 1",
        f"run 1 of {PLAYBOOK}: the steps are done; looking whether they helped, until 12:11:02 UTC",
        f"run 1 of {PLAYBOOK}: restart on compose/shop/orders is done",
        f"run 1 of {PLAYBOOK}: begins restart on compose/shop/orders",
    ]


def test_a_run_that_nobody_has_decided_is_explained_too(web: Web, seed: Seed) -> None:
    seed.matched(seed.episode(NOON), NOON)
    assert explained(web, run=1) == [f"run 1 of {PLAYBOOK}: matched, not decided yet"]


def test_labels_are_explained_by_everything_that_became_of_their_alerts(web: Web, seed: Seed) -> None:
    episode = seed.episode(NOON, service="users")
    seed.no_match(episode, NOON)
    seed.close(episode, NOON + MINUTE)
    seed.episode(NOON)
    assert explained(web, label=["service=users", "severity=high"]) == [
        "LatencyAnomaly ended: resolved",
        "nothing was done about LatencyAnomaly, no_match: no playbook's matchers fit its labels",
        "LatencyAnomaly fired",
    ]


def test_what_was_never_received_is_not_explained_away(web: Web) -> None:
    answer = web.get("/api/v1/explain", label="service=nowhere")
    assert answer.status_code == 404
    assert "see whether Alertmanager routes it" in answer.json()["error"]
    assert web.get("/api/v1/explain", run=7).status_code == 404
    assert web.get("/api/v1/explain").status_code == 400
    assert web.get("/api/v1/explain", run=1, label="a=b").status_code == 400


def test_rows_with_less_in_them_than_usual_are_told_all_the_same(web: Web, seed: Seed) -> None:
    run = seed.matched(seed.episode(NOON), NOON)
    seed.skip(run, NOON, Reason.GUARD_ERROR, "{detail} {0} {x.__class__}")
    with sqlite3.connect(web.database) as connection:
        connection.execute("update audit set data = '{}' where kind = 'episode_opened'")
    assert explained(web, run=run.id) == [
        f"run 1 of {PLAYBOOK}: skipped, guard_error: {{detail}} {{0}} {{x.__class__}}"
    ]
    assert explained(web, label="service=orders")[-1] == "(not recorded) fired"


def test_every_kind_of_row_and_every_status_of_a_run_has_words() -> None:
    assert set(SAID) == set(Kind)
    assert set(STANDING) == set(Status)


def test_the_audit_log_is_filtered_and_verified(web: Web, seed: Seed) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    seed.no_match(seed.episode(NOON, service="users"), NOON)
    assert [row["kind"] for row in web.get("/api/v1/audit", kind="no_match").json()["audit"]] == ["no_match"]
    assert len(web.get("/api/v1/audit", run=1).json()["audit"]) == 4
    assert len(web.get("/api/v1/audit", episode=2).json()["audit"]) == 2
    assert "known are started" in web.get("/api/v1/audit", kind="nothing").json()["error"]
    answer = web.get("/api/v1/audit/verify").json()
    assert (answer["verified"], answer["entries"], answer["keyed"]) == (True, 7, 0)
    assert answer["head"] == web.get("/api/v1/audit", limit=1).json()["audit"][0]["hash"]
    assert answer["text"].startswith("chain verified: 7 entries, head ")
    assert web.get("/api/v1/status").json()["audit"] == {"entries": 7, "head": answer["head"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update audit set actor = 'nobody' where seq = 2", "row 2 does not fit its hash"),
        ("delete from audit where seq = 2", "rows are missing"),
        ("update audit set data = 'x' where seq = 2", "row 2 does not hold JSON"),
    ],
)
def test_a_log_that_was_changed_is_reported_broken(web: Web, seed: Seed, change: str, said: str) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    with sqlite3.connect(web.database) as connection:
        connection.execute(change)
    answer = web.get("/api/v1/audit/verify").json()
    assert answer["verified"] is False
    assert said in answer["problem"]


def test_rows_that_cannot_be_read_are_told_as_what_they_are(web: Web, seed: Seed) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    with sqlite3.connect(web.database) as connection:
        connection.execute("update audit set data = 'x' where seq = 2")
    for path in ("audit", "audit/export", "explain?run=1"):
        answer = web.get(f"/api/v1/{path}")
        assert answer.status_code == 500
        assert answer.json()["error"].startswith("the audit log is broken: row 2 does not hold JSON"), path


def test_a_log_sealed_with_a_key_is_verified_with_it(tmp_path: Path) -> None:
    with Web(tmp_path, audit={"hmac_key": "secret"}) as web:
        Seed(web, key=b"secret").episode(NOON)
        answer = web.get("/api/v1/audit/verify").json()
        assert (answer["verified"], answer["keyed"]) == (True, 1)


def test_an_export_can_be_verified_elsewhere(web: Web, seed: Seed) -> None:
    assert web.get("/api/v1/audit/export").text == ""
    for number in range(1100):  # more than one batch
        seed.episode(NOON, pod=f"{number}\r\n\u2028")
    answer = web.get("/api/v1/audit/export")
    assert answer.headers["Content-Type"] == "application/jsonl"
    verdict = verify(read_export(answer.text.split("\n")[:-1]), None)
    assert verdict.entries == 1100
    assert verdict.head != GENESIS


def test_status_says_what_a_replica_runs_on(web: Web, seed: Seed) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    status = web.get("/api/v1/status").json()
    assert status["replica"] == "replica-1"
    assert status["config_hash"] == "c0ffee"
    assert status["runs"] == {"by_status": {"done": 1}, "by_outcome": {"fixed": 1}}
    assert (status["webhook_insecure"], status["prometheus"]) == (False, False)


def test_a_store_that_cannot_be_read_is_a_503(web: Web) -> None:
    web.ledger.engine.dispose()
    web.database.write_bytes(b"no database" * 1000)
    for noun in ("runs", "episodes", "audit", "audit/export", "audit/verify", "status"):
        answer = web.get(f"/api/v1/{noun}")
        assert (answer.status_code, answer.json()["status"]) == (503, "error"), noun


def test_the_openapi_document_has_the_doors_that_there_are_and_no_others(web: Web) -> None:
    document = web.get("/api/v1/openapi.json").json()
    told = {(path, method) for path, methods in document["paths"].items() for method in methods}
    routes = {
        (route.path, method.lower())
        for route in create_app(web._doors()).routes
        if isinstance(route, Route) and re.match("/api/|/-/|/metrics", route.path)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert told == routes
    refs = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert refs <= set(document["components"]["schemas"])


def test_the_openapi_document_knows_every_field_that_is_given(web: Web, seed: Seed) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    schemas = web.get("/api/v1/openapi.json").json()["components"]["schemas"]
    run = web.get("/api/v1/runs/1").json()
    assert set(schemas["Run"]["properties"]) == set(run)
    assert set(schemas["Step"]["properties"]) == set(run["steps"][0])
    assert set(schemas["Episode"]["properties"]) == set(web.get("/api/v1/episodes/1").json())
    assert set(schemas["Entry"]["properties"]) == set(web.get("/api/v1/audit").json()["audit"][0])
