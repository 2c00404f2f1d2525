"""A real exporter whose series a test sets while Prometheus scrapes it.

What a service does to its metrics is done here by hand: a value moves, a series vanishes, a scrape fails.
"""

import threading
from http.server import BaseHTTPRequestHandler

from tests.bed.loopback import Loopback

Series = tuple[str, tuple[tuple[str, str], ...]]


class MetricsTarget(Loopback):
    """Serves its series at `address`, under any path."""

    def __init__(self) -> None:
        self._series: dict[Series, float] = {}
        self._failing = False
        self._lock = threading.Lock()
        super().__init__()

    def set(self, metric: str, value: float, **labels: str) -> None:
        with self._lock:
            self._series[_series(metric, labels)] = value

    def add(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Count a counter up, from nothing if it is new."""
        with self._lock:
            series = _series(metric, labels)
            self._series[series] = self._series.get(series, 0) + amount

    def drop(self, metric: str, **labels: str) -> None:
        """Take away every series of the metric that has these labels."""
        with self._lock:
            for name, having in list(self._series):
                if name == metric and labels.items() <= dict(having).items():
                    del self._series[name, having]

    def fail(self) -> None:
        """Answer scrapes with 500 until `recover`."""
        self._failing = True

    def recover(self) -> None:
        self._failing = False

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        body = self._exposition().encode()
        request.send_response(500 if self._failing else 200)
        request.send_header("Content-Type", "text/plain; version=0.0.4")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _exposition(self) -> str:
        with self._lock:
            return "".join(_line(series, value) for series, value in sorted(self._series.items()))


def _series(metric: str, labels: dict[str, str]) -> Series:
    return metric, tuple(sorted(labels.items()))


def _line(series: Series, value: float) -> str:
    metric, labels = series
    inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
    return f"{metric}{{{inner}}} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
