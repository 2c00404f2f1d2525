"""Made-up alerts over HTTP: who may try one, who may have it answered, and what is no alert."""

from pathlib import Path
from typing import Any

import pytest

from receiver.actions import VERBS
from receiver.playbook import read
from receiver.store import deliveries
from tests.web.conftest import KEYS, Web

PATH = "/api/v1/trigger"
LABELS = {"alertname": "Full", "service": "orders"}
TELLS = "- {name: tell, mode: enforce, matchers: ['alertname=\"Full\"'], steps: [notify: {receiver: chat}]}"


@pytest.fixture
def telling(web: Web, tmp_path: Path) -> Web:
    file = tmp_path / "playbooks.yml"
    file.write_text(f"playbooks:\n{TELLS}\n")
    web.playbooks = read(file, VERBS)
    return web


def test_a_trial_is_told_and_stores_nothing(telling: Web) -> None:
    answer = telling.post(PATH, labels=LABELS).json()
    assert answer["status"] == "tried"
    [trial] = answer["playbooks"]
    assert (trial["playbook"], trial["would"], trial["reason"], trial["target"]) == ("tell", "act", None, None)
    assert [step["verb"] for step in trial["steps"]] == ["notify"]
    assert telling.read(lambda connection: deliveries.waiting(connection, limit=9)) == []


def test_an_alert_that_nothing_answers_is_told_so(telling: Web) -> None:
    answer = telling.post(PATH, labels={"alertname": "Other"}).json()
    assert answer == {"status": "tried", "playbooks": [], "missed": []}


def test_what_is_in_the_way_of_a_playbook_that_names_the_alert_is_told(telling: Web, tmp_path: Path) -> None:
    file = tmp_path / "playbooks.yml"
    file.write_text(f"playbooks:\n{TELLS.replace(']', ', severity=high]', 1)}\n")
    telling.playbooks = read(file, VERBS)
    answer = telling.post(PATH, labels=LABELS).json()
    assert answer["playbooks"] == []
    assert answer["missed"] == [{"playbook": "tell", "why": 'not matched: severity="high"'}]
    answer = telling.post(PATH, labels={**LABELS, "severity": "high"}, status="resolved").json()
    assert answer["missed"] == [{"playbook": "tell", "why": "on: firing"}]


def test_to_have_it_answered_takes_an_admin(telling: Web) -> None:
    assert telling.post(PATH, labels=LABELS, enforce=True).status_code == 403
    assert telling.post(PATH, labels=LABELS, role="viewer").status_code == 403
    answer = telling.post(PATH, labels=LABELS, enforce=True, role="admin")
    assert answer.json() == {"status": "stored", "delivery": 1}
    assert telling.woken == 1
    [stored] = telling.read(lambda connection: deliveries.waiting(connection, limit=9))
    assert stored.alert.labels == LABELS


def test_without_a_key_nothing_is_tried(telling: Web) -> None:
    assert telling.client.post(PATH, json={"labels": LABELS}).status_code == 401
    webhook = {"Authorization": "Bearer webhook-token"}
    assert telling.client.post(PATH, json={"labels": LABELS}, headers=webhook).status_code == 401


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"labels": {}}, "labels: "),
        ({"labels": {"a": 1}}, "labels.a: "),
        ({"labels": {"a": "x\x00"}}, "labels.a: "),
        ({"status": "pending"}, "status: "),
        ({"enforce": "yes"}, "enforce: "),
        ({"label": {}}, "label: "),
        ({"annotations": []}, "annotations: "),
    ],
)
def test_what_is_no_alert_is_refused_in_words(telling: Web, wrong: dict[str, Any], said: str) -> None:
    headers = {"Authorization": f"Bearer {KEYS['admin']}"}
    answer = telling.client.post(PATH, json={"labels": LABELS, **wrong}, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(said)
