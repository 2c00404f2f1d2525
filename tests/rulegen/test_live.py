"""A real Prometheus that scrapes a real exporter: raw counters, generated rules, an alert with its numbers.

What promtool cannot show is shown here: groups in their own time, and templates that are filled in while the
metrics move.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from receiver.conventions import NUMBERS
from tests.bed.metrics_target import MetricsTarget
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus
from tests.rulegen.proof import generated

#: It ends its matcher, its template and its string wherever it is not quoted.
HOSTILE = "shop\"} or vector(1) {{ $value }} \\ ' `\n"
DETECTOR = (
    "{name: request_rate, description: Requests per second, expr: 'sum by (service) (rate(requests_total[5s]))',"
    " by: [service], preset: high_frequency, interval: 1s, window: 1m, min_samples: 8, for: 2s, keep_firing_for: 0s,"
    " min_deviation: {relative: 50%}, severity: {high: 3, critical: 6}}"
)


class Traffic:
    """Requests that are counted all the time, `each` of them twenty times a second."""

    def __init__(self, target: MetricsTarget, *services: str) -> None:
        self.each = dict.fromkeys(services, 1)
        self._target = target
        self._over = threading.Event()

    def flow(self) -> None:
        while not self._over.wait(0.05):
            for service, amount in self.each.items():
                self._target.add("requests_total", amount, service=service)

    @contextmanager
    def flowing(self) -> Iterator["Traffic"]:
        thread = threading.Thread(target=self.flow)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()


def test_a_spike_in_a_scraped_counter_raises_the_alert_with_its_numbers_and_is_resolved(
    tmp_path: Path, running: ExitStack, target: MetricsTarget
) -> None:
    out = generated(tmp_path, DETECTOR)
    traffic = running.enter_context(Traffic(target, HOSTILE, "calm").flowing())
    rules = [out / "shop.rules.yml"]
    prometheus = running.enter_context(Prometheus(tmp_path, scrape={"shop": target.address}, rules=rules))
    until(
        lambda: len(prometheus.query("amend:zscore")) == 2,
        within=40,
        why="both services are judged once there are 8 samples",
    )
    assert prometheus.alerts() == []

    traffic.each[HOSTILE] = 10
    until(lambda: len(_firing(prometheus)) == 2, within=30, why="the spike fires in both severities")
    for alert in _firing(prometheus):
        assert alert["labels"]["service"] == HOSTILE
        assert alert["labels"]["detector"] == "request_rate"
        numbers = {name: float(alert["annotations"][name]) for name in NUMBERS}
        assert numbers["value"] > 2 * numbers["mean"] > 0
        assert numbers["z_score"] > 3
        assert 0.5 < numbers["score"] < 1
        _fit(numbers)
    assert {alert["labels"]["severity"] for alert in _firing(prometheus)} == {"high", "critical"}

    traffic.each[HOSTILE] = 1
    until(lambda: prometheus.alerts() == [], within=30, why="the alert is over when the spike is")


def _firing(prometheus: Prometheus) -> list[dict[str, Any]]:
    return [alert for alert in prometheus.alerts("RequestRateAnomaly") if alert["state"] == "firing"]


def _fit(numbers: dict[str, float]) -> None:
    """The annotations are about one moment: they fit together."""
    z_score = (numbers["value"] - numbers["mean"]) / numbers["stddev"]
    percent = 100 * (numbers["value"] - numbers["mean"]) / numbers["mean"]
    assert abs(z_score - numbers["z_score"]) < 0.05 * abs(z_score)
    assert abs(percent - numbers["deviation_percent"]) < 0.05 * percent
    assert abs(numbers["z_score"] / (numbers["z_score"] + 3) - numbers["score"]) < 0.05
