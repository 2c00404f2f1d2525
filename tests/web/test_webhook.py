import asyncio
import json
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from receiver.store.tables import alerts, deliveries
from receiver.web import webhook
from tests.bed.processes import until
from tests.bed.receiver import alert, message
from tests.web.conftest import TOKEN, Web

HEAD = f"POST /api/v1/alerts HTTP/1.1\r\nHost: amend\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No delivery is given up for taking long."""
    monkeypatch.setattr(webhook, "RECEIVE_WITHIN", 3600)
    monkeypatch.setattr(webhook, "ANSWER_WITHIN", 3600)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def stored(web: Web) -> list[tuple[str, str]]:
    """State and alert name of every alert on disk."""
    rows = web.read(lambda connection: connection.execute(sa.select(alerts).order_by(alerts.c.id)).all())
    return [(row.state, row.labels.get("alertname", "")) for row in rows]


def test_a_delivery_is_answered_once_it_is_on_disk_and_the_worker_is_woken(web: Web) -> None:
    before = counted("amend_deliveries_total", result="stored")
    answer = web.deliver(message(alert("Slow"), alert("Down", service="cart")))
    assert (answer.status_code, answer.json()) == (200, {"status": "stored", "delivery": 1})
    with sqlite3.connect(web.database) as other:
        assert other.execute("select state, status from alerts").fetchall() == [("new", "firing")] * 2
        assert other.execute("select source, receiver from deliveries").fetchall() == [("default", "amend")]
    assert web.woken == 1
    assert counted("amend_deliveries_total", result="stored") == before + 1
    assert counted("amend_last_delivery_timestamp_seconds") == pytest.approx(web.now.timestamp())


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic d2ViaG9vay10b2tlbg==", "Bearer \xff"])
def test_wrong_credentials_are_refused_with_a_challenge(web: Web, header: str) -> None:
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    answer = web.client.post("/api/v1/alerts", json=message(alert("Slow")), headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="amend"'
    assert stored(web) == []


def test_basic_credentials_are_taken_where_they_are_configured(tmp_path: Path) -> None:
    basic = {"username": "alertmanager", "password": "pässword:1"}
    with Web(tmp_path, auth={"webhook": {"basic": basic}}) as web:
        url = "/api/v1/alerts"
        body = message(alert("Slow"))
        good = httpx.BasicAuth(basic["username"].encode(), basic["password"].encode())
        assert web.client.post(url, json=body, auth=good).status_code == 200
        wrong = web.client.post(url, json=body, auth=("alertmanager", "password"))
        assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, 'Basic realm="amend"')
        assert web.client.post(url, json=body, headers={"Authorization": "Basic %%%"}).status_code == 401


def test_an_insecure_webhook_takes_anything_and_says_so_in_its_metrics(tmp_path: Path) -> None:
    with Web(tmp_path, auth={"webhook": {"insecure": True}}) as web:
        assert web.client.post("/api/v1/alerts", json=message(alert("Slow"))).status_code == 200
        assert "amend_webhook_insecure 1.0" in web.client.get("/metrics").text


def test_a_strangers_body_is_never_read(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(HEAD.replace(TOKEN.encode(), b"wrong") + JSON + b"Content-Length: 10000000\r\n\r\n")
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in answer.lower()
        assert client.recv(1) == b"" if answer.endswith(b"}") else True


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_other_than_json_is_refused(web: Web, content_type: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    assert web.client.post("/api/v1/alerts", content=b"{}", headers=headers).status_code == 415


def test_json_may_name_its_charset(web: Web) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json; charset=utf-8"}
    body = json.dumps(message(alert("Slow")))
    assert web.client.post("/api/v1/alerts", content=body, headers=headers).status_code == 200


def test_a_compressed_body_is_refused(web: Web) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert web.client.post("/api/v1/alerts", content=b"\x1f\x8b", headers=headers).status_code == 415


def test_a_body_over_the_limit_is_refused_by_its_length_alone(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(HEAD + JSON + b"Content-Length: 200000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_over_the_limit_is_refused_while_it_streams(tmp_path: Path) -> None:
    with Web(tmp_path, server={"max_body": "100KiB"}) as web:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        chunks = (b" " * 10_000 for _ in range(20))
        answer = web.client.post("/api/v1/alerts", content=chunks, headers=headers)
        assert answer.status_code == 413
        assert "server.max_body (102400 bytes)" in answer.json()["error"]


def test_ten_thousand_alerts_of_one_group_are_stored(web: Web, in_no_hurry: None) -> None:
    answer = web.deliver(message(*(alert("Storm", instance=f"host-{number}") for number in range(10_000))))
    assert answer.status_code == 200
    assert len(stored(web)) == 10_000


def test_a_body_that_trickles_in_is_given_up(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    before = counted("amend_deliveries_total", result="slow")
    monkeypatch.setattr(webhook, "RECEIVE_WITHIN", 0.3)
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(HEAD + JSON + b"Content-Length: 100\r\n\r\n{")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")  # which Alertmanager sends again
        assert b"connection: close" in answer.lower()
        assert b"did not arrive within 0.3 s" in answer
    assert counted("amend_deliveries_total", result="slow") == before + 1


def test_three_hundred_stuck_uploads_leave_health_and_others_alone(web: Web, in_no_hurry: None) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=60))
            client.sendall(HEAD + JSON + b"Content-Length: 1000000\r\n\r\n{")
        assert web.client.get("/-/healthy").status_code == 200
        assert web.client.get("/-/ready").status_code == 200
        assert web.deliver(message(alert("Slow"))).status_code == 200


def test_large_bodies_together_are_bounded_and_small_ones_go_on_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_no_hurry: None
) -> None:
    monkeypatch.setattr(webhook, "BODIES_HELD", 2)
    with Web(tmp_path, server={"max_body": "100KiB"}) as web:
        with ExitStack() as slow:
            for _ in range(2):
                client = slow.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=60))
                client.sendall(HEAD + JSON + b"Content-Length: 102400\r\n\r\n" + b" " * 102_399)
            until(lambda: web.deliver(message(alert("Slow"))).status_code == 503, why="too much is held")
        until(lambda: web.deliver(message(alert("Slow"))).status_code == 200, why="the slow ones are gone")


def test_of_large_deliveries_a_few_are_read_at_a_time(
    web: Web, monkeypatch: pytest.MonkeyPatch, in_no_hurry: None
) -> None:
    reading, most, store = 0, 0, webhook.Webhook._store

    async def note(self: webhook.Webhook, content: Any) -> int:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        try:
            return await store(self, content)
        finally:
            reading -= 1

    monkeypatch.setattr(webhook.Webhook, "_store", note)
    large = message(*(alert("Storm", pod=f"{number}") for number in range(1000)))
    with ThreadPoolExecutor(12) as senders:
        answers = [senders.submit(web.deliver, large) for _ in range(12)]
        assert [each.result().status_code for each in answers] == [200] * 12
    assert most <= webhook.READ_AT_ONCE
    assert len(stored(web)) == 12_000


@pytest.mark.parametrize("path", ["/api/v1/alerts/", "//api/v1/alerts", "/api/v1/Alerts"])
def test_a_path_that_is_not_quite_the_webhooks_is_never_redirected(web: Web, path: str) -> None:
    answer = web.client.post(httpx.URL(web.url + path), json=message(alert("Slow")))
    assert answer.status_code == 404
    assert answer.json()["status"] == "error"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_the_webhook_is_for_posting(web: Web, method: str) -> None:
    answer = web.client.request(method, "/api/v1/alerts")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"[" * 200_000, "not JSON|nested too deeply"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "nested too deeply"),
        (b'{"version": "\xff"}', "UTF-8"),
        (b"null", "version"),
        (b'{"version": "3", "alerts": []}', "version"),
        (b'{"version": "4", "alerts": {}}', "alerts"),
        (b'{"version": "4", "alerts": [], "truncatedAlerts": ' + b"9" * 5000 + b"}", "not JSON|truncatedAlerts"),
        (b'{"text": "a custom payload"}', "payload"),
    ],
)
def test_what_is_no_webhook_is_refused_with_the_reason(web: Web, body: bytes, why: str) -> None:
    answer = web.deliver(body)
    assert answer.status_code == 400
    assert any(each in answer.json()["error"] for each in why.split("|")), answer.text
    assert stored(web) == []


POISON: dict[str, Any] = {
    "NUL in a label": {"labels": {"alertname": "a\0b"}},
    "half a surrogate pair": {"labels": {"alertname": "\ud800"}},
    "a label that is a number": {"labels": {"alertname": 1}},
    "a megabyte in a label": {"labels": {"alertname": "x" * 1_000_000}},
    "no labels": {"labels": {}},
    "a thousand labels": {"labels": {f"l{number}": "" for number in range(1000)}},
    "no start": {"startsAt": "soon"},
    "a start without a zone": {"startsAt": "2026-01-01T00:00:00"},
    "a start before time": {"startsAt": "0000-00-00T00:00:00Z"},
    "another status": {"status": "suppressed"},
    "NaN as a label": {"labels": {"alertname": float("nan")}},
    "deep inside a label": {"labels": {"alertname": json.loads("[" * 500 + "]" * 500)}},
}


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_alert_is_set_aside_alone(web: Web, poison: str) -> None:
    body = message(alert("Before"), alert("Bad"), alert("After"))
    body["alerts"][1] |= POISON[poison]
    answer = web.deliver(json.dumps(body).encode())
    assert answer.status_code == 200
    assert [each for each in stored(web) if each[0] == "new"] == [("new", "Before"), ("new", "After")]
    assert [state for state, _ in stored(web)].count("quarantined") == 1


HOSTILE = {
    "CR and LF": "x\r\nSet-Cookie: a=b",
    "ANSI": "\x1b[2J\x1b]0;title\x07",
    "bidi": "\u202egnp.exe\u2066",
    "HTML": "<script>alert(1)</script>\"'>",
    "a template": "{{ 7*7 }}{% for x in y %}",
    "SQL": "'; DROP TABLE alerts; --",
    "the longest": "x" * 65_536,
    "outside the BMP": "🔥" * 100,
}


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_text_is_kept_as_it_is(web: Web, label: str) -> None:
    assert web.deliver(message(alert("Hostile", text=HOSTILE[label]))).status_code == 200
    assert web.read(lambda connection: connection.execute(sa.select(alerts.c.labels)).scalars().all()) == [
        {"alertname": "Hostile", "text": HOSTILE[label]}
    ]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
def test_the_first_and_the_last_moment_are_moments(web: Web, moment: str) -> None:
    body = message(alert("Edge"))
    body["alerts"][0] |= {"startsAt": moment}
    assert web.deliver(body).status_code == 200


def test_duplicate_keys_and_unknown_fields_are_taken_as_json_takes_them(web: Web) -> None:
    body = json.dumps(message(alert("Slow")) | {"notification_reason": "x", "routeLabels": {}})
    assert web.deliver(body.replace('"version": "4"', '"version": "3", "version": "4"').encode()).status_code == 200


def test_alerts_that_alertmanager_cut_off_are_counted(web: Web) -> None:
    before = counted("amend_truncated_alerts_total")
    assert web.deliver(message(alert("Slow")) | {"truncatedAlerts": 3}).status_code == 200
    assert counted("amend_truncated_alerts_total") == before + 3


def test_a_store_that_is_locked_gives_503_in_time_and_recovers(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(web.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with monkeypatch.context() as patch:
        patch.setattr(webhook, "ANSWER_WITHIN", 0.5)
        answer = web.deliver(message(alert("Slow")))
    assert answer.status_code == 503
    assert "not stored in time" in answer.json()["error"]  # and not what SQLite says, which waits for longer
    assert web.client.get("/-/ready").status_code == 200  # it can still be read
    other.execute("ROLLBACK")
    until(lambda: web.deliver(message(alert("Slow"))).status_code == 200, why="the store recovers")


def test_a_full_store_gives_503_and_recovers_alone(web: Web, in_no_hurry: None) -> None:
    async def pages(limit: int) -> None:
        def set_limit(connection: sa.Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count={limit}")

        await web.ledger.write(set_limit)  # every connection has a limit of its own; writes share one

    full = message(*(alert("Storm", pod=f"{number}", text="x" * 1000) for number in range(1000)))
    asyncio.run(pages(1))  # no smaller than what there is
    answer = web.deliver(full)
    assert answer.status_code == 503
    assert "the store does not take writes" in answer.json()["error"]
    asyncio.run(pages(1_000_000))
    assert web.deliver(full).status_code == 200
    assert len(stored(web)) == 1000


def test_a_client_that_leaves_in_the_middle_is_no_fault(web: Web) -> None:
    before = counted("amend_deliveries_total", result="slow")
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(HEAD + JSON + b"Content-Length: 100\r\n\r\n{")
    until(lambda: counted("amend_deliveries_total", result="slow") == before + 1, why="it is noticed")
    assert web.deliver(message(alert("Slow"))).status_code == 200
    assert web.read(lambda connection: connection.execute(sa.select(sa.func.count(deliveries.c.id))).scalar_one()) == 1
