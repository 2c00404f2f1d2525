"""What Alertmanager does when things go wrong around it: each alert is stored or sent again, and acted on once.

Real Alertmanagers and Prometheus, alone and in pairs; what counts is how often the target was called.
"""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.http_recorder import HttpRecorder
from tests.bed.metrics_target import MetricsTarget
from tests.bed.parts import needs_root
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import free_port, until
from tests.bed.prometheus import Prometheus
from tests.bed.proxy import Fault, Proxy
from tests.bed.receiver import Receiver, alert

CALL = """
playbooks:
- name: call
  mode: enforce
  matchers: ['alertname="Broken"']
  cooldown: 0s
  steps:
  - http: {{url: "{url}/remedy/{{{{ labels.service }}}}"}}
"""

SOON = timedelta(seconds=1)  #: a window after which a re-fire is another episode
BROKEN = {"alertname": "Broken", "service": "orders"}
REMEDY = "/remedy/orders"


def receiver(tmp_path: Path, recorder: HttpRecorder, **settings: Any) -> Receiver:
    return Receiver(
        tmp_path, playbooks=CALL.format(url=recorder.url), outbound={"allow_hosts": ["127.0.0.1"]}, **settings
    )


def metric(amend: Receiver, series: str) -> float:
    """A series of `/metrics`; 0 when it is not there."""
    lines = amend.ask("GET", "/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), 0.0)


def rows(amend: Receiver, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{amend.database}?mode=ro", uri=True) as books:
        return books.execute(query).fetchall()


def senders(amend: Receiver) -> int:
    """How many Alertmanagers something was stored of."""
    return len(rows(amend, "select distinct external_url from deliveries"))


def more_deliveries(amend: Receiver, count: int) -> None:
    before = len(rows(amend, "select id from deliveries"))
    until(lambda: len(rows(amend, "select id from deliveries")) >= before + count, why=f"{count} more deliveries")


# ── a store that takes nothing ──


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of some megabytes."""
    needs_root("it mounts a small file system")
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "amend-test", directory], check=True)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves no room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def told_again_until_stored(amend: Receiver, alertmanager: Alertmanager, recorder: HttpRecorder, mend: Any) -> None:
    """While the store takes nothing nobody is told otherwise, and all goes on by itself when it does again."""
    alertmanager.post_alerts({"labels": BROKEN})
    refused = 'amend_deliveries_total{result="not_stored"}'
    until(lambda: metric(amend, refused) >= 2, why="Alertmanager was refused twice")
    assert amend.post(alert("Broken", service="other")).status_code == 503
    assert metric(amend, 'amend_deliveries_total{result="stored"}') == 0
    assert amend.ask("GET", "/-/healthy").status_code == 200
    pids = amend.pid, alertmanager.pid
    mend()
    recorder.wait_for(1)
    assert (amend.pid, alertmanager.pid) == pids
    assert amend.running
    assert amend.run("done", label="service=orders")["outcome"] == "none"
    assert [request.path for request in recorder.requests].count(REMEDY) == 1


def test_a_full_disk_is_a_503_until_there_is_room_and_then_alertmanagers_retry_is_stored(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, disk: Path
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder, store={"url": f"sqlite:///{disk / 'amend.db'}"}))
    config = to_webhook(amend.webhook_url, token_file=amend.token_file)
    alertmanager = running.enter_context(Alertmanager(tmp_path, config))
    ballast = fill(disk)
    told_again_until_stored(amend, alertmanager, recorder, ballast.unlink)
    assert len(recorder.requests) == 1, "what was refused was not stored"
    assert amend.ask("GET", "/api/v1/audit/verify").json()["verified"] is True


def on_a_server_of_its_own(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> tuple[PostgreSql, Receiver, Alertmanager]:
    """A PostgreSQL that may be broken, the receiver on it, and the Alertmanager that sends there."""
    postgresql = running.enter_context(PostgreSql())
    amend = running.enter_context(receiver(tmp_path, recorder, store={"url": postgresql.database()}))
    config = to_webhook(amend.webhook_url, token_file=amend.token_file)
    alertmanager = running.enter_context(Alertmanager(tmp_path, config))
    return postgresql, amend, alertmanager


def test_a_postgresql_that_went_away_is_a_503_until_it_is_back(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    postgresql, amend, alertmanager = on_a_server_of_its_own(tmp_path, running, recorder)
    postgresql.kill9()
    told_again_until_stored(amend, alertmanager, recorder, postgresql.start)
    assert len(recorder.requests) == 1, "what was refused was not stored"


def test_a_postgresql_that_hangs_is_a_503_until_it_goes_on(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    postgresql, amend, alertmanager = on_a_server_of_its_own(tmp_path, running, recorder)
    postgresql.freeze()
    running.callback(postgresql.thaw)
    # what was on its way when it began to hang may be stored in the end: a 503 promises nothing
    told_again_until_stored(amend, alertmanager, recorder, postgresql.thaw)


# ── the same alert many times ──


def pair(running: ExitStack, tmp_path: Path, config: dict[str, Any], *, clustered: bool) -> list[Alertmanager]:
    gossip = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    flags = ["--cluster.peer-timeout=1s", "--cluster.gossip-interval=50ms"]
    return [
        running.enter_context(
            Alertmanager(tmp_path, config, gossip=own, peers=gossip, flags=flags)
            if clustered
            else Alertmanager(tmp_path, config)
        )
        for own in gossip
    ]


@pytest.mark.parametrize(
    ("clustered", "fault"),
    [(False, Fault.DROP), (True, Fault.LATE)],
    ids=["unclustered-answers-lost", "clustered-answers-late"],
)
def test_a_pair_of_alertmanagers_that_repeats_itself_has_each_episode_acted_on_once(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, *, clustered: bool, fault: Fault
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder, identity={"reopen_window": "1s"}))
    proxy = running.enter_context(Proxy(("127.0.0.1", int(amend.address.rpartition(":")[2]))))
    config = to_webhook(f"{proxy.url}/api/v1/alerts", token_file=amend.token_file, repeat_interval="1s")
    both = pair(running, tmp_path, config, clustered=clustered)

    def tell(**times: str) -> None:
        for alertmanager in both:
            alertmanager.post_alerts({"labels": BROKEN, **times})

    began = datetime.now(UTC).isoformat()
    proxy.fail(fault)  # what is stored is not answered, or so late that the other one sends it, too
    tell(startsAt=began)
    until(lambda: senders(amend) == 2, why="both have sent it")
    more_deliveries(amend, 2)
    proxy.fail(Fault.NOTHING)
    more_deliveries(amend, 2)
    both[0].kill9()
    both[0].start()
    tell(startsAt=began)
    more_deliveries(amend, 3)
    assert [request.path for request in recorder.requests] == [REMEDY]

    ended = datetime.now(UTC)
    tell(startsAt=began, endsAt=ended.isoformat())
    until(lambda: not amend.get("episodes", open="true")["episodes"], why="it is over")
    until(lambda: datetime.now(UTC) > ended + SOON, why="the window is over")
    tell(startsAt=datetime.now(UTC).isoformat())
    recorder.wait_for(2)
    more_deliveries(amend, 3)
    assert [request.path for request in recorder.requests] == [REMEDY] * 2
    assert len(amend.get("episodes")["episodes"]) == 2


# ── starts that drift, and real ones ──

RULES = """
groups:
- name: shop
  rules:
  - alert: Broken
    expr: broken > 0
"""


def test_a_prometheus_that_dies_and_comes_back_opens_no_episode_and_a_real_re_fire_does(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, target: MetricsTarget
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder))
    config = to_webhook(amend.webhook_url, token_file=amend.token_file, repeat_interval="1s")
    alertmanager = running.enter_context(Alertmanager(tmp_path, config))
    rules = tmp_path / "shop.rules.yml"
    rules.write_text(RULES)
    shop = {"shop": target.address}
    prometheus = running.enter_context(
        Prometheus(tmp_path, scrape=shop, rules=[rules], alertmanagers=[alertmanager.address])
    )

    def starts() -> set[Any]:
        return {row[0] for row in rows(amend, "select starts_at from alerts where status = 'firing'")}

    target.set("broken", 1, service="orders")
    recorder.wait_for(1)
    prometheus.kill9()  # away for so long that Alertmanager believes it to be over
    until(lambda: not amend.get("episodes", open="true")["episodes"], why="a resolved that is false")
    prometheus.start()
    until(lambda: amend.get("audit", kind="episode_reopened")["audit"], why="it goes on")
    before = starts()
    for part in (prometheus, alertmanager):  # and now nobody knows the start any more
        part.kill9()
    for part in (prometheus, alertmanager):
        part.start()
    until(lambda: starts() > before, why="it is told with another start")
    more_deliveries(amend, 1)
    assert len(amend.get("episodes")["episodes"]) == 1
    assert len(recorder.requests) == 1

    amend.config.write_text(
        yaml.safe_dump(yaml.safe_load(amend.config.read_text()) | {"identity": {"reopen_window": "1s"}})
    )
    amend.restart()
    target.set("broken", 0, service="orders")
    until(lambda: not amend.get("episodes", open="true")["episodes"], why="it is over")
    over = datetime.now(UTC)
    until(lambda: datetime.now(UTC) > over + SOON, why="the window is over")
    target.set("broken", 1, service="orders")
    recorder.wait_for(2)
    more_deliveries(amend, 2)
    assert len(amend.get("episodes")["episodes"]) == 2
    assert len(recorder.requests) == 2


# ── over before its turn ──


def test_what_is_resolved_while_it_waits_for_its_turn_is_not_acted_on(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder
) -> None:
    amend = running.enter_context(receiver(tmp_path, recorder))
    recorder.stall()
    began = datetime.now(UTC)
    amend.post(alert("Broken", service="first", started=began))
    recorder.wait_for(1)
    amend.post(alert("Broken", service="orders", started=began))  # waits for the first one's lock
    amend.run("skipped", reason="locked")
    amend.post(alert("Broken", service="orders", started=began, ended=datetime.now(UTC)))
    until(lambda: len(amend.get("episodes", open="true")["episodes"]) == 1, why="one of them is over")
    recorder.release()
    amend.run("done", label="service=first")
    skipped = amend.run("skipped", label="service=orders")
    assert skipped["reason"] in {"resolved", "locked"}
    assert [request.path for request in recorder.requests] == ["/remedy/first"]
