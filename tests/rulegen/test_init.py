"""`amend rules init` on a real Prometheus: what it writes is taken by `generate`, promtool and Prometheus.

Beside a shop it scrapes exporters with hostile values, without types, with native histograms, and with far too much.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from receiver.commands.rules import app
from receiver.durations import format_duration, parse_duration
from receiver.rulegen.checks import check
from receiver.rulegen.first_spec import memory
from receiver.rulegen.generate import load_specs
from receiver.rulegen.spec import Detector, load_spec
from tests.bed.metrics_target import MetricsTarget
from tests.bed.parts import program
from tests.bed.processes import free_port, until
from tests.bed.prometheus import Prometheus, promtool
from tests.rulegen.exporter import HOSTILE, Crowd, Native, Shop


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Four exporters are scraped, and everything has moved that moves."""
    with Shop() as shop, MetricsTarget() as untyped, Native() as native, Crowd() as crowd:
        jobs = {"shop": shop, "untyped": untyped, "native": native, "crowd": crowd}
        scrape = {name: target.address for name, target in jobs.items()}
        directory = tmp_path_factory.mktemp("init")
        flags = ["--enable-feature=native-histograms"]
        with _Moving(shop, untyped), Prometheus(directory, scrape=scrape, flags=flags) as prometheus:
            until(lambda: _scraped(prometheus), why="all of it is scraped a few times")
            yield prometheus


class _Moving:
    """The shop goes on, and the untyped exporter's numbers rise and fall."""

    def __init__(self, shop: Shop, untyped: MetricsTarget) -> None:
        self._shop, self._untyped = shop, untyped
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._move)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _move(self) -> None:
        tick = 0
        while not self._over.wait(0.2):
            tick += 1
            self._shop.live()
            self._untyped.set("queue_size", tick % 7, queue=HOSTILE)
            self._untyped.set("only_rises", tick)
            self._untyped.set("room_celsius", tick)
            self._untyped.add("hits_total", status="500")
            self._untyped.add("hits_total", status="200")
            self._untyped.set("call_seconds", 0.1, quantile="0.5")
            self._untyped.set("call_seconds", 0.2, quantile="0.99")
            self._untyped.add("call_seconds_count")
            self._untyped.add("call_seconds_sum", 0.1)
            for bound in ("0.1", "1", "+Inf"):
                self._untyped.add("wait_seconds_bucket", le=bound)
            self._untyped.add("wait_seconds_count")
            self._untyped.set("job:hits:rate5m", tick)


def _scraped(prometheus: Prometheus) -> bool:
    moving = ("jobs_total", "Odd__Name", "queue_size", "queue_length", "wait_seconds_count", "balance", "logins_total")
    return all(prometheus.query(f"changes({each}[1m]) > 2") for each in moving) and bool(
        prometheus.query("count_over_time(cart_seconds[1m]) > 2")
    )


def init(prometheus: Prometheus, folder: Path, *options: str, out: str = "specs/first.yml") -> Result:
    return CliRunner().invoke(app, ["init", "--prometheus", prometheus.url, "--out", str(folder / out), *options])


def told(prometheus: Prometheus, folder: Path, *options: str) -> Any:
    """What it says, as a program reads it."""
    result = init(prometheus, folder, "-o", "json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def reason(answer: Any, metric: str) -> str:
    (why,) = (each["why"] for each in answer["left_out"] if each["metric"] == metric)
    return str(why)


def detectors(folder: Path, name: str = "first") -> dict[str, Detector]:
    return {each.name: each for each in load_spec(folder / "specs" / f"{name}.yml").detectors}


def amend_rules(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def generated(folder: Path) -> Path:
    out = folder / "out"
    made = amend_rules("generate", "--specs", folder / "specs", "--out", out, "--dashboards", folder / "dashboards")
    assert made.exit_code == 0, made.output
    return out


# ── what it chooses ──


def test_the_spec_is_one_that_generate_and_promtool_take_and_prometheus_answers(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    result = init(prometheus, tmp_path, "--match", '{job=~"shop|untyped|native"}', "--limit", "100")
    assert result.exit_code == 0, result.output
    assert load_specs(tmp_path / "specs").warnings == ()
    promtool("check", "rules", "--lint=all", "--lint-fatal", generated(tmp_path) / "first.rules.yml")
    found = detectors(tmp_path).values()
    assert len(found) > 15
    assert [each.name for each in found if not prometheus.query(each.expr)] == []
    # Of so short a past the rates are low still, but they must be there.
    traffic = [each.only_if.removesuffix("> 0.2") for each in found if each.only_if]
    assert len(traffic) > 5
    assert [each for each in traffic if not prometheus.query(each)] == []


def test_the_generated_rules_pass_their_own_tests(prometheus: Prometheus, tmp_path: Path) -> None:
    assert init(prometheus, tmp_path, "--match", '{job="shop"}', "--limit", "4").exit_code == 0
    assert amend_rules("test", "--out", generated(tmp_path), "--promtool", program("promtool")).exit_code == 0


def test_each_kind_of_metric_gets_its_detector(prometheus: Prometheus, tmp_path: Path) -> None:
    assert init(prometheus, tmp_path, "--match", '{job="shop"}').exit_code == 0
    found = detectors(tmp_path)
    assert {name: (each.direction, each.unit) for name, each in found.items()} == {
        "http_request_duration_seconds_p95": ("above", "seconds"),
        "http_requests_error_ratio": ("above", "ratio"),
        "http_requests_rate": ("both", "per second"),
        "jobs_error_ratio": ("above", "ratio"),
        "jobs_rate": ("both", "per second"),
        "sent_bytes_rate": ("both", "bytes per second"),
        "upstream_timeouts_rate": ("above", "per second"),
        "rpc_duration_seconds_mean": ("above", "seconds"),
        "queue_length": ("above", ""),
        "disk_free_bytes": ("below", "bytes"),
        "process_resident_memory_bytes": ("above", "bytes"),
        "odd_name": ("both", ""),
    }
    assert {each.by for each in found.values()} == {
        ("namespace", "deployment"),
        ("namespace", "deployment", "queue"),
        ("namespace", "deployment", "mountpoint"),
    }
    assert found["http_request_duration_seconds_p95"].expr == (
        "histogram_quantile(0.95,\n  sum by (le, namespace, deployment)"
        ' (rate(http_request_duration_seconds_bucket{job="shop"}[5m]))\n)'
    )
    assert 'rate(jobs_failed_total{job="shop"}[5m])' in found["jobs_error_ratio"].expr
    assert {each.band for each in found.values()} == {"novelty"}


def test_what_is_left_out_has_a_reason(prometheus: Prometheus, tmp_path: Path) -> None:
    answer = told(prometheus, tmp_path, "--match", '{job="shop"}')
    assert "scrape" in reason(answer, "up")
    assert reason(answer, "build_info") == "tells labels, not a level"
    assert reason(answer, "config_workers") == "did not move within 1h"
    assert reason(answer, "never_counted_total") == "did not move within 1h"
    assert reason(answer, "last_backup_timestamp_seconds") == "a moment in time, not a level"
    assert reason(answer, "boot_time_seconds") == "a moment in time, not a level"
    assert reason(answer, "jobs_failed_total") == "part of the error ratio of jobs_total"
    assert reason(answer, "http_requests_created") == "the moment when a series began"
    assert reason(answer, "is_leader").startswith("only ever 0 or 1")
    (latency,) = (each for each in answer["detectors"] if each["metric"] == "http_request_duration_seconds")
    assert "not by path, which has at least 60 values" in latency["why"][-1]


def test_without_types_names_and_behaviour_tell(prometheus: Prometheus, tmp_path: Path) -> None:
    answer = told(prometheus, tmp_path, "--match", '{job="untyped"}', "--service", "legacy")
    assert {each["name"]: each["kind"] for each in answer["detectors"]} == {
        "wait_seconds_p95": "histogram",
        "hits_error_ratio": "counter",
        "hits_rate": "counter",
        "call_seconds_p99": "summary",
        "queue_size": "unknown",
        "room_celsius": "unknown",
    }
    assert reason(answer, "only_rises").startswith("may be a counter")
    assert reason(answer, "job:hits:rate5m") == "recorded by rules from other metrics"
    found = detectors(tmp_path)
    assert found["call_seconds_p99"].expr == ('max by (job, instance) (call_seconds{job="untyped",quantile="0.99"})')
    assert found["room_celsius"].expr.startswith("max by")
    assert load_spec(tmp_path / "specs" / "first.yml").service == "legacy"


def test_native_histograms_are_seen(prometheus: Prometheus, tmp_path: Path) -> None:
    assert init(prometheus, tmp_path, "--match", '{job="native"}').exit_code == 0
    (found,) = detectors(tmp_path).values()
    assert found.expr == (
        'histogram_quantile(0.95,\n  sum by (namespace, job) (rate(cart_seconds{job="native"}[5m]))\n)'
    )
    assert found.only_if == 'sum by (namespace, job) (histogram_count(rate(cart_seconds{job="native"}[5m]))) > 0.2'
    (sample,) = prometheus.query(found.expr)
    assert 0 < sample.value <= 2


def test_thousands_of_series_are_aggregated_in_bounded_time(prometheus: Prometheus, tmp_path: Path) -> None:
    began = time.monotonic()
    answer = told(prometheus, tmp_path, "--match", '{job="crowd"}')
    assert time.monotonic() - began < 60
    by = {each["name"]: (each["by"], each["series"]) for each in answer["detectors"]}
    assert by == {"balance": ([], 1), "logins_rate": (["job"], 1)}
    balance = next(each for each in answer["detectors"] if each["name"] == "balance")
    assert "not by namespace, which would make more than 500" in balance["why"][-1]


def test_the_most_telling_come_first_and_the_rest_is_told(prometheus: Prometheus, tmp_path: Path) -> None:
    answer = told(prometheus, tmp_path, "--match", '{job="shop"}', "--limit", "2")
    names = [each["name"] for each in answer["detectors"]]
    assert names == ["http_request_duration_seconds_p95", "http_requests_error_ratio"]
    assert "beyond the first 2 detectors" in reason(answer, "http_requests_total")
    assert "beyond the first 2 detectors" in reason(answer, "queue_length")


# ── what it writes ──


def test_nothing_hostile_gets_out_of_its_place(prometheus: Prometheus, tmp_path: Path) -> None:
    selector = json.dumps(HOSTILE, ensure_ascii=False)[1:-1].replace("\\u001b", "\\x1b")
    result = init(prometheus, tmp_path, "--match", f'{{queue="{selector}"}}', "--service", HOSTILE)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "specs" / "first.yml").read_text()
    assert all(line.isprintable() for line in text.splitlines())
    spec = load_spec(tmp_path / "specs" / "first.yml")
    assert spec.service == HOSTILE
    (detector,) = spec.detectors
    assert len(prometheus.query(detector.expr)) == 1
    assert result.stdout.replace("\n", "").isprintable()


def test_it_never_writes_over_a_spec_unless_told(prometheus: Prometheus, tmp_path: Path) -> None:
    out = tmp_path / "specs" / "first.yml"
    out.parent.mkdir()
    out.write_text("mine")
    refused = init(prometheus, tmp_path)
    assert refused.exit_code == 2
    assert "is there already" in refused.stderr
    assert out.read_text() == "mine"
    assert init(prometheus, tmp_path, "--match", "queue_length", "--force").exit_code == 0
    assert list(detectors(tmp_path)) == ["queue_length"]


def test_two_specs_of_one_folder_go_together(prometheus: Prometheus, tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        assert init(prometheus, tmp_path, "--match", "queue_length", out=f"specs/{name}.yml").exit_code == 0
    assert list(detectors(tmp_path, "second")) == ["second_queue_length"]
    assert len(load_specs(tmp_path / "specs").specs) == 3


def test_without_a_name_the_one_job_gives_it(
    prometheus: Prometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMEND_PROMETHEUS", prometheus.url)
    result = amend_rules("init", "--match", '{job="native"}')
    assert result.exit_code == 0
    assert "rules/specs/native.yml: written: 1 detector of 1 series" in result.stdout
    assert load_spec(Path("rules/specs/native.yml")).service == "native"
    assert amend_rules("init", "--match", '{job="native"}').exit_code == 2


def test_people_see_each_choice_and_each_reason(prometheus: Prometheus, tmp_path: Path) -> None:
    lines = init(prometheus, tmp_path, "--match", '{job="shop"}').stdout.splitlines()
    assert lines[0].split() == ["DETECTOR", "FROM", "SERIES", "BY", "WHY"]
    assert any(line.startswith("queue_length") and "it piles up" in line for line in lines)
    assert lines[lines.index("a moment in time, not a level:") + 1] == (
        "  boot_time_seconds, last_backup_timestamp_seconds"
    )
    assert f"then run `amend rules generate --specs {tmp_path / 'specs'}` and `amend rules test`" in lines[-1]


# ── what goes wrong ──


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("nonsense{", "is no selector"),
        ("rate(x[5m])", "is more than a selector"),
        ("x offset 5m", "is more than a selector"),
        ("{}", "is no selector"),
        ('{a="b" or c="d"}', "give --match twice"),
        ('{"a.b"="c"}', "only Prometheus 3"),
    ],
)
def test_what_is_no_selector_is_wrong_usage(prometheus: Prometheus, tmp_path: Path, selector: str, words: str) -> None:
    result = init(prometheus, tmp_path, "--match", selector)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "specs").exists()


def test_no_match_is_a_finding(prometheus: Prometheus, tmp_path: Path) -> None:
    result = init(prometheus, tmp_path, "--match", '{job="nope"}')
    assert result.exit_code == 1
    assert 'has no series now that match {job="nope"}' in result.stderr
    assert not (tmp_path / "specs").exists()


def test_nothing_worth_a_detector_is_a_finding(prometheus: Prometheus, tmp_path: Path) -> None:
    result = init(prometheus, tmp_path, "--match", "up")
    assert result.exit_code == 1
    assert "no spec was written" in result.stderr
    assert not (tmp_path / "specs").exists()


def test_a_prometheus_that_scrapes_nothing_is_a_finding(tmp_path: Path) -> None:
    with Prometheus(tmp_path) as empty:
        result = init(empty, tmp_path)
    assert result.exit_code == 1
    assert f"{empty.url}: has no series now; does it scrape anything? {empty.url}/targets shows" in result.stderr


def test_nobody_there_is_2(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = amend_rules("init", "--prometheus", url, "--out", tmp_path / "x.yml")
    assert result.exit_code == 2
    assert f"{url}: cannot be reached" in result.stderr


def test_a_spec_needs_a_specs_name(prometheus: Prometheus, tmp_path: Path) -> None:
    result = init(prometheus, tmp_path, out="first.yaml")
    assert result.exit_code == 2
    assert "specs are called NAME.yml" in result.stderr


@pytest.mark.parametrize(
    ("kept", "window"),
    [("15d", None), ("13d6h", None), ("13d", "10d"), ("10d", "1w"), ("4d", "2d"), ("2d", "1d"), ("90m", "1h")],
)
def test_what_prometheus_keeps_bounds_what_the_bands_remember(kept: str, window: str | None, tmp_path: Path) -> None:
    found = memory(parse_duration(kept), [])
    assert (format_duration(found.window) if found else None) == window
    path = tmp_path / "first.yml"
    defaults = f"defaults: {{{found}}}\n" if found else ""
    head = f"version: amend/v1\nservice: shop\nretention: {kept}\n{defaults}"
    path.write_text(f"{head}detectors:\n- {{name: a, expr: x, by: [host]}}\n")
    assert not check([load_spec(path)]).warnings
