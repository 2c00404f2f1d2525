"""`python -m benchmarks.receiver`: how many deliveries are taken, and how soon they are answered, on either store.

People run it on a machine that does nothing else, for some minutes; `--quick` shows that it works, and nothing about
speed.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from benchmarks.cost.report import machine
from benchmarks.receiver import load
from receiver.commands.options import Format, Output
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import Process, answers, free_port, until
from tests.bed.receiver import Receiver

PLAYBOOK: Final = """
- name: act-{shard}
  mode: enforce
  matchers: ['alertname="Bench"', 'shard="{shard}"']
  condition: z_score > 3
  cooldown: 0s
  max_attempts: {{count: 1, within: 1h}}
  steps:
  - http: {{url: "{target}/act/{{{{ labels.service }}}}"}}
"""
UNLIMITED: Final = {"actions_per_minute": 10**6, "targets_per_10m": 10**6}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured on one subject; times in seconds."""

    subject: str
    start: float  #: from the start of the process until it is ready
    accepts: dict[int, float]  #: deliveries a second, by alerts in each
    p50: float  #: from the POST of an alert to its action
    p99: float
    burst: float  #: until the last of BURST was acted on
    resident_bytes: int  #: at its highest


@dataclass(frozen=True)
class Pace:
    seconds: float
    samples: int
    burst: int


FULL: Final = Pace(5, 500, 1000)
QUICK: Final = Pace(0.5, 20, 50)


class Floor(Process):
    """The handler that keeps nothing, in a process of its own."""

    name = "floor"

    def __init__(self, directory: Path, target: str) -> None:
        self.port = free_port()
        argv = [sys.executable, "-m", "benchmarks.receiver.floor", str(self.port), target]
        super().__init__(argv, log=directory / "floor.log")

    def ready(self) -> bool:
        return answers(f"http://127.0.0.1:{self.port}/-/ready")


def benchmark(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A few deliveries only.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="floor, sqlite or postgresql; repeatable.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Measure accepts, latency, memory and start on SQLite and PostgreSQL, beside a handler that keeps nothing."""
    facts, pace = machine(), QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        syncs = sync_times(folder, samples=50 if quick else 1000)
        results = [_measure(each, folder, pace) for each in only or ["floor", "sqlite", "postgresql"]]
    if output is Format.JSON:
        print(json.dumps({"machine": facts, "sync": syncs, "results": [asdict(each) for each in results]}, indent=1))
    else:
        print(markdown(results, syncs, facts, pace))


def sync_times(folder: Path, *, samples: int) -> list[float]:
    """p50 and p99 of writing 4 KiB and syncing it, in seconds: what no durable answer can be faster than."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(samples):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return [load.percentile(took, 50), load.percentile(took, 99)]


def _measure(subject: str, folder: Path, pace: Pace) -> Result:
    _say(f"measuring {subject}")
    port = free_port()
    with _started(subject, folder, f"http://127.0.0.1:{port}") as (process, server, start):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            accepts, latencies, burst = runner.run(_load(server, port, pace))
        return Result(
            subject=subject,
            start=start,
            accepts=accepts,
            p50=load.percentile(latencies, 50),
            p99=load.percentile(latencies, 99),
            burst=burst,
            resident_bytes=_highest_resident(process.pid),
        )


async def _load(server: load.Server, port: int, pace: Pace) -> tuple[dict[int, float], list[float], float]:
    async with load.target(port) as target:
        await load.latencies(server, target, samples=10)  # the first ones import and connect
        latencies = await load.latencies(server, target, samples=pace.samples)
        burst = await load.burst(server, target, alerts=pace.burst)
        assert target.times == pace.samples + pace.burst + 10, "each alert is to be acted on exactly once"
        accepts = {each: await load.accepts(server, alerts=each, seconds=pace.seconds) for each in (1, 10, 500)}
        return accepts, latencies, burst


@contextmanager
def _started(subject: str, folder: Path, target: str) -> Iterator[tuple[Process, load.Server, float]]:
    if subject == "floor":
        with Floor(folder, target) as floor:
            yield floor, load.Server("127.0.0.1", floor.port, ""), 0.0
        return
    with ExitStack() as stack:
        url = stack.enter_context(PostgreSql()).database() if subject == "postgresql" else ""
        shards = [PLAYBOOK.format(shard=each, target=target) for each in range(load.SHARDS)]
        amend = Receiver(
            folder,
            playbooks="playbooks:\n" + "".join(shards),
            limits=UNLIMITED,
            outbound={"allow_hosts": ["127.0.0.1"]},
            logging={"level": "warning"},
            **({"store": {"url": url}} if url else {}),
        )
        stack.enter_context(amend).terminate()  # with its tables made: any start but the first is measured
        began = time.perf_counter()
        amend.begin()
        until(amend.ready, why="it starts", every=0.002)
        start = time.perf_counter() - began
        host, port = amend.address.split(":")
        yield amend, load.Server(host, int(port), amend.token_file.read_text()), start


def _highest_resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def markdown(results: Sequence[Result], syncs: Sequence[float], facts: Mapping[str, str], pace: Pace) -> str:
    head = ["", "1 alert, /s", "10 alerts, /s", "500 alerts, /s", "p50, ms", "p99, ms"]
    head += [f"burst of {pace.burst:,}, s", "memory, MB", "ready after, s"]
    lines = [f"| {' | '.join(head)} |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for each in results:
        cells = [
            each.subject,
            *(f"{each.accepts[alerts]:,.0f}" for alerts in (1, 10, 500)),
            f"{each.p50 * 1000:.1f}",
            f"{each.p99 * 1000:.1f}",
            f"{each.burst:.2f}",
            f"{each.resident_bytes / 1e6:.0f}",
            f"{each.start:.2f}" if each.start else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"A write of 4 KiB and its sync took {syncs[0] * 1000:.2f} ms (p50), {syncs[1] * 1000:.2f} ms (p99)."]
    lines += ["", f"Measured on: {', '.join(f'{name} {value}' for name, value in facts.items())}."]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.run(benchmark)
