"""Every poisoned body is refused or set aside by the real receiver, and nothing else is lost.

A 5xx for what a body holds would have Alertmanager send it for ever.
"""

import copy
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bed.http_recorder import HttpRecorder
from tests.bed.receiver import Receiver, alert, message
from tests.faults.test_deliveries import metric, receiver
from tests.web.test_webhook import HOSTILE, POISON

NO_WEBHOOKS = [
    b"",
    b"null",
    b"[" * 200_000,
    b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    b'{"version": "\xff", "alerts": []}',
    b'{"version": "\xed\xa0\x80", "alerts": []}',
    b'{"version": "3", "alerts": []}',
    b'{"version": "4", "alerts": {}}',
    b'{"version": "4", "alerts": [], "truncatedAlerts": ' + b"9" * 5000 + b"}",
    b'{"version": "4", "alerts": [], "truncatedAlerts": -1}',
    b'{"version": "4", "alerts": [], "truncatedAlerts": NaN}',
    b'{"text": "a custom payload"}',
    b"\x1f\x8b\x08" + bytes(1000),
]


class Sender:
    """Posts anything to a receiver over one connection."""

    def __init__(self, amend: Receiver) -> None:
        self.client = httpx.Client(
            headers={"Authorization": f"Bearer {amend.token_file.read_text()}", "Content-Type": "application/json"},
            timeout=60,
            trust_env=False,
        )
        self.url = amend.webhook_url

    def __call__(self, body: bytes) -> int:
        return self.client.post(self.url, content=body).status_code


@pytest.fixture(params=["sqlite", "postgresql"])
def poisoned(
    request: pytest.FixtureRequest, tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> tuple[Receiver, Sender]:
    """A receiver on either store, and who posts to it."""
    store = {"store": {"url": request.getfixturevalue("postgresql").database()}} if request.param != "sqlite" else {}
    limits = {"actions_per_minute": 10_000}
    amend = running.enter_context(receiver(tmp_path, recorder, limits=limits, **store))
    return amend, Sender(amend)


def test_every_poison_is_refused_or_set_aside_and_the_alerts_beside_it_are_acted_on(
    poisoned: tuple[Receiver, Sender], recorder: HttpRecorder
) -> None:
    amend, send = poisoned
    for nothing in NO_WEBHOOKS:
        assert send(nothing) == 400, nothing[:80]
    poisons = POISON | {name: {"labels": {"x": text}} for name, text in HOSTILE.items()}
    expected = []
    for number, (name, poison) in enumerate(poisons.items()):
        body = message(alert("Bad"), alert("Broken", service=f"s{number}"))
        body["alerts"][0] |= poison
        assert send(json.dumps(body).encode()) == 200, name
        expected.append(f"/remedy/s{number}")
    for text in HOSTILE.values():  # of an alert that a playbook answers: it goes the whole way
        assert send(json.dumps(message(alert("Broken", service="x", text=text))).encode()) == 200
        expected.append("/remedy/x")
    recorder.wait_for(len(expected))
    assert sorted(request.path for request in recorder.requests) == sorted(expected)
    assert amend.log.read_text().count("an alert cannot be read, nobody answers it") == len(POISON)
    assert metric(amend, "amend_worker_errors_total") == 0
    assert metric(amend, "amend_store_errors_total") == 0
    for path in ("runs", "episodes", "audit", "audit/verify", "audit/export"):
        assert amend.ask("GET", f"/api/v1/{path}").status_code == 200, path
    assert amend.terminate() == 0


# ── whatever else there may be ──

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["", "4", "firing", "resolved", "\0", "\ud800", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=8,
)

PLACES = st.sampled_from(
    [
        *((key,) for key in message()),
        *(("alerts", 0, key) for key in alert("Some")),
        ("alerts", 0),
        ("alerts", 0, "labels", "service"),
        ("alerts", 0, "labels", "alertname"),
        ("alerts", 0, "annotations", "value"),
    ]
)


def put(body: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        body = body[key]
    body[place[-1]] = value


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A webhook with something else at one or two places, or just something else."""
    body = copy.deepcopy(message(alert("Broken", service="orders"), alert("Nobody")))
    for place in draw(st.lists(PLACES, min_size=1, max_size=2)):
        try:
            put(body, place, draw(VALUES))
        except (TypeError, KeyError, IndexError):
            return json.dumps(draw(VALUES)).encode()
    return draw(st.sampled_from([json.dumps(body), json.dumps(body, ensure_ascii=False)])).encode(
        errors="surrogatepass"
    )


def test_no_body_at_all_is_an_error_of_ours(poisoned: tuple[Receiver, Sender]) -> None:
    amend, send = poisoned
    given_bodies: Callable[[Callable[[bytes], None]], Callable[[], None]] = given(bodies() | st.binary(max_size=200))

    @settings(max_examples=200, suppress_health_check=list(HealthCheck), database=None)
    @given_bodies
    def post(body: bytes) -> None:
        assert send(body) in {200, 400}

    post()
    assert metric(amend, "amend_worker_errors_total") == 0
    assert metric(amend, "amend_store_errors_total") == 0
    assert amend.ask("GET", "/-/ready").status_code == 200
    assert amend.ask("GET", "/api/v1/audit/verify").json()["verified"] is True
