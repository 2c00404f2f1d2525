"""No secret in any output: everything that has one fails, and then all that the receiver ever said is searched.

Each secret is a word of its own, so that one can tell which it was and where.
"""

import hashlib
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.bed.http_recorder import HttpRecorder
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import free_port, until
from tests.bed.receiver import AMEND, Receiver, alert

CANARIES = {
    name: f"canary-{name}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    for name in ("slack", "webhook", "bearer", "store", "hmac", "header", "wrong", "environment")
}

PLAYBOOKS = """
playbooks:
- name: everything-fails
  mode: enforce
  matchers: ['alertname="Broken"']
  steps:
  - http: {{url: "{nowhere}/x", headers: {{X-Token: {header}}}}}
    timeout: 1s
  on_failure:
  - notify: {{receiver: people, message: "{{{{ labels.service }}}} is broken"}}
    timeout: 1s
  - notify: {{receiver: machines, message: "{{{{ labels.service }}}} is broken"}}
    timeout: 1s
"""


def test_no_secret_is_in_any_output_though_everything_fails(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, postgresql: PostgreSql
) -> None:
    recorder.answer(500, b"no")
    nowhere = f"http://127.0.0.1:{free_port()}"
    files = {name: tmp_path / name for name in CANARIES}
    for name, file in files.items():
        file.write_text(CANARIES[name])
        file.chmod(0o600)
    files["slack"].write_text(f"{recorder.url}/services/{CANARIES['slack']}")
    files["webhook"].write_text(f"{nowhere}/{CANARIES['webhook']}")
    amend = Receiver(
        tmp_path,
        playbooks=PLAYBOOKS.format(nowhere=nowhere, header=CANARIES["header"]),
        outbound={"allow_hosts": ["127.0.0.1"]},
        store={"url": postgresql.database().replace("postgres@", f"postgres:{CANARIES['store']}@")},
        audit={"hmac_key_file": str(files["hmac"])},
        receivers=[
            {"name": "people", "slack": {"url_file": str(files["slack"])}},
            {
                "name": "machines",
                "webhook": {"url_file": str(files["webhook"]), "bearer_token_file": str(files["bearer"])},
            },
        ],
        watchdog={"within": "100ms", "receiver": "people"},
        logging={"level": "debug"},
    )
    amend.environment["UNUSED_SECRET"] = CANARIES["environment"]
    running.enter_context(amend)
    said: dict[str, str] = {}

    def run(*arguments: str | Path) -> None:
        environment = {**amend.environment, "AMEND_URL": amend.url, "AMEND_KEY_FILE": str(amend.key_file)}
        done = subprocess.run(
            [AMEND, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=amend.directory
        )
        said[f"amend {' '.join(map(str, arguments))}"] = done.stdout + done.stderr

    assert amend.post(alert("Broken", service="orders")).status_code == 200
    run_id = amend.run("done")["id"]
    until(lambda: amend.get("audit", kind="watchdog_silent")["audit"], why="the Watchdog's notification fails, too")
    key = amend.key_file.read_text()
    amend.key_file.write_text(CANARIES["wrong"])
    said["refused"] = amend.ask("GET", "/api/v1/runs").text + amend.ask("POST", "/-/reload").text
    amend.key_file.write_text(key)
    for path in ("runs", f"runs/{run_id}", "episodes", "audit", "audit/export", "playbooks", "status", "explain?run=1"):
        said[path] = amend.ask("GET", f"/api/v1/{path}").text
    for path in ("/metrics", "/-/ready", "/", "/nowhere", "/sign-in"):
        said[path] = amend.ask("GET", path).text
    run("check", "--config", amend.config)
    run("runs", "list")
    run("runs", "show", str(run_id))
    run("audit", "list", "--limit", "100")
    run("audit", "verify")
    run("playbooks", "check", amend.playbook_file)
    amend.terminate()
    amend.config.write_text(amend.config.read_text().replace(str(postgresql.port), str(free_port())))
    run("serve", "--config", amend.config)  # with a store that is not there
    said["log"] = amend.log.read_text()

    assert "everything-fails" in said["amend runs list"], "the commands told something"
    assert "step" in said["log"]
    secrets = {**CANARIES, "webhook token": amend.token_file.read_text(), "API key": key}
    secrets["token of the store's URL"] = CANARIES["store"]
    del secrets["header"]  # it stands in a playbook, which is no place for one
    found = [(name, where) for where, text in said.items() for name, secret in secrets.items() if secret in text]
    assert found == []
    assert not [where for where, text in said.items() if CANARIES["header"] in text and "playbooks" not in where]
