"""A receiver's loop without its doors: the real ledger in a SQLite file, the real worker, a clock that a test moves.

Only what is outside is the test's own: a platform that records what it is asked to do, and a Prometheus that answers
as told over HTTP. `bench.deliver(…)` is a webhook, and returns when there is nothing more to do at that moment.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs

import sqlalchemy as sa

from receiver.actions import VERBS
from receiver.alertmanager import Alertmanager
from receiver.alerts import Alert, Message
from receiver.analysis.analyst import Analyst
from receiver.approvals import Approvals
from receiver.audit import Entry
from receiver.case import World
from receiver.deployments import Deployments
from receiver.identity import Windows
from receiver.matching import Matching
from receiver.notifiers.receivers import Receivers
from receiver.outbound import Outbound
from receiver.pipeline import Pipeline
from receiver.playbook import read
from receiver.programs import Programs
from receiver.prometheus import Prometheus
from receiver.run import Episode, Run
from receiver.settings.analyze import Analyze
from receiver.settings.auth import Team
from receiver.settings.commands import Command
from receiver.settings.limits import Limits
from receiver.settings.receivers import Receiver
from receiver.signing import Signer
from receiver.standstill import Standstill
from receiver.store import Ledger, deliveries, episodes, log, runs
from receiver.targets.foreseen import hold_to
from receiver.worker import Worker
from receiver.workload import Selector, Workload
from tests.bed.loopback import Loopback
from tests.bed.processes import PATIENCE, free_port
from tests.bed.receiver import alert, message

T = TypeVar("T")

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

RESTART = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  steps:
  - restart: {}
"""


class Platform:
    """Records its calls, and fails as told."""

    name = "local"

    def __init__(self, *names: str) -> None:
        self.workloads = {name: workload(name) for name in names}
        self.calls: list[tuple[str, str]] = []
        self.before = "the one before"  #: where a rollback leads by itself
        self.nowhere: Exception | None = None  #: what looking for the way back raises
        self.rolled_out: datetime | None = None
        self.failing: Exception | None = None  #: what a call that changes something raises
        self.silent: Exception | None = None  #: what looking something up raises
        self.gate: asyncio.Event | None = None  #: what a call waits for before it answers
        self.meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = (
            None  #: what happens while a call is on its way
        )

    async def resolve(self, selector: Selector) -> Workload:
        if self.silent:
            raise self.silent
        return self.workloads[selector.name]

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        return await self._do("restart", workload)

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        return await self._do(f"scale to {replicas}", workload)

    async def way_back(self, workload: Workload, *, to: str | None) -> str:
        if self.nowhere:
            raise self.nowhere
        return f"{to or self.before} in place of {workload.version}"

    async def rollback(
        self, workload: Workload, *, to: str | None, within: timedelta, foreseen: str = ""
    ) -> Mapping[str, Any]:
        hold_to(foreseen, await self.way_back(workload, to=to), workload)
        return await self._do(f"rollback to {to}", workload)

    async def rolled_out_at(self, workload: Workload) -> datetime | None:
        return self.rolled_out

    async def stop(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        return await self._do("stop", workload)

    async def start(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        return await self._do("start", workload)

    async def close(self) -> None:
        """Nothing is open."""

    async def _do(self, what: str, workload: Workload) -> Mapping[str, Any]:
        self.calls.append((what, workload.name))
        if self.gate:
            await self.gate.wait()
        if self.meanwhile:
            await self.meanwhile()
        if self.failing:
            raise self.failing
        return {"before": workload.ready}


def workload(name: str, **values: Any) -> Workload:
    selector = Selector(platform="docker", instance=None, kind="container", name=name)
    return Workload(key=f"docker/local/container/{name}", selector=selector, uid=f"uid-{name}", **values)


class Answers(Loopback):
    """Prometheus' query API: a value for each expression that a test has given one, and no sample for the others."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.rules: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.status = 200
        super().__init__()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        form = parse_qs(request.rfile.read(int(request.headers.get("Content-Length", 0))).decode())
        data: dict[str, Any] = {"groups": [{"interval": 1, "rules": self.rules}]}
        if "query" in form:
            expression = form["query"][0]
            self.asked.append(expression)
            value = self.values.get(expression)
            result = [] if value is None else [{"metric": {}, "value": [0, str(value)]}]
            data = {"resultType": "vector", "result": result}
        body = json.dumps({"status": "success" if self.status == 200 else "error", "data": data}).encode()
        request.send_response(self.status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Quiet(Loopback):
    """An Alertmanager that knows one silence, and some alerts."""

    def __init__(self) -> None:
        self.silenced_until: datetime | None = None
        self.alerts: list[dict[str, str]] = []
        super().__init__()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        found: list[dict[str, Any]] = [{"labels": labels} for labels in self.alerts]
        if request.path.startswith("/api/v2/silences"):
            found = []
            if self.silenced_until:
                matchers = [{"name": "service", "value": "orders", "isRegex": False, "isEqual": True}]
                about = {"id": "1", "createdBy": "anna", "comment": "known", "status": {"state": "active"}}
                found = [{**about, "endsAt": self.silenced_until.isoformat(), "matchers": matchers}]
        body = json.dumps(found).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Bench:
    """Everything a worker needs, on a clock that stands still until a test moves it."""

    def __init__(
        self,
        directory: Path,
        playbooks: str = RESTART,
        *,
        prometheus: str | None = None,
        alertmanager: str | None = None,
        limits: Limits | None = None,
        receivers: Sequence[Receiver] = (),
        commands: Mapping[str, Command] | None = None,
        slack_buttons: bool = False,
        teams: Mapping[str, Team] | None = None,
    ) -> None:
        self.directory = directory
        self.now = START
        self.platform = Platform("orders", "users", "payments")
        self.prometheus = Prometheus(prometheus) if prometheus else None
        self.limits = limits or Limits()
        self.signer = Signer(b"a secret of the tests")
        self.commands = commands or {}
        self.model: Analyze | None = None
        self.loki: str | None = None
        self.sleep: Callable[[timedelta], Coroutine[Any, Any, None]] = _at_once
        self._alertmanager = alertmanager
        self._receivers = receivers
        self._slack_buttons = slack_buttons
        self._teams = teams or {"team-shop": Team(api_keys=("anna",))}
        self.write_playbooks(playbooks)
        (directory / "amend.db").write_bytes(_empty_store())
        self.ledger = Ledger(f"sqlite:///{directory / 'amend.db'}")
        self.log = log.Log(actor="test", key=None)
        self._runner = asyncio.Runner()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._runner)
        self._open.callback(lambda: self.do(self.ledger.close()))
        self.outbound = Outbound(["127.0.0.1"])
        self._open.callback(lambda: self.do(self.outbound.close()))
        self.receivers = Receivers(self._receivers, self.outbound)
        self.alertmanager = Alertmanager(self._alertmanager) if self._alertmanager else None
        self.standstill = Standstill(self.ledger, self.log, self.limits.breaker, clock=lambda: self.now)
        self.approvals = Approvals(
            self.ledger,
            self.log,
            self._teams,
            signer=self.signer,
            clock=lambda: self.now,
            wake=lambda: None,
        )
        self.worker = self.another_worker("first")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # ── what happens to it ──

    def write_playbooks(self, text: str) -> None:
        """Have these playbooks in force from now on, as a reload does."""
        path = self.directory / "playbooks.yml"
        path.write_text(f"playbooks:{text}")
        self.playbooks = {playbook.name: playbook for playbook in read(path, VERBS)}

    def deliver(self, *alerts: Mapping[str, Any]) -> None:
        """Take a webhook's alerts, and do all that is to be done about them now."""
        self.store(*alerts)
        self.work()

    def store(self, *alerts: Mapping[str, Any]) -> None:
        read = tuple(Alert.model_validate(each) for each in message(*alerts)["alerts"])
        whole = Message(receiver="", group_key="", external_url="", truncated=0, alerts=read)
        self.write(
            lambda c: deliveries.store(c, whole, source="default", received_at=self.now, replica_labels=("replica",))
        )

    def fire(
        self, name: str = "Slow", *, service: str = "orders", started: datetime | None = None, **more: Any
    ) -> None:
        """A firing alert is delivered; it began just now unless a test says when."""
        self.deliver(alert(name, service=service, started=started or self.now, **more))

    def resolve(self, name: str = "Slow", *, service: str = "orders", started: datetime = START) -> None:
        self.deliver(alert(name, service=service, started=started, ended=self.now))

    def work(self, worker: Worker | None = None) -> None:
        """Turn after turn until there is nothing to do at this moment."""
        self.do((worker or self.worker).settle())

    def wait(self, **time: float) -> None:
        """Let time pass, a second at a time, and do what comes due."""
        end = self.now + timedelta(**time)
        while self.now < end:
            due = self.read(runs.next_wake)
            self.now = min(end, max(due or end, self.now + timedelta(seconds=1)))
            self.work()

    def another_worker(self, owner: str) -> Worker:
        """One more process on the same ledger."""
        known = Deployments(self.ledger, self.log, lambda: self.now)
        world = World(
            ledger=self.ledger,
            log=self.log,
            clock=lambda: self.now,
            platforms={("docker", "local"): self.platform},
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            limits=self.limits,
            outbound=self.outbound,
            receivers=self.receivers,
            deployments=known,
            analyst=Analyst(
                ledger=self.ledger,
                deployments=known,
                outbound=self.outbound,
                clock=lambda: self.now,
                model=self.model,
                loki=self.loki,
            ),
            programs=Programs(self.commands),
            signer=self.signer,
            external_url="http://amend.test",
            sleep=self._sleep,
            slack_buttons=self._slack_buttons,
        )
        return Worker(
            ledger=self.ledger,
            pipeline=Pipeline(world, lambda: self.playbooks),
            matching=Matching(
                windows=Windows(reopen=timedelta(minutes=10)),
                log=self.log,
                playbooks=lambda: list(self.playbooks.values()),
            ),
            prometheus=self.prometheus,
            alertmanager=None,
            clock=lambda: self.now,
            owner=owner,
            orphan_after=timedelta(hours=12),
        )

    # ── what came of it ──

    @property
    def calls(self) -> list[tuple[str, str]]:
        return self.platform.calls

    def runs(self, **filters: Any) -> list[Run]:
        """The oldest first."""
        return self.read(lambda c: runs.page(c, limit=1000, **filters))[::-1]

    def run(self, **filters: Any) -> Run:
        """The newest."""
        return self.runs(**filters)[-1]

    def episodes(self) -> list[Episode]:
        return self.read(lambda c: episodes.page(c, limit=1000))[::-1]

    def audit(self) -> list[Entry]:
        return self.read(lambda c: list(log.entries(c)))

    def kinds(self) -> list[str]:
        return [str(entry.kind) for entry in self.audit()]

    # ── the machinery ──

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def read(self, query: Callable[[sa.Connection], T]) -> T:
        return self.do(self.ledger.read(query))

    def write(self, query: Callable[[sa.Connection], T]) -> T:
        return self.do(self.ledger.write(query))

    def begin(self, worker: Worker | None = None) -> None:
        """One turn, without waiting for what it has begun."""
        self.do(self._begin(worker or self.worker))

    def away(self) -> AbstractContextManager[None]:
        """Alertmanager does not answer."""
        assert self.alertmanager
        return _elsewhere(self.alertmanager)

    def kill(self) -> None:
        """The first process is gone, whatever it was doing."""
        self.do(self._kill())

    async def _sleep(self, span: timedelta) -> None:
        """As a test says; by default it is over at once, on the clock that stands still."""
        await self.sleep(span)

    async def _kill(self) -> None:
        tasks = list(self.worker._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, worker: Worker) -> None:
        await worker._turn()
        until = asyncio.get_running_loop().time() + PATIENCE
        while not self.platform.calls:
            assert asyncio.get_running_loop().time() < until, "nothing was done"
            await asyncio.sleep(0.01)


async def _at_once(_: timedelta) -> None:
    """Nobody waits."""


@contextmanager
def _elsewhere(alertmanager: Alertmanager) -> Iterator[None]:
    real, alertmanager.url = alertmanager.url, f"http://127.0.0.1:{free_port()}"
    yield
    alertmanager.url = real


@cache
def _empty_store() -> bytes:
    """A store with its tables and nothing in them, made once: a copy is ten times faster."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "amend.db"
        asyncio.run(Ledger(f"sqlite:///{file}").close())
        return file.read_bytes()
