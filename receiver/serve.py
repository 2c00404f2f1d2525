"""`amend serve`: puts the parts together, runs them under uvicorn, reloads them, and stops them in order.

Nothing is listening before the configuration is read, the store is open and the port is ours; a reload that fails
leaves everything as it was.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop

from receiver import logs, metrics, playbooks, presence, retention, settings, standstill, worker
from receiver.alertmanager import Alertmanager
from receiver.analysis.analyst import Analyst
from receiver.anchor import Anchoring
from receiver.approvals import Approvals
from receiver.audit import Kind
from receiver.case import World
from receiver.deployments import Deployments
from receiver.errors import ConfigError, ConfigErrors
from receiver.identity import Windows
from receiver.listening import Server, bind, configuration
from receiver.matching import Matching
from receiver.notifiers.receivers import Receivers
from receiver.outbound import Outbound
from receiver.pipeline import Pipeline
from receiver.playbooks import Playbooks
from receiver.presence import Presence
from receiver.programs import Programs
from receiver.prometheus import Prometheus
from receiver.retention import Retention
from receiver.rounds import repeat
from receiver.settings.platforms import Platforms
from receiver.signing import Signer, signing_secret
from receiver.standstill import Standstill
from receiver.store import Ledger, StoreError
from receiver.store.log import Log
from receiver.targets import PLATFORMS, Platform
from receiver.trigger import Trigger
from receiver.watchdog import Watch
from receiver.web import Doors, create_app
from receiver.worker import Worker

log = structlog.get_logger(__name__)

DRAIN = 20.0  #: seconds that runs in progress get at a stop


def run(path: Path) -> int:
    """Serve until a SIGTERM or SIGINT; the exit code. ConfigError(s) when it cannot start."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    # A thread of the store that is busy would keep the event loop waiting for 5 ms each time.
    sys.setswitchinterval(0.0005)
    configured, in_force = playbooks.read(path)
    logs.configure(style=configured.logging.format, level=configured.logging.level, file=configured.logging.file)
    listening = bind(configured.server)
    ledger = Ledger(configured.store.url.get_secret_value())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(path, configured, in_force, ledger, listening))


async def _serve(
    path: Path, configured: settings.Settings, in_force: Playbooks, ledger: Ledger, listening: socket.socket
) -> int:
    return await Service(path, configured, in_force, ledger).run(listening)


class Service:
    """The parts of a receiver, put together, while it runs."""

    def __init__(self, path: Path, configured: settings.Settings, in_force: Playbooks, ledger: Ledger) -> None:
        self.path, self.configured, self.playbooks, self.ledger = path, configured, in_force, ledger
        self.replica = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
        self.audit = Log(actor=f"amend/{self.replica}", key=configured.audit.key)
        self.prometheus = Prometheus(str(configured.prometheus.url)) if configured.prometheus else None
        self.alertmanager = Alertmanager(str(configured.alertmanager.url)) if configured.alertmanager else None
        self.platforms = _connect(configured.platforms)
        self.outbound = Outbound(configured.outbound.allow_hosts)
        self.receivers = _receivers(configured, self.outbound)
        self.deployments = Deployments(ledger, self.audit, now)
        self.signer = Signer(signing_secret(configured))
        self.standstill = Standstill(ledger, self.audit, configured.limits.breaker, clock=now)
        self._tasks: set[asyncio.Task[None]] = set()
        self.pipeline = Pipeline(self._world(), lambda: self.playbooks.by_name)
        self.worker = self._worker()
        self.approvals = Approvals(
            ledger, self.audit, configured.auth.teams, signer=self.signer, clock=now, wake=self.worker.wake
        )
        self.presence = Presence(ledger, self.replica, config=self._digest, reload=self._reload, clock=now)
        self.server = Server(configuration(create_app(self._doors())))

    async def run(self, listening: socket.socket) -> int:
        """Serve until told to stop, then drain; the exit code."""
        await self._write(
            Kind.STARTED, config=self.playbooks.digest, playbooks=sorted(self.playbooks.by_name), replica=self.replica
        )
        _say_aloud(self.configured, self.playbooks)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._background(self._reload_quietly()))
        working = asyncio.create_task(self._work())
        working.add_done_callback(lambda _: self.server.stop())  # without a worker nobody answers the alerts
        await self.server.serve(sockets=[listening])
        broke = working.done()
        await self.worker.drain(DRAIN)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        with suppress(StoreError):
            await self.presence.leave()
        await self._close()
        if broke:
            log.error("stopped by a fault of its own", error=str(working.exception()))
        return int(broke)

    async def _work(self) -> None:
        """All that goes on beside the doors, until one of them breaks or this is cancelled."""
        keeping = Retention(self.ledger, self.audit, keep=self.configured.store.retention, clock=now)
        loops = [
            self.worker.run(),
            repeat(self.worker.sweep, every=worker.SWEEP, after=worker.SWEEP, told="sweep"),
            repeat(self.presence.beat, every=presence.EVERY, told="presence"),
            repeat(self.standstill.look, every=standstill.EVERY, told="standstill"),
            repeat(keeping.prune, every=retention.EVERY, told="retention"),
        ]
        if kept := self.configured.audit.anchor:
            anchoring = Anchoring(self.ledger, kept, receivers=self.receivers, clock=now)
            told = "the audit log is not anchored"
            loops.append(repeat(anchoring.anchor, every=kept.every.total_seconds(), told=told))
        if expected := self.configured.watchdog:
            watch = Watch(self.ledger, self.audit, expected, receivers=self.receivers, clock=now)
            loops.append(repeat(watch.look, every=watch.every, after=watch.every, told="watchdog"))
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)

    async def reload(self, by: str = "") -> None:
        """As `_reload`, here and then on the other replicas."""
        await self._reload(by)
        await self.presence.ask_others_to_reload(by)

    async def _reload(self, by: str) -> None:
        """Read settings and playbooks anew; ConfigError(s) when they are bad, and the old ones stay in force.

        Playbooks count at once. Other settings need a restart, which is said.
        """
        try:
            written, fresh = await asyncio.to_thread(playbooks.read, self.path, in_force=self.configured)
        except (ConfigError, ConfigErrors) as error:
            metrics.RELOAD_SUCCESSFUL.set(0)
            log.error("reload refused; the old playbooks stay in force", error=str(error))
            await self._write(Kind.RELOAD_REFUSED, by=by, error=str(error)[:2000])
            raise
        self.playbooks.replace(fresh)
        metrics.RELOAD_SUCCESSFUL.set(1)
        restart_needed = written.model_copy(update={"playbooks": ()}) != self.configured.model_copy(
            update={"playbooks": ()}
        )
        if restart_needed:
            log.warning("amend.yml has other settings than those in force: they count after a restart")
        log.info("reloaded", playbooks=len(fresh.by_name), config=fresh.digest)
        await self._write(
            Kind.RELOADED,
            by=by,
            config=fresh.digest,
            playbooks=sorted(fresh.by_name),
            restart_needed=restart_needed,
        )

    async def _reload_quietly(self) -> None:
        try:
            await self._reload(by="SIGHUP")
        except (ConfigError, ConfigErrors):
            pass  # told by reload itself
        except StoreError as error:
            log.error("the reload is not in the audit log", error=str(error))

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, kind: Kind, *, by: str = "", **data: object) -> None:
        await self.ledger.write(
            lambda connection: self.audit.append(connection, kind, at=now(), data=data, actor=by or None)
        )

    async def _close(self) -> None:
        await self.receivers.close()
        await self.outbound.close()
        for platform in self.platforms.values():
            await platform.close()
        if self.prometheus:
            await self.prometheus.close()
        if self.alertmanager:
            await self.alertmanager.close()
        await self.ledger.close()
        log.info("stopped")

    def _digest(self) -> str:
        return self.playbooks.digest

    def _world(self) -> World:
        configured = self.configured
        return World(
            ledger=self.ledger,
            log=self.audit,
            clock=now,
            platforms=self.platforms,
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            limits=configured.limits,
            outbound=self.outbound,
            receivers=self.receivers,
            deployments=self.deployments,
            analyst=Analyst(
                ledger=self.ledger,
                deployments=self.deployments,
                outbound=self.outbound,
                clock=now,
                model=configured.analyze,
                loki=str(configured.loki.url) if configured.loki else None,
            ),
            programs=Programs(configured.commands),
            signer=self.signer,
            external_url=configured.server.external_url,
            slack_buttons=configured.slack is not None,
        )

    def _worker(self) -> Worker:
        configured = self.configured
        windows = Windows(reopen=configured.identity.reopen_window)
        return Worker(
            ledger=self.ledger,
            pipeline=self.pipeline,
            matching=Matching(windows=windows, log=self.audit, playbooks=self.playbooks.all),
            prometheus=self.prometheus,
            alertmanager=self.alertmanager,
            clock=now,
            owner=self.replica,
            orphan_after=configured.identity.orphan_after,
        )

    def _doors(self) -> Doors:
        return Doors(
            settings=self.configured,
            ledger=self.ledger,
            clock=now,
            wake=self.worker.wake,
            reload=self.reload,
            playbooks=self.playbooks.all,
            replica=self.replica,
            config_hash=self._digest,
            signer=self.signer,
            standstill=self.standstill,
            approvals=self.approvals,
            deployments=self.deployments,
            trigger=Trigger(self.pipeline.world, self.pipeline.judgement, self.playbooks.all, self.worker.wake),
            outbound=self.outbound,
        )


def now() -> datetime:
    """The clock that everything is given."""
    return datetime.now(UTC)


def _connect(platforms: Platforms) -> dict[tuple[str, str], Platform]:
    connected: dict[tuple[str, str], Platform] = {}
    for kind, connect in PLATFORMS.items():
        for configured in getattr(platforms, kind):
            try:
                connected[kind, configured.name] = connect(configured)
            except ModuleNotFoundError as error:
                raise ConfigError(
                    "amend.yml", None, f"platforms.{kind} needs {error.name}; install amend[{kind}]"
                ) from error
    return connected


def _receivers(configured: settings.Settings, outbound: Outbound) -> Receivers:
    try:
        return Receivers(configured.receivers, outbound)
    except ModuleNotFoundError as error:
        message = f"receivers with apprise: need {error.name}; install amend[apprise]"
        raise ConfigError("amend.yml", None, message) from error


def _say_aloud(configured: settings.Settings, playbooks: Playbooks) -> None:
    log.info(
        "serving",
        listen=configured.server.listen,
        playbooks=len(playbooks.by_name),
        enforced=sum(playbook.enforced for playbook in playbooks.all()),
        config=playbooks.digest,
    )
    metrics.RELOAD_SUCCESSFUL.set(1)
    metrics.INSECURE.set(configured.auth.webhook.insecure)
    if configured.auth.webhook.insecure:
        print(
            "WARNING: auth.webhook.insecure is true: anybody who reaches this port can make Amend act", file=sys.stderr
        )
    if configured.prometheus is None:
        log.warning("no Prometheus is configured: nothing can be verified")
