"""The stage: every real part of the loop, started in order, and all of it gone when the demo ends.

The story is told on it. Whatever ends the demo, the parts are stopped in the reverse order of their start.
"""

import hashlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from story import compose, deployment, history, parts
from story.endings import ignore_endings
from story.engines import Engine
from story.inbox import Inbox, listening
from story.narrator import Narrator
from story.part import PATIENCE, Broken, Part, wait_until
from story.ports import free
from story.versions import GOOD, tag

EngineIn = Callable[[Path], AbstractContextManager[Engine]]
"""Starts an engine that keeps its files in a folder."""

VISITS = 15  # requests that each service has answered before the history repeats what they were like
TAIL = 12  # lines of each log that are shown when the loop does not close
WIDTH = 240  # characters of each of them


@dataclass(frozen=True)
class Stage:
    place: parts.Place
    engine: Engine
    client: compose.Client
    inbox: Inbox
    parts: tuple[Part, ...]
    places: int  #: requests that an instance works on at once

    def check(self) -> None:
        """Broken when a part has ended."""
        for part in self.parts:
            part.check()


@contextmanager
def stage(engine_in: EngineIn, *, places: int, narrator: Narrator) -> Iterator[Stage]:
    with ExitStack() as end:
        root = Path(end.enter_context(tempfile.TemporaryDirectory(prefix="amend-demo-")))
        try:
            yield _set(root, engine_in, places=places, narrator=narrator, end=end)
        except (Broken, DockerException, RequestException) as error:
            _show_logs(root, narrator)
            raise Broken(str(error)) from error


def _set(root: Path, engine_in: EngineIn, *, places: int, narrator: Narrator, end: ExitStack) -> Stage:
    engine = end.enter_context(engine_in(root))
    client = end.enter_context(closing(docker.DockerClient(base_url=engine.url, version="auto", timeout=PATIENCE)))
    end.enter_context(compose.shop_open(client, image=tag(GOOD), port=engine.port, places=places))
    opened = time.monotonic()
    narrator.tell("shop", f"orders, users and payments, with visitors: {engine.what}")

    inbox = end.enter_context(listening())
    place = parts.Place(root, engine.url, inbox.url, *free(3))
    _write_secrets(place)
    parts.generate_rules(place)
    wait_until(lambda: _fewest_visits(client, engine) >= VISITS, what=f"{VISITS} requests to each service")
    parts.fill_in_history(place, _observe(client, engine, seconds=time.monotonic() - opened))
    narrator.tell(
        "rules", f"generated from deploy/demo/specs; {history.LENGTH.seconds // 60} minutes of history filled in"
    )

    # Prometheus last: what it sends must find a listener.
    amend = end.enter_context(parts.amend(place))
    _tell_of_the_version(place, narrator)
    alertmanager = end.enter_context(parts.alertmanager(place))
    prometheus = end.enter_context(parts.prometheus(place))
    narrator.tell("parts", f"Prometheus {place.prometheus} · Alertmanager {place.alertmanager} · Amend {place.page}")
    end.callback(ignore_endings)  # the first to run: what stops the parts must not be stopped
    return Stage(place, engine, client, inbox, (prometheus, alertmanager, amend), places)


def _tell_of_the_version(place: parts.Place, narrator: Narrator) -> None:
    """As old as the history: to Amend the shop is not newly deployed."""
    for service in compose.SERVICES:
        deployment.tell(place, service, GOOD, ago=history.LENGTH)
    narrator.tell(
        "markers", f"Amend is told that version {GOOD} was deployed {history.LENGTH.seconds // 60} minutes ago"
    )


def _write_secrets(place: parts.Place) -> None:
    for name in parts.KEYS:
        key = secrets.token_urlsafe(32)
        place.key_file(name).write_text(key)
        (place.root / f"{name}.sha256").write_text(hashlib.sha256(key.encode()).hexdigest())
    (place.root / "webhook.token").write_text(secrets.token_urlsafe(32))


def _observe(client: compose.Client, engine: Engine, *, seconds: float) -> list[history.Sample]:
    samples = []
    for container in compose.shop(client):
        service = container.labels["com.docker.compose.service"]
        labels = {"job": "shop", "service": service, "instance": str(container.name)}
        url = compose.url(container, port=engine.port)
        samples += history.observe(url, seconds=seconds, labels=labels)
    return samples


def _fewest_visits(client: compose.Client, engine: Engine) -> float:
    """How many requests each service has answered, at least."""
    answered = dict.fromkeys(compose.SERVICES, 0.0)
    for sample in _observe(client, engine, seconds=1):
        if sample.name == "http_requests_total":
            answered[sample.labels["service"]] += sample.value
    return min(answered.values())


def _show_logs(root: Path, narrator: Narrator) -> None:
    """The ends of all logs that say anything, long lines cut: Prometheus can say a lot in one."""
    for log in sorted(root.rglob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-TAIL:]
        if lines:
            narrator.quote(log.name, "\n".join(line[:WIDTH] for line in lines))
