"""The real `amend serve` as a child process, with a webhook token and an admin's API key of its own.

Tests hand it playbooks and settings, post alerts as Alertmanager does, kill it and look at what it remembers.
"""

import hashlib
import secrets
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.bed.processes import PATIENCE, Process, answers, free_port, until

AMEND = Path(sys.executable).with_name("amend")

NEVER = "0001-01-01T00:00:00Z"  #: the `endsAt` of an alert that fires


def alert(
    name: str,
    *,
    started: datetime | None = None,
    ended: datetime | None = None,
    annotations: Mapping[str, str] | None = None,
    generator_url: str = "",
    **labels: str,
) -> dict[str, Any]:
    """One alert of a webhook: firing, and resolved when it has ended."""
    every = {"alertname": name, **labels}
    return {
        "status": "resolved" if ended else "firing",
        "labels": every,
        "annotations": dict(annotations or {}),
        "startsAt": (started or datetime.now(UTC)).isoformat(),
        "endsAt": ended.isoformat() if ended else NEVER,
        "generatorURL": generator_url,
        "fingerprint": hashlib.sha256(repr(sorted(every.items())).encode()).hexdigest()[:16],
    }


def message(*alerts: Mapping[str, Any], receiver: str = "amend") -> dict[str, Any]:
    """A webhook of version 4 with the alerts as one group."""
    name = alerts[0]["labels"]["alertname"] if alerts else ""
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
        "receiver": receiver,
        "groupLabels": {"alertname": name},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts),
    }


class Receiver(Process):
    """Amend at `url`. `settings` are sections of amend.yml; `playbooks` is the text of one playbook file."""

    name = "amend serve"

    def __init__(self, directory: Path, *, playbooks: str = "", **settings: Any) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=directory, prefix="amend-"))
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.webhook_url = f"{self.url}/api/v1/alerts"
        self.token_file = self._write("token", secrets.token_urlsafe())
        self.key_file = self._write("key", secrets.token_urlsafe())
        self.database = self.directory / "amend.db"
        hash_file = self._write("key.sha256", hashlib.sha256(self.key_file.read_bytes()).hexdigest())
        self.playbook_file = self._write("playbooks.yml", playbooks)
        self.config = self._write(
            "amend.yml",
            yaml.safe_dump(
                {
                    "server": {"listen": self.address},
                    "auth": {
                        "webhook": {"bearer_token_file": str(self.token_file)},
                        "api_keys": [{"name": "test", "hash_file": str(hash_file), "role": "admin"}],
                    },
                    "store": {"url": f"sqlite:///{self.database}"},
                    "playbooks": [str(self.playbook_file)] if playbooks else [],
                    **settings,
                },
                sort_keys=False,
            ),
        )
        super().__init__([AMEND, "serve", "--config", self.config], log=self.directory / "log")

    def ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def post(self, *alerts: Mapping[str, Any]) -> httpx.Response:
        """Deliver alerts (of `alert`) as one group, once, and give the answer whatever it is."""
        return httpx.post(
            self.webhook_url,
            json=message(*alerts),
            headers={"Authorization": f"Bearer {self.token_file.read_text()}"},
            timeout=60,
            trust_env=False,
        )

    def get(self, path: str, **parameters: str) -> Any:
        """The JSON of a path below `/api/v1/`, asked with the API key."""
        answer = self.ask("GET", f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def runs(self, **filters: str) -> list[dict[str, Any]]:
        """The newest runs, those that the filters keep."""
        runs: list[dict[str, Any]] = self.get("runs", **filters)["runs"]
        return runs

    def run(self, status: str = "done", *, within: float = PATIENCE, **filters: str) -> dict[str, Any]:
        """The one run that the filters keep, as soon as it has this status."""

        def reached() -> dict[str, Any] | None:
            runs = self.runs(**filters)
            assert len(runs) <= 1, f"{len(runs)} runs, not one: {runs}"
            return runs[0] if runs and runs[0]["status"] == status else None

        found = until(reached, within=within, why=f"no run is {status}: {self.runs(**filters)}")
        assert found
        return found

    def reload(self) -> httpx.Response:
        """Have it read its files again, and give the answer whatever it is."""
        return self.ask("POST", "/-/reload")

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key_file.read_text()}"}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, trust_env=False, **options)

    def _write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path
