"""A real Alertmanager of its own (no cluster unless a test names peers, no waiting), and amtool beside it.

Tests post alerts to it or let Prometheus do so, and read back what it holds.
"""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.bed.parts import program
from tests.bed.processes import Process, answers, free_port


def amtool(*arguments: str | Path) -> str:
    """What amtool prints; AssertionError with all of it when it finds something wrong."""
    done = subprocess.run(
        [program("amtool"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"amtool {' '.join(map(str, arguments))}\n{done.stdout}"
    return done.stdout


def to_webhook(url: str, *, token_file: Path | None = None, **route: object) -> dict[str, Any]:
    """A configuration that sends every group to one webhook as soon as it can; `route` adds to its only route."""
    http: dict[str, Any] = {"follow_redirects": False}
    if token_file:
        http["authorization"] = {"credentials_file": str(token_file)}
    return {
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
            **route,
        },
        "receivers": [
            {
                "name": "webhook",
                "webhook_configs": [{"url": url, "send_resolved": True, "max_alerts": 0, "http_config": http}],
            }
        ],
    }


class Alertmanager(Process):
    """An Alertmanager with the given configuration, which `to_webhook` makes for the usual case.

    `gossip` is where it talks to its cluster, `peers` are where the others of it do.
    """

    name = "Alertmanager"

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any],
        *,
        gossip: str = "",
        peers: Sequence[str] = (),
        flags: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=directory, prefix="alertmanager-"))
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.config = self.directory / "alertmanager.yml"
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))
        super().__init__(
            [
                program("alertmanager"),
                f"--config.file={self.config}",
                f"--storage.path={self.directory / 'data'}",
                f"--web.listen-address={self.address}",
                f"--cluster.listen-address={gossip}",
                *(f"--cluster.peer={peer}" for peer in peers),
                *flags,
            ],
            log=self.directory / "log",
        )

    def ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def post_alerts(self, *alerts: Mapping[str, Any]) -> None:
        """Give it alerts as Prometheus does: `{"labels": {…}, "annotations": {…}, "startsAt": …, "endsAt": …}`."""
        answer = httpx.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=60, trust_env=False)
        assert answer.status_code == 200, f"Alertmanager did not take it: {answer.text}"

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """The alerts that it holds, those of all matchers (`service="orders"`) if any are given."""
        answer = httpx.get(f"{self.url}/api/v2/alerts", params={"filter": matchers}, timeout=60, trust_env=False)
        alerts: list[dict[str, Any]] = answer.raise_for_status().json()
        return alerts
