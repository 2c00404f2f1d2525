"""`amend rules backtest` on a real Prometheus: what it says of a known past, and that a live run says the same.

The past is back-filled; the live run scrapes and evaluates every second.
"""

import json
import re
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from receiver.commands.rules import app
from receiver.rulegen.backtest import Curve, Verdict, Wanted, Watched, judge, read, step_for
from receiver.rulegen.generate import load_specs
from receiver.rulegen.history import Grid
from receiver.rulegen.live import LivePrometheus
from receiver.rulegen.pages import Page
from receiver.rulegen.report import PLOTS, report
from tests.bed.metrics_target import MetricsTarget
from tests.bed.parts import program
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus
from tests.rulegen.proof import generated, spec

HOURS = 50
END = int(time.time()) // 3600 * 3600 - 3600
SPIKE = END - 4 * 3600  #: of the host `hit`, for half an hour, and again forty minutes later
HOSTILE = '<script>alert(1)</script> "}\\ {{7*7}}'
KEYS = (
    "band: zscore, interval: 1m, window: 4h, min_samples: 30, for: 2m, keep_firing_for: 0s,"
    " severity: {high: 3, critical: 100}"
)
LOAD = f"{{name: load, expr: max by (host) (load), by: [host], {KEYS}}}"
IDLE = f"{{name: idle, expr: max by (host) (load), by: [host], only_if: max by (host) (load) > 1000, {KEYS}}}"
LONG = LOAD.replace("name: load", "name: long").replace("window: 4h", "window: 2d, for: 1m").replace(" for: 2m,", "")
NONE = f"{{name: none, expr: max by (host) (nothing), by: [host], {KEYS}}}"


def made() -> str:
    lines = ["# TYPE load gauge"]
    for host in ("hit", "calm", HOSTILE):
        quoted = host.replace("\\", "\\\\").replace('"', '\\"')
        for at in range(END - HOURS * 3600, END + 1, 60):
            up = host != "calm" and (SPIKE <= at < SPIKE + 1800 or SPIKE + 4200 <= at < SPIKE + 4800)
            lines.append(f'load{{host="{quoted}"}} {100 + at // 60 % 7 + 100 * up} {at}')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("past"), history=made()) as prometheus:
        yield prometheus


def run(folder: Path, url: str, *options: str, detectors: tuple[str, ...] = (LOAD,)) -> Result:
    specs = spec(folder / "specs", *detectors)
    end = datetime.fromtimestamp(END, UTC).isoformat()
    words = ["backtest", "--prometheus", url, "--specs", str(specs), "--promtool", program("promtool")]
    return CliRunner().invoke(app, [*words, "--since", "12h", "--until", end, *options])


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_each_episode_is_one_page_and_begins_after_its_for(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(tmp_path, prometheus.url, "--step", "1m", "-o", "json")
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)["detectors"]
    # Ten minutes of it forty minutes later are the same episode.
    assert [(page["labels"]["host"], page["start"], page["end"]) for page in told["pages"]] == [
        (host, moment(SPIKE + 120), moment(SPIKE + 4800)) for host in (HOSTILE, "hit")
    ]
    high, critical = told["severities"]
    assert (high["severity"], high["pages"], high["pages_per_week"]) == ("high", 2, pytest.approx(28, rel=0.01))
    assert high["longest_seconds"] == 4800 - 120
    assert high["time_up"] == pytest.approx(2 * (28 + 8) / (3 * 720), rel=0.01)
    assert (critical["pages"], critical["time_up"]) == (0, 0)
    assert told["judged"] == 1
    assert told["notes"] == []


def test_people_read_a_table_with_the_worst_severity_of_each_episode(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(tmp_path, prometheus.url, "--step", "2m", "--detector", "load", detectors=(LOAD, NONE))
    assert result.exit_code == 0, result.output
    assert "judged every 2m, though the rules are evaluated every 1m" in result.stdout
    assert "host=hit" in result.stdout
    assert "none" not in result.stdout
    (row,) = [line.split() for line in result.stdout.splitlines() if line.startswith("load      high")]
    assert row[:6] == ["load", "high", "2", "28.0", "3.33%", "1h18m"]


def test_what_is_not_judged_is_told(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(
        tmp_path, prometheus.url, detectors=(LOAD.replace("name: load", "name: long").replace("4h", "2d"), IDLE)
    )
    assert result.exit_code == 0, result.output
    assert "idle: 100% of the time only_if did not hold" in result.stdout
    assert "long: its history begins" in result.stdout
    assert "(Prometheus keeps 1y), later than the 2d2h that the band looks back" in result.stdout


def test_series_beyond_the_most_are_picked_by_chance_and_this_is_told(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(tmp_path, prometheus.url, "--max-series", "1", "-o", "json")
    (told,) = json.loads(result.stdout)["detectors"]
    assert told["series"] <= 1
    assert told["series_seen"] == 3
    assert "of its 3 series were judged, picked by chance" in told["notes"][-1]


def test_no_data_at_all_is_a_finding(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(tmp_path, prometheus.url, detectors=(NONE,))
    assert result.exit_code == 1
    assert "has no value of any of these detectors in this time" in result.stderr


def test_a_prometheus_that_is_away_ends_it_with_2(tmp_path: Path) -> None:
    result = run(tmp_path, "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--detector", "lode"), 'a detector "lode"; did you mean "load"?'),
        (("--step", "10m"), "at most 5m"),
        (("--since", "often"), '"often" is not a duration'),
        (("--until", "noon"), '"noon" is not a time'),
        (("--promtool", "no-such-promtool"), "it comes with Prometheus"),
    ],
)
def test_wrong_usage_is_told_with_the_way_out(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    result = run(tmp_path, "http://127.0.0.1:9", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ("preset: balanced", timedelta(minutes=5)),
        ("preset: classic", timedelta(seconds=30)),
        ("window: 1d", timedelta(minutes=5)),
        ("window: 1d, for: 2m", timedelta(minutes=2)),
        ("window: 1d, interval: 2m", timedelta(minutes=4)),
        ("window: 1h, interval: 5s, min_samples: 180", timedelta(seconds=10)),
    ],
)
def test_steps_are_as_long_as_the_band_bears(tmp_path: Path, keys: str, step: timedelta) -> None:
    band = "" if "preset" in keys else "band: zscore, "
    (detector,) = load_specs(spec(tmp_path, f"{{name: load, expr: sum(x), {band}{keys}}}")).specs[0].detectors
    assert step_for(detector) == step


# ── against a live run ──

FAST = (
    "{name: load, expr: max by (host) (load), by: [host], band: zscore, interval: 1s, window: 1m, min_samples: 8,"
    " for: 2s, keep_firing_for: 2s, min_deviation: {relative: 10%}, severity: {high: 3, critical: 6}}"
)


def test_the_pages_of_a_backtest_are_those_of_the_live_run(
    tmp_path: Path, running: ExitStack, target: MetricsTarget
) -> None:
    out = generated(tmp_path, FAST)
    for host in ("hit", "calm"):
        target.set("load", 100, host=host)
    live = running.enter_context(Prometheus(tmp_path, scrape={"shop": target.address}, rules=[out / "shop.rules.yml"]))
    until(lambda: len(live.query("amend:zscore")) == 2, within=60, why="both hosts are judged")
    began = time.time()
    target.set("load", 500, host="hit")
    until(lambda: len(fired(live)) == 2, within=60, why="the spike fires in both severities")
    target.set("load", 100, host="hit")
    until(lambda: live.alerts() == [], within=60, why="the alerts are over")
    over = datetime.now(UTC)

    found = load_specs(tmp_path / "specs").specs[0]
    wanted = Wanted(
        since=over - datetime.fromtimestamp(began - 5, UTC),
        until=over,
        step=timedelta(seconds=1),
        promtool=program("promtool"),
    )
    with LivePrometheus(live.url) as asked, read(asked, found.detectors[0], wanted) as past:
        verdict = judge(found, past, wanted)
    pages = {page.severity: page for page in verdict.pages}
    lived = alerts_lived(live, over)
    assert {page.series for page in pages.values()} == {(("host", "hit"),)}
    assert set(pages) == set(lived) == {"high", "critical"}
    for severity, (first, last) in lived.items():
        # One step of the grid, and one of the live rules' own clock.
        assert abs(pages[severity].start.timestamp() - first) <= 2
        assert abs((pages[severity].end - verdict.grid.step).timestamp() - last) <= 2


def fired(live: Prometheus) -> list[Any]:
    return [alert for alert in live.alerts() if alert["state"] == "firing"]


def alerts_lived(live: Prometheus, over: datetime) -> dict[str, tuple[float, float]]:
    """By severity, the first and the last moment at which the live alert fired."""
    answer = httpx.get(
        f"{live.url}/api/v1/query",
        params={"query": 'ALERTS{alertstate="firing"}[10m]', "time": over.timestamp()},
        timeout=10,
        trust_env=False,
    )
    return {
        each["metric"]["severity"]: (each["values"][0][0], each["values"][-1][0])
        for each in answer.json()["data"]["result"]
    }


# ── against what people remember, and as a page to look at ──


def test_pages_are_held_against_labels(tmp_path: Path, prometheus: Prometheus) -> None:
    labels = tmp_path / "incidents.csv"
    labels.write_text(
        "start,end,host,note\n"
        f"{moment(SPIKE)},{moment(SPIKE + 1800)},hit,the spike\n"
        f"{moment(SPIKE - 7200)},{moment(SPIKE - 3600)},calm,nobody saw it\n"
    )
    result = run(tmp_path, prometheus.url, "--step", "1m", "--labels", str(labels), "-o", "json")
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)["detectors"]
    assert told["severities"][0]["against_labels"] == {
        "incidents": 2,
        "found": 1,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "delay_seconds": 120.0,
    }
    table = run(tmp_path, prometheus.url, "--step", "1m", "--labels", str(labels)).stdout
    assert "1 of 2  0.50       0.50    0.50  2m" in table


def test_the_report_is_one_file_that_asks_for_nothing_and_escapes_what_labels_hold(
    tmp_path: Path, prometheus: Prometheus
) -> None:
    labels = tmp_path / "incidents.yml"
    note = "<img src=http://evil.example>\u202e"
    window = {"start": moment(SPIKE), "end": moment(SPIKE + 1800), "note": note}
    labels.write_text(json.dumps({"incidents": [window]}))
    out = tmp_path / "report.html"
    result = run(tmp_path, prometheus.url, "--labels", str(labels), "--report", str(out))
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)(\w+)""", text.replace("&lt;img src=http", "")) == []
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{7*7}}" in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert text.count("<figure>") == 2, "the series without pages is not drawn"
    assert text.count('class="page"') == 2
    assert text.count('class="incident"') == 2
    # The extremes are drawn, however few points there are: the spike reaches the upper twentieth.
    line = re.findall(r'class="value" d="([^"]*)"', text)[0]
    heights = [float(point.split()[1]) for point in re.split("[ML]", line) if point.strip()]
    assert min(heights) < 200 / 20 + 1
    assert len(heights) <= 2 * 480


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(tmp_path, prometheus.url, "--report", str(tmp_path / "no" / "report.html"))
    assert "cannot be written" in str(result.exception)


def test_the_number_of_plots_is_bounded_and_every_detector_has_its_share(tmp_path: Path) -> None:
    names = ("busy", "rare")
    found = load_specs(spec(tmp_path, *(LOAD.replace("name: load", f"name: {name}") for name in names))).specs[0]
    start = datetime.fromtimestamp(SPIKE, UTC)
    grid = Grid(start, timedelta(minutes=1), 60)
    curve = Curve(every=1, low=array("d", [1.0] * 60), high=array("d", [2.0] * 60), band={})

    def watched(number: int) -> Watched:
        series = (("host", f"h{number}"),)
        page = Page(series=series, severity="high", start=start, end=start + timedelta(minutes=5))
        return Watched(series=series, pages=[page], up={"high": 5}, known=60, judged=60, idle=0, curve=curve)

    verdicts = [
        Verdict(
            spec=found,
            detector=detector,
            grid=grid,
            watched=[watched(number) for number in range(many)],
            seen=many,
            notes=[],
        )
        for detector, many in zip(found.detectors, (500, 3), strict=True)
    ]
    wanted = Wanted(since=timedelta(hours=1), until=grid.end)
    text = report(verdicts, wanted, None)
    assert text.count("<figure>") == PLOTS
    assert "500 had pages; the 57 with most\nare drawn" in text
    assert text.partition('id="rare"')[2].count("<figure>") == 3


def test_made_up_anomalies_are_told_by_kind_and_size(tmp_path: Path, prometheus: Prometheus) -> None:
    out = tmp_path / "report.html"
    since = ("--since", "24h", "--inject", "1", "--seed", "3")
    result = run(tmp_path, prometheus.url, *since, "--report", str(out))
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("spike")]
    assert [row[:4] for row in rows] == [["spike", size, "load", "1"] for size in ("3", "6", "12")]
    assert rows[-1][4:] == ["1", "1", "2m"]
    assert "Made-up anomalies" in out.read_text()
