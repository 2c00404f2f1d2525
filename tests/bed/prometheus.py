"""A real Prometheus that scrapes, evaluates and alerts every second, and promtool beside it.

Tests give it rule files, addresses to scrape and history; they ask it in PromQL.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.bed.parts import program
from tests.bed.processes import Process, answers, free_port


def promtool(*arguments: str | Path) -> str:
    """What promtool prints; AssertionError with all of it when it finds something wrong."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        env={**os.environ, "GOMAXPROCS": "1"},  # other tests have use for the other cores
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"promtool {' '.join(map(str, arguments))}\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Sample:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


class Prometheus(Process):
    """`scrape` is job → host:port, `alertmanagers` are host:port, `rules` files or globs of them.

    `history` is OpenMetrics text that is back-filled before the first start; `config` adds or replaces whole sections.
    """

    name = "Prometheus"

    def __init__(
        self,
        directory: Path,
        *,
        scrape: Mapping[str, str] | None = None,
        rules: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        history: str = "",
        interval: str = "1s",
        config: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=directory, prefix="prometheus-"))
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.config = self.directory / "prometheus.yml"
        self.write_config(
            {
                "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
                "rule_files": [str(path.resolve()) for path in rules],
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [address]}]}
                    for job, address in (scrape or {}).items()
                ],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
                **(config or {}),
            }
        )
        data = self.directory / "data"
        if history:
            backfill(history, data)
        super().__init__(
            [
                program("prometheus"),
                f"--config.file={self.config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=1y",
                f"--web.listen-address={self.address}",
                "--web.enable-lifecycle",
                "--rules.alert.resend-delay=1s",
                *flags,
            ],
            log=self.directory / "log",
        )

    def ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Put another configuration in place of this one; `reload` makes it count."""
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))

    def reload(self) -> None:
        """Read the configuration and the rule files again."""
        answer = httpx.post(f"{self.url}/-/reload", timeout=60, trust_env=False)
        assert answer.status_code == 200, f"Prometheus did not take it: {answer.text}\n{self.tail(10)}"

    def query(self, expression: str) -> list[Sample]:
        """The series that an instant query gives now."""
        result = self._get("query", query=expression)["result"]
        return [Sample(each["metric"], float(each["value"][1])) for each in result]

    def value(self, expression: str) -> float | None:
        """The one number that an instant query gives now; None when it gives no series."""
        samples = self.query(expression)
        assert len(samples) <= 1, f"{expression} gives {len(samples)} series, not one"
        return samples[0].value if samples else None

    def alerts(self, name: str | None = None) -> list[dict[str, Any]]:
        """The alerts, pending and firing, of all rules or of those called `name`."""
        alerts: list[dict[str, Any]] = self._get("alerts")["alerts"]
        return [alert for alert in alerts if name in (None, alert["labels"]["alertname"])]

    def firing(self, name: str) -> bool:
        return any(alert["state"] == "firing" for alert in self.alerts(name))

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=60, trust_env=False)
        body: dict[str, Any] = answer.json()
        assert body["status"] == "success", f"{parameters}: {body}"
        data: dict[str, Any] = body["data"]
        return data


def backfill(history: str, data: Path) -> None:
    """Put OpenMetrics text with timestamps into a data directory that no Prometheus uses."""
    data.mkdir(parents=True, exist_ok=True)
    text = data.parent / "history.om"
    text.write_text(history if history.endswith("# EOF\n") else f"{history.rstrip()}\n# EOF\n")
    promtool("tsdb", "create-blocks-from", "openmetrics", text, data)
