"""The web doors on a real socket, over a real ledger in a SQLite file, without worker and pipeline."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import sqlalchemy as sa
import uvicorn

from receiver.analysis.analyst import Analyst
from receiver.approvals import Approvals
from receiver.case import World
from receiver.deployments import Deployments
from receiver.notifiers.receivers import Receivers
from receiver.outbound import Outbound
from receiver.pipeline import Pipeline
from receiver.playbook import Playbook
from receiver.programs import Programs
from receiver.settings import Settings
from receiver.signing import Signer, signing_secret
from receiver.standstill import Standstill
from receiver.store import Ledger
from receiver.store.log import Log
from receiver.trigger import Trigger
from receiver.web import Doors, create_app, health, webhook
from receiver.web.protocol import PunctualProtocol
from tests.bed.processes import PATIENCE, until

T = TypeVar("T")

TOKEN = "webhook-token"
KEYS = {role: f"key-of-the-{role}" for role in ("viewer", "approver", "admin")}


class Web:
    """The doors, open at `url`; what they are given can be looked at and changed."""

    def __init__(
        self,
        directory: Path,
        *,
        most_connections: int = 1000,
        teams: Mapping[str, Any] | None = None,
        outbound: Outbound | None = None,
        **sections: Any,
    ) -> None:
        self.database = directory / "amend.db"
        self.settings = Settings.model_validate(
            {
                "auth": {
                    "webhook": {"bearer_token": TOKEN},
                    "api_keys": [
                        {"name": f"the-{role}", "role": role, "hash": hashlib.sha256(key.encode()).hexdigest()}
                        for role, key in KEYS.items()
                    ],
                    "teams": teams or {},
                },
                "store": {"url": f"sqlite:///{self.database}"},
                **sections,
            }
        )
        self.ledger = Ledger(self.settings.store.url.get_secret_value())
        self.now = datetime.now(UTC)
        self.woken = 0
        self.reloaded_by: list[str] = []
        self.reload_error: Exception | None = None
        self.playbooks: list[Playbook] = []
        self.outbound = outbound or Outbound(())
        self.doors = self._doors()
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(self.doors),
                port=0,
                http=PunctualProtocol,
                log_config=None,
                timeout_graceful_shutdown=1,
                timeout_keep_alive=75,
                limit_concurrency=most_connections,
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> "Web":
        self._thread.start()
        until(lambda: self._server.started, why="the web server starts")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(60)
        asyncio.run(self.ledger.close())

    def write(self, query: Callable[[sa.Connection], T]) -> T:
        return asyncio.run(self.ledger.write(query))

    def read(self, query: Callable[[sa.Connection], T]) -> T:
        return asyncio.run(self.ledger.read(query))

    def get(self, path: str, *, role: str = "viewer", **parameters: Any) -> httpx.Response:
        return self.client.get(path, params=parameters or None, headers={"Authorization": f"Bearer {KEYS[role]}"})

    def post(self, path: str, *, role: str = "approver", **body: Any) -> httpx.Response:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {KEYS[role]}"})

    def deliver(self, body: Any, *, token: str = TOKEN, path: str = "/api/v1/alerts") -> httpx.Response:
        """POST a body to the webhook as Alertmanager does: bytes as they are, anything else as JSON."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if isinstance(body, bytes):
            return self.client.post(path, content=body, headers=headers)
        return self.client.post(path, json=body, headers=headers)

    def _doors(self) -> Doors:
        async def reload(by: str) -> None:
            if self.reload_error:
                raise self.reload_error
            self.reloaded_by.append(by)

        def wake() -> None:
            self.woken += 1

        def clock() -> datetime:
            return self.now

        signer = Signer(signing_secret(self.settings))
        audit = Log(actor="amend/replica-1", key=None)
        teams, rule = self.settings.auth.teams, self.settings.limits.breaker
        known = Deployments(self.ledger, audit, clock)
        world = World(
            ledger=self.ledger,
            log=audit,
            clock=clock,
            platforms={},
            prometheus=None,
            alertmanager=None,
            limits=self.settings.limits,
            outbound=self.outbound,
            receivers=Receivers((), self.outbound),
            deployments=known,
            analyst=Analyst(ledger=self.ledger, deployments=known, outbound=self.outbound, clock=clock),
            programs=Programs({}),
            signer=signer,
        )
        judgement = Pipeline(world, dict).judgement
        return Doors(
            settings=self.settings,
            ledger=self.ledger,
            clock=clock,
            wake=wake,
            reload=reload,
            playbooks=lambda: self.playbooks,
            replica="replica-1",
            config_hash=lambda: "c0ffee",
            signer=signer,
            standstill=Standstill(self.ledger, audit, rule, clock=clock),
            deployments=known,
            trigger=Trigger(world, judgement, lambda: self.playbooks, wake),
            approvals=Approvals(self.ledger, audit, teams, signer=signer, clock=clock, wake=wake),
            outbound=self.outbound,
        )


@pytest.fixture(autouse=True)
def _waits_for_a_busy_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "ANSWER_WITHIN", PATIENCE)
    monkeypatch.setattr(health, "STORE_ANSWERS_WITHIN", PATIENCE)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path) as web:
        yield web
