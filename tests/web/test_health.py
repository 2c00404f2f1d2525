import subprocess
import sys

import pytest

from receiver.errors import ConfigError, ConfigErrors
from tests.web.conftest import KEYS, Web


def test_it_is_healthy_ready_and_measured_without_a_key(web: Web) -> None:
    assert web.client.get("/-/healthy").text == "Amend is healthy.\n"
    assert web.client.get("/-/ready").text == "Amend is ready.\n"
    metrics = web.client.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=")
    assert "amend_deliveries_total" in metrics.text


def test_it_is_not_ready_while_the_store_cannot_be_read(web: Web) -> None:
    web.ledger.engine.dispose()
    content = web.database.read_bytes()
    web.database.write_bytes(b"no database" * 1000)
    answer = web.client.get("/-/ready")
    assert answer.status_code == 503
    assert "not ready: the store cannot be read" in answer.text
    assert web.client.get("/-/healthy").status_code == 200
    web.database.write_bytes(content)
    web.ledger.engine.dispose()
    assert web.client.get("/-/ready").status_code == 200


def reload(web: Web, role: str) -> tuple[int, str]:
    answer = web.client.post("/-/reload", headers={"Authorization": f"Bearer {KEYS[role]}"})
    return answer.status_code, answer.json().get("error", "")


def test_an_admin_reloads_by_name(web: Web) -> None:
    assert reload(web, "admin") == (200, "")
    assert web.reloaded_by == ["the-admin"]


def test_nobody_else_reloads(web: Web) -> None:
    assert reload(web, "approver")[0] == 403
    assert 'the key "the-viewer" has the role viewer; this needs admin' in reload(web, "viewer")[1]
    assert web.client.post("/-/reload").status_code == 401
    assert web.reloaded_by == []


def test_a_bad_configuration_is_refused_with_the_place_of_every_mistake(web: Web) -> None:
    web.reload_error = ConfigErrors(
        [ConfigError("web.yml", 14, 'unknown action "restrat"'), ConfigError("web.yml", 20, '"matchers" is missing')]
    )
    status, error = reload(web, "admin")
    assert status == 400
    assert "the old configuration stays in force" in error
    assert 'web.yml:14: unknown action "restrat"' in error
    assert 'web.yml:20: "matchers" is missing' in error


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/metrics", "/api/v1/alerts", "/nowhere"])
def test_every_answer_carries_the_headers_that_keep_a_browser_out_of_trouble(web: Web, path: str) -> None:
    headers = web.client.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_doors_load_no_heavy_clients_and_nothing_of_rule_generation() -> None:
    program = (
        "import sys, receiver.web; "
        "print([name for name in sys.modules if name.split('.')[0] in ('kubernetes', 'docker')"
        " or name.startswith('receiver.rulegen')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
