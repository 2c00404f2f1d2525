"""An exporter with one metric of every kind, told with types and help as real exporters do, beside hostile ones.

Tests of `amend rules init` scrape it; `live` moves what a living service moves.
"""

import struct
from http.server import BaseHTTPRequestHandler

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from tests.bed.loopback import Loopback

#: It ends its string, its comment and its line wherever it is not quoted.
HOSTILE = "x\"} or vector(1) {{ $value }} # '\\ : \n- name: evil \x1b[31m \u202e"


class Exporter(Loopback):
    """Serves its `registry`; metrics are prometheus-client's own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        answer(request, generate_latest(self.registry), CONTENT_TYPE_LATEST)


class Shop(Exporter):
    """A service as they are: traffic, queues, memory, and much that nobody wants to be woken for."""

    def __init__(self) -> None:
        super().__init__()
        where = {"namespace": "shop", "deployment": "web"}
        self._names, self._where = [*where], where
        self._ticks = 0
        seconds = "http_request_duration_seconds"
        self._latency = Histogram(seconds, f"Latency. {HOSTILE}", [*where, "path"], registry=self.registry)
        self._requests = self._counter("http_requests", "code", "pod", "path")
        self._jobs, self._failed = self._counter("jobs"), self._counter("jobs_failed")
        self._bytes = self._counter("sent_bytes")
        self._timeouts = self._counter("upstream_timeouts")
        self._asleep = self._counter("never_counted")
        self._queue, self._free = self._gauge("queue_length", "queue"), self._gauge("disk_free_bytes", "mountpoint")
        self._memory = self._gauge("process_resident_memory_bytes")
        self._gauge("config_workers").labels(**where).set(4)
        self._switch = self._gauge("is_leader")
        self._gauge("last_backup_timestamp_seconds").labels(**where).set(1.7e9)
        self._boot = self._gauge("boot_time_seconds")
        self._odd = self._gauge("Odd__Name")
        self._rpc = Summary("rpc_duration_seconds", "RPCs", [*where], registry=self.registry)
        Info("build", "The build", registry=self.registry).info({"version": HOSTILE})
        self.live()

    def live(self) -> None:
        """Go on a little: everything moves that moves in a living service."""
        self._ticks += 1
        where, tick = self._where, self._ticks
        for path in range(60):
            self._latency.labels(**where, path=f"/{path}{HOSTILE}").observe(0.01 * (tick % 7))
            self._requests.labels(**where, code="200", pod=f"web-{path % 3}", path=f"/{path}{HOSTILE}").inc()
        for counter in (self._jobs, self._failed, self._bytes):
            counter.labels(**where).inc(tick)
        self._timeouts.labels(**where)
        self._asleep.labels(**where)
        self._queue.labels(**where, queue="mails").set(tick % 7)  # no part of a second, at five ticks in each
        self._free.labels(**where, mountpoint="/").set(1e9 - tick)
        self._memory.labels(**where).set(1e8 + tick % 3)
        self._switch.labels(**where).set(tick % 2)
        self._boot.labels(**where).set(1.7e9 + tick)
        self._odd.labels(**where).set(tick)
        self._rpc.labels(**where).observe(0.1)

    def _counter(self, name: str, *more: str) -> Counter:
        return Counter(name, f"Help of {name}", [*self._names, *more], registry=self.registry)

    def _gauge(self, name: str, *more: str) -> Gauge:
        return Gauge(name, f"Help of {name}", [*self._names, *more], registry=self.registry)


class Native(Loopback):
    """One native histogram, in the only form that carries them before Prometheus 3: protobuf."""

    def __init__(self) -> None:
        self.observed = 0
        super().__init__()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        self.observed += 1
        histogram = b"".join(
            (
                _field(1, self.observed),  # sample_count
                b"\x11" + struct.pack("<d", 0.1 * self.observed),  # sample_sum
                _field(5, 0),  # schema
                b"\x31" + struct.pack("<d", 1e-9),  # zero_threshold
                _field(7, 0),  # zero_count
                _field(12, _field(1, 0) + _field(2, 1)),  # positive_span: one bucket, at offset 0
                _field(13, 2 * self.observed),  # positive_delta, zigzag
            )
        )
        label = _field(1, b"namespace") + _field(2, b"shop")
        metric = _field(1, label) + _field(7, histogram)
        family = _field(1, b"cart_seconds") + _field(2, b"Carts") + _field(3, 4) + _field(4, metric)
        answer(request, _varint(len(family)) + family, PROTOBUF)


PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


class Crowd(Loopback):
    """Ten thousand users, each with a series of two metrics."""

    SIZE = 10_000

    def __init__(self) -> None:
        self._scrapes = 0
        super().__init__()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        self._scrapes += 1
        lines = ["# TYPE logins_total counter", "# TYPE balance gauge"]
        for user in range(self.SIZE // 2):
            lines.append(f'logins_total{{user="u{user}"}} {self._scrapes}')
            lines.append(f'balance{{user="u{user}",namespace="n{user}"}} {self._scrapes % 5}')
        answer(request, ("\n".join(lines) + "\n").encode(), "text/plain; version=0.0.4")


def answer(request: BaseHTTPRequestHandler, body: bytes, content_type: str) -> None:
    request.send_response(200)
    request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
