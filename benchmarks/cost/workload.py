"""The watched series: what they look like, and a local target that serves them while Prometheus scrapes.

Four patterns stand for all series. Three are calm, with a daily wave; one is restless, as a queue or an error rate is.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Final

from tests.bed.loopback import Loopback

METRIC: Final = "cost_value"
TARGET: Final = {"job": "cost", "instance": "cost"}
_RESTLESS: Final = 3
_DAY: Final = 86400


@dataclass(frozen=True)
class Workload:
    """So many series, scraped so often."""

    series: int
    every: timedelta
    patterns: int = 4

    def __str__(self) -> str:
        return f"{self.series:,} series at {self.every.total_seconds():g} s"

    def names(self, pattern: int) -> Sequence[str]:
        """The label `series` of those that follow a pattern."""
        return [f"{number:05d}" for number in range(pattern, self.series, self.patterns)]


def value(pattern: int, at: float) -> float:
    """The pattern's value at a Unix time: the same whenever it is asked, and within three deviations of its mean."""
    if pattern == _RESTLESS:
        return _rounded(200 * _dice(pattern, at))
    wave = 20 * math.sin(2 * math.pi * (at / _DAY + pattern / 4))
    return _rounded(100 + wave + 10 * _dice(pattern, at))


def labelled(metric: str, labels: Sequence[tuple[str, str]]) -> str:
    inner = ",".join(f'{name}="{text}"' for name, text in labels)
    return f"{metric}{{{inner}}}"


class Target(Loopback):
    """Serves every series at its value of now."""

    def __init__(self, workload: Workload) -> None:
        # A line holds the place of its value: the whole text is made by one replacement per pattern.
        self._lines = [
            "".join(f"{labelled(METRIC, [('series', name)])} \0\n" for name in workload.names(pattern))
            for pattern in range(workload.patterns)
        ]
        self.scrapes = 0
        super().__init__()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        self.scrapes += 1
        now = time.time()
        text = "".join(lines.replace("\0", repr(value(pattern, now))) for pattern, lines in enumerate(self._lines))
        request.send_response(200)
        request.send_header("Content-Type", "text/plain; version=0.0.4")
        request.end_headers()
        request.wfile.write(text.encode())


def _dice(pattern: int, at: float) -> float:
    """Between 0 and 1, without any order that one could see, and the same for the same moment."""
    return (math.sin(at * 12.9898 + pattern * 78.233) * 43758.5453) % 1


def _rounded(value: float) -> float:
    """To sixteenths: raw samples that are cheap to read, so that nobody's comparison with them is flattered."""
    return round(value * 16) / 16
