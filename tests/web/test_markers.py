"""Deployment markers over HTTP: who may post them, what is taken, and what is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.audit import Kind
from receiver.store import log
from tests.web.conftest import KEYS, Web

PATH = "/api/v1/deployments"
GOOD = {"service": "shop/orders", "version": "1.4.2"}


def test_a_marker_is_stored_with_its_row_in_the_audit_log_and_told(web: Web) -> None:
    web.now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    answer = web.post(
        PATH, **GOOD, status="started", timestamp="2026-03-02T12:59:00+01:00", metadata={"commit": "c0ffee"}
    )
    assert answer.json() == {"status": "stored", "deployment": 1}
    assert web.get(PATH).json() == {
        "deployments": [
            {
                "id": 1,
                **GOOD,
                "status": "started",
                "timestamp": "2026-03-02T11:59:00+00:00",
                "by": "the-approver",
                "metadata": {"commit": "c0ffee"},
            }
        ],
        "next": None,
    }
    (entry,) = web.read(lambda connection: list(log.entries(connection)))
    assert (entry.kind, entry.actor, entry.data["version"]) == (Kind.DEPLOYED, "the-approver", "1.4.2")
    assert web.woken == 1


def test_service_and_version_are_enough(web: Web) -> None:
    web.now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert web.post(PATH, **GOOD).status_code == 200
    (marker,) = web.get(PATH).json()["deployments"]
    assert (marker["status"], marker["timestamp"]) == ("succeeded", "2026-03-02T12:00:00+00:00")


@pytest.mark.parametrize(
    ("word", "status"), [("success", "succeeded"), ("Succeeded", "succeeded"), ("failure", "failed")]
)
def test_a_pipelines_own_word_is_understood(web: Web, word: str, status: str) -> None:
    assert web.post(PATH, **GOOD, status=word).status_code == 200
    assert web.get(PATH).json()["deployments"][0]["status"] == status


def test_numbers_and_truths_of_metadata_are_kept_as_text(web: Web) -> None:
    assert web.post(PATH, **GOOD, metadata={"pull_request": 12, "canary": True, "share": 0.5}).status_code == 200
    kept = web.get(PATH).json()["deployments"][0]["metadata"]
    assert kept == {"pull_request": "12", "canary": "true", "share": "0.5"}


def test_seconds_since_1970_are_a_timestamp(web: Web) -> None:
    web.now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    web.post(PATH, **GOOD, timestamp=web.now.timestamp() - 60)
    assert web.get(PATH).json()["deployments"][0]["timestamp"] == "2026-03-02T11:59:00+00:00"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"service": ""}, "service: "),
        ({"service": "a\nb"}, "service: "),
        ({"service": 5}, "service: "),
        ({"version": "x" * 254}, "version: "),
        ({"status": "done"}, "status: "),
        ({"timestamp": "yesterday"}, "timestamp: "),
        ({"timestamp": "2026-03-02T12:00:00"}, "timestamp: "),
        ({"metadata": {"a": {}}}, "metadata.a: "),
        ({"metadata": {"a": "x\x00"}}, "metadata.a: "),
        ({"metadata": {str(n): "" for n in range(51)}}, "metadata: "),
        ({"verison": "1"}, "verison: "),
    ],
)
def test_what_is_no_marker_is_refused_in_words(web: Web, wrong: dict[str, Any], said: str) -> None:
    answer = web.post(PATH, **{**GOOD, **wrong})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(said)
    assert 'send for example {"service"' in answer.json()["error"]
    assert web.get(PATH).json()["deployments"] == []


def test_a_deployment_that_has_not_come_yet_is_refused(web: Web) -> None:
    ahead = (web.now + timedelta(minutes=6)).isoformat()
    answer = web.post(PATH, **GOOD, timestamp=ahead)
    assert (answer.status_code, "has not come yet" in answer.json()["error"]) == (400, True)


def test_a_time_at_an_end_of_the_calendar_is_no_fault(web: Web) -> None:
    assert web.post(PATH, **GOOD, timestamp="9999-12-31T23:59:59-14:00").status_code == 400
    assert web.post(PATH, **GOOD, timestamp="0001-01-01T00:00:00+14:00").status_code == 200
    assert web.get(PATH).json()["deployments"][0]["timestamp"] == "0001-01-01T00:00:00+00:00"


@pytest.mark.parametrize("body", [b"[1]", b"no", b"[" * 8000])
def test_a_body_that_is_no_object_is_refused(web: Web, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {KEYS['approver']}"}
    assert web.client.post(PATH, content=body, headers=headers).status_code == 400


def test_a_viewer_may_look_and_not_post(web: Web) -> None:
    assert web.post(PATH, role="viewer", **GOOD).status_code == 403
    assert web.client.post(PATH, json=GOOD).status_code == 401
    assert web.get(PATH).status_code == 200


def test_a_session_posts_no_markers(web: Web) -> None:
    form = web.client.get("/sign-in").text
    token = form.partition('name="token" value="')[2].partition('"')[0]
    web.client.post("/sign-in", data={"key": KEYS["admin"], "token": token})
    assert web.client.get(PATH).status_code == 200, "signed in"
    assert web.client.post(PATH, json=GOOD).status_code == 401


def test_markers_come_in_pages_and_by_service(web: Web) -> None:
    for number in range(5):
        web.post(PATH, service=("a", "b")[number % 2], version=str(number))
    first = web.get(PATH, limit=2).json()
    assert [each["version"] for each in first["deployments"]] == ["4", "3"]
    second = web.get(PATH, limit=2, cursor=first["next"]).json()
    assert [each["version"] for each in second["deployments"]] == ["2", "1"]
    assert [each["version"] for each in web.get(PATH, service="b").json()["deployments"]] == ["3", "1"]
