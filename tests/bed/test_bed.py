"""The bed carries: each real part does here what other tests lean on."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.bed.alertmanager import Alertmanager, amtool, to_webhook
from tests.bed.docker_engine import DockerEngine, remove
from tests.bed.http_recorder import HttpRecorder
from tests.bed.metrics_target import MetricsTarget
from tests.bed.parts import ROOT, needs_root
from tests.bed.processes import Process, answers, until
from tests.bed.prometheus import Prometheus, promtool
from tests.bed.receiver import Receiver, alert

SLOW = """
groups:
  - name: shop
    rules:
      - alert: Slow
        expr: latency_seconds > 1
        labels: {severity: warning}
        annotations: {value: '{{ printf "%.4g" $value }}'}
"""


def test_a_fault_travels_through_prometheus_and_alertmanager_to_a_webhook(
    tmp_path: Path, running: ExitStack, target: MetricsTarget, recorder: HttpRecorder
) -> None:
    rules = tmp_path / "slow.rules.yml"
    rules.write_text(SLOW)
    promtool("check", "rules", rules)
    alertmanager = running.enter_context(Alertmanager(tmp_path, to_webhook(recorder.url)))
    amtool("check-config", alertmanager.config)
    prometheus = running.enter_context(
        Prometheus(tmp_path, scrape={"shop": target.address}, rules=[rules], alertmanagers=[alertmanager.address])
    )

    target.set("latency_seconds", 0.2, service="orders")
    until(lambda: prometheus.value("latency_seconds") == 0.2, why="the first scrape")
    assert prometheus.alerts("Slow") == []

    target.set("latency_seconds", 3.5, service="orders")
    (request,) = recorder.wait_for(1)
    (alert,) = request.json()["alerts"]
    assert alert["status"] == "firing"
    assert alert["labels"]["service"] == "orders"
    assert alert["annotations"]["value"] == "3.5"
    assert prometheus.firing("Slow")
    assert [each["labels"]["alertname"] for each in alertmanager.alerts('service="orders"')] == ["Slow"]

    target.set("latency_seconds", 0.2, service="orders")
    assert recorder.wait_for(2)[1].json()["alerts"][0]["status"] == "resolved"


def test_a_dropped_series_and_a_failed_scrape_are_gone_from_prometheus(
    tmp_path: Path, running: ExitStack, target: MetricsTarget
) -> None:
    target.set("items", 1, shelf="a")
    target.set("items", 1, shelf="b")
    prometheus = running.enter_context(Prometheus(tmp_path, scrape={"shop": target.address}))
    until(lambda: prometheus.value("count(items)") == 2, why="both series")
    target.drop("items", shelf="a")
    until(lambda: prometheus.value("count(items)") == 1, why="one series less")
    target.fail()
    until(lambda: prometheus.value("up") == 0 and not prometheus.query("items"), why="a failed scrape")
    target.recover()
    until(lambda: prometheus.value("up") == 1, why="a scrape that works again")


def test_history_is_there_when_prometheus_starts(tmp_path: Path, running: ExitStack) -> None:
    now = int(time.time())
    samples = "\n".join(f"load 2 {now - 7200 + 60 * minute}" for minute in range(100))
    prometheus = running.enter_context(Prometheus(tmp_path, history=f"# TYPE load gauge\n{samples}"))
    assert prometheus.value("count_over_time(load[3h])") == 100


def test_a_prometheus_that_was_killed_keeps_its_samples(
    tmp_path: Path, running: ExitStack, target: MetricsTarget
) -> None:
    target.set("items", 7)
    prometheus = running.enter_context(Prometheus(tmp_path, scrape={"shop": target.address}))
    until(lambda: prometheus.value("items"), why="the first scrape")
    target.drop("items")
    prometheus.kill9()
    assert not prometheus.running
    prometheus.start()
    assert prometheus.value("last_over_time(items[5m])") == 7


def test_alertmanager_asks_a_failing_webhook_again(tmp_path: Path, running: ExitStack, recorder: HttpRecorder) -> None:
    recorder.answer(503)
    token = tmp_path / "token"
    token.write_text("secret")
    alertmanager = running.enter_context(Alertmanager(tmp_path, to_webhook(recorder.url, token_file=token)))
    alertmanager.post_alerts({"labels": {"alertname": "Down"}})
    first, second, *_ = recorder.wait_for(2)
    assert first.body == second.body
    assert first.headers["authorization"] == "Bearer secret"


def test_the_recorder_drops_and_stalls_as_told(recorder: HttpRecorder) -> None:
    recorder.drop()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(recorder.url, content=b"one")
    recorder.answer(418, b"teapot")
    assert httpx.post(f"{recorder.url}/pot?x=1", content=b"two").status_code == 418
    recorder.stall()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(recorder.url, content=b"three", timeout=httpx.Timeout(60, read=0.3))
    assert [request.body for request in recorder.wait_for(3)] == [b"one", b"two", b"three"]
    assert recorder.requests[1].path == "/pot?x=1"


class NeverReady(Process):
    """A program that one waits for in vain."""

    starts_within = 0.5

    def ready(self) -> bool:
        until(self.tail, why="its first word")
        return False


@pytest.mark.parametrize("then", ["exit 3", "sleep 60"])
def test_a_process_that_does_not_come_up_shows_its_log_and_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], then: str
) -> None:
    process = NeverReady(["sh", "-c", f"echo no such luck; {then}"], log=tmp_path / "log")
    with pytest.raises(AssertionError, match=r"ended at once|is not ready"):
        process.start()
    assert "no such luck" in capsys.readouterr().out
    assert not process.running


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = Process(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], log=tmp_path / "log")
    stubborn.stops_within = 0.5
    with stubborn:
        until(lambda: "up" in stubborn.tail(), why="the trap is set")
        assert stubborn.terminate() == -9
    assert not stubborn.running


def test_removing_a_directory_spares_what_is_mounted_in_it(tmp_path: Path) -> None:
    needs_root("nothing can be mounted")
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    inside = tmp_path / "with a space" / "mounted"
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", kept, inside], check=True)
    assert (inside / "file").exists()
    remove(inside.parent)
    assert not inside.parent.exists()
    assert (kept / "file").exists()


def test_a_directory_whose_mount_is_busy_is_not_removed(tmp_path: Path) -> None:
    needs_root("nothing can be mounted")
    kept = tmp_path / "kept"
    inside = tmp_path / "scratch" / "mounted"
    kept.mkdir()
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", kept, inside], check=True)
    with (inside / "file").open("w"):
        with pytest.raises(AssertionError, match="umount"):
            remove(inside.parent)
        assert (kept / "file").exists()
    remove(inside.parent)
    assert (kept / "file").exists()


def test_the_engine_restarts_a_container_that_it_made_itself(docker_engine: DockerEngine) -> None:
    container = docker_engine.run(name="orders", labels={"amend.enable": "true"})
    container.reload()
    begun = container.attrs["State"]["StartedAt"]
    container.restart(timeout=1)
    container.reload()
    assert container.status == "running"
    assert container.attrs["State"]["StartedAt"] > begun
    labelled = docker_engine.client.containers.list(filters={"label": "amend.enable=true"})
    assert [each.name for each in labelled] == ["orders"]


def test_containers_find_one_another_by_name_and_publish_their_ports(docker_engine: DockerEngine) -> None:
    assert docker_engine.client.containers.list(all=True) == [], "an earlier test left containers"
    docker_engine.client.networks.create("shop")
    web = docker_engine.run(
        "httpd", "-f", "-p", "80", "-h", "/etc", name="web", network="shop", ports={"80/tcp": ("127.0.0.1", None)}
    )
    web.reload()
    url = f"http://127.0.0.1:{web.attrs['NetworkSettings']['Ports']['80/tcp'][0]['HostPort']}/hostname"
    until(lambda: answers(url), why="its web server is up")
    seen = docker_engine.client.containers.run(
        docker_engine.busybox, ["wget", "-qO-", "http://web/hostname"], network="shop", remove=True
    )
    assert httpx.get(url, timeout=60, trust_env=False).content == seen
    assert seen.decode().strip() == str(web.id)[:12]


LONG = """
import time
from tests.bed.processes import Process

def test_it(running, tmp_path):
    process = running.enter_context(Process(["sleep", "600"], log=tmp_path / "log"))
    print("started", process.pid, flush=True)
    time.sleep(600)
"""

SKIPS = {
    "test_skips.py": "import pytest\ndef test_it(): pytest.skip('no luck')",
    "test_module.py": "import pytest\npytest.skip('no luck', allow_module_level=True)",
    "test_part.py": "import pytest\n@pytest.fixture\ndef part(): pytest.skip('no luck')\ndef test_it(part): pass",
}


def test_what_is_skipped_has_failed_in_ci_alone(tmp_path: Path) -> None:
    for name, source in SKIPS.items():
        (tmp_path / name).write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    command += ["--continue-on-collection-errors"]
    elsewhere = {name: value for name, value in os.environ.items() if name != "CI"}

    def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert run(elsewhere).stdout.splitlines()[-1].strip("= ").startswith("3 skipped")
    in_ci = run({**elsewhere, "CI": "true"})
    assert in_ci.stdout.splitlines()[-1].strip("= ").startswith("1 failed, 2 errors")
    assert "Skipped: no luck, and CI skips nothing" in in_ci.stdout


def test_the_receiver_remembers_an_alert_over_a_power_cut(tmp_path: Path, running: ExitStack) -> None:
    receiver = running.enter_context(Receiver(tmp_path))
    assert receiver.post(alert("Down", service="orders")).json()["status"] == "stored"
    receiver.kill9()
    receiver.start()
    (episode,) = until(lambda: receiver.get("episodes")["episodes"], why="what was delivered is worked through")
    assert episode["labels"] == {"alertname": "Down", "service": "orders"}
    assert receiver.runs() == []


def test_a_run_that_is_told_to_end_stops_what_it_started(tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(LONG)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-s", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        child = next(int(line.split()[-1]) for line in run.stdout if "started" in line)
        assert Path(f"/proc/{child}").exists()
        run.terminate()
        run.stdout.read()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert not Path(f"/proc/{child}").exists()
