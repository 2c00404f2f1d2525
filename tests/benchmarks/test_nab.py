"""The quality benchmark on a made-up corpus, small enough to know its figures by hand."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.nab.__main__ import score
from benchmarks.nab.corpus import Series, load
from benchmarks.nab.figures import figures
from benchmarks.nab.nab_score import STANDARD, nab_score, raw_score
from benchmarks.nab.pages import pages
from benchmarks.nab.specs import AUTO, committed
from benchmarks.nab.stretches import GRID, stretches
from benchmarks.rule_set import from_spec
from receiver.errors import AmendError
from receiver.rulegen.expressions import labels_of, parse
from tests.bed.parts import ROOT

BEGIN = datetime(2024, 5, 6, 7, 30, tzinfo=UTC)
ROWS = 400
LEARNING = 60  #: 15 % of the rows
WINDOW = (200, 219)
HIT = 205
FALSE = 300

# A detection in the middle of a window, at -15/20 of its width: 2 / (1 + exp(-3.75)) - 1, divided by the same at -1.
IN_WINDOW = 0.954046 / 0.986614

THRESHOLD = """\
groups:
- name: threshold
  rules:
  - alert: TooHigh
    expr: nab_value > 50
"""

SPEC = """\
version: amend/v1
service: benchmark
detectors:
- {name: nab, expr: nab_value, by: [series], band: zscore, min_samples: 20, interval: 5m, window: 6h, for: 0s}
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A series with one window and one false spike, and one that has nothing but a false spike."""
    folder = tmp_path / "corpus"
    write_series(folder, "busy/spikes", {HIT: 100, FALSE: 100})
    write_series(folder, "quiet/spike", {FALSE: 100})
    truth = {"windows": [[stamp(row) for row in WINDOW]], "labels": [stamp(HIT - 1)]}
    (folder / "labels.json").write_text(
        json.dumps({"busy/spikes": truth, "quiet/spike": {"windows": [], "labels": []}})
    )
    return folder


def write_series(folder: Path, name: str, spikes: Mapping[int, float]) -> None:
    path = folder / "data" / f"{name}.csv"
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "value"])
        rows.writerows((stamp(row), spikes.get(row, 10 + row % 3)) for row in range(ROWS))


def stamp(row: int) -> str:
    return f"{BEGIN + row * GRID:%Y-%m-%d %H:%M:%S}"


def made(*, windows: Sequence[tuple[int, int]] = (), rows: int = ROWS, step: timedelta = GRID) -> Series:
    times = [int((BEGIN + row * step).timestamp()) for row in range(rows)]
    return Series("made/up", times, [float(row) for row in range(rows)], windows, labels=())


def up(*rows: int) -> list[bool]:
    return [row in rows for row in range(ROWS)]


def benchmark(*arguments: str | Path, command: str = "benchmarks.nab") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


# ── the score ──


def test_silence_scores_0_and_one_detection_at_a_windows_start_100() -> None:
    series = made(windows=[WINDOW])
    assert nab_score([(series, up())]) == 0
    assert nab_score([(series, up(WINDOW[0]))]) == pytest.approx(100)


def test_a_hit_is_worth_less_the_later_it_comes_in_its_window() -> None:
    assert raw_score(made(windows=[WINDOW]), up(HIT)) == pytest.approx(IN_WINDOW, abs=1e-5)


def test_a_second_detection_in_a_window_changes_nothing() -> None:
    series = made(windows=[WINDOW])
    assert raw_score(series, up(HIT, HIT + 5)) == raw_score(series, up(HIT))


def test_a_false_detection_costs_its_whole_weight_far_from_a_window_and_less_soon_after_it() -> None:
    series = made(windows=[WINDOW])
    assert raw_score(series, up(HIT, FALSE)) == pytest.approx(IN_WINDOW - STANDARD.false, abs=1e-5)
    assert raw_score(series, up(HIT, 100)) == pytest.approx(IN_WINDOW - STANDARD.false, abs=1e-5)
    # One row behind a window of 20: 2 / (1 + exp(5 / 19)) - 1
    assert raw_score(series, up(HIT, WINDOW[1] + 1)) == pytest.approx(IN_WINDOW - STANDARD.false * 0.130826, abs=1e-5)


def test_nothing_is_scored_while_the_detector_learns() -> None:
    assert raw_score(made(), up(LEARNING - 1)) == 0
    assert raw_score(made(), up(LEARNING)) == -STANDARD.false


def test_a_page_goes_on_through_less_than_an_hour_of_quiet() -> None:
    assert pages(made(), up(100, 112, 125)) == [(100, 112), (125, 125)]


def test_an_alert_that_is_up_all_the_time_finds_nothing() -> None:
    found = figures([(made(windows=[WINDOW]), [True] * ROWS)])
    assert found.hit == 0
    assert found.flagged_share_outside == 1


# ── the grid and the stretches ──


def test_a_value_is_held_until_the_next_but_not_for_more_than_three_steps() -> None:
    whole = made(rows=10)
    gap = Series(whole.name, [*whole.times[:5], *whole.times[9:]], [0, 1, 2, 3, 4, 9], windows=(), labels=())
    shown = gap.on_grid(300)
    first = min(shown)
    assert {step - first: value for step, value in shown.items()} == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 4, 9: 9}


def test_hours_and_weekdays_stay_what_they_are() -> None:
    monday_half_past_seven = 4 * 24 * 12 + 7 * 12 + 6  # the clock of Unix begins on a Thursday
    assert made().slots(300)[0] == monday_half_past_seven


def test_the_stretches_of_a_long_series_give_each_of_its_steps_once() -> None:
    series = made(rows=150 * 24, step=timedelta(hours=1))
    parts = list(stretches(series))
    assert len(parts) > 1
    given = [part.start + step for part in parts for step in part.values if step >= part.run_up]
    assert sorted(given) == sorted(series.on_grid(300))


# ── the commands ──


def test_the_command_gives_the_figures_computed_by_hand(corpus: Path, tmp_path: Path) -> None:
    rules = tmp_path / "threshold.rules.yml"
    rules.write_text(THRESHOLD)
    done = benchmark(corpus, "--rules", rules, "--per-series", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    raw = IN_WINDOW - 2 * STANDARD.false
    assert told["detector"] == "threshold"
    assert told["all"]["nab_standard"] == pytest.approx(100 * (raw + 1) / 2, abs=0.01)
    assert told["all"]["windows"] == told["all"]["hit"] == 1
    assert told["all"]["false_pages"] == 2
    assert told["all"]["event_recall"] == 1
    assert told["all"]["event_precision"] == pytest.approx(1 / 3, abs=0.001)
    assert told["all"]["event_f1"] == 0.5
    weeks = 2 * (ROWS - 1 - LEARNING) / (7 * 24 * 12)
    assert told["all"]["false_pages_per_series_week"] == pytest.approx(2 / weeks, abs=0.01)
    assert told["all"]["flagged_share_outside"] == pytest.approx(2 / (2 * (ROWS - LEARNING) - 20), abs=0.0001)
    assert told["all"]["median_delay_h_after_label"] == pytest.approx(5 / 60, abs=0.01)
    assert told["quiet"]["nab_standard"] is None
    assert told["quiet/spike"]["nab_raw"] == -STANDARD.false


def test_two_runs_of_a_spec_agree_to_the_last_byte_of_their_plots(corpus: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yml"
    spec.write_text(SPEC)
    runs = [benchmark(corpus, "--specs", spec, "--plots", tmp_path / f"plots-{number}") for number in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    first, second = ([path.read_bytes() for path in sorted((tmp_path / f"plots-{n}").iterdir())] for n in range(2))
    assert first == second
    assert len(first) == 2


def test_a_plot_shows_the_band_the_windows_and_the_pages(corpus: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yml"
    spec.write_text(SPEC)
    score(corpus, specs=spec, only="busy", plots=tmp_path / "plots")
    picture = ElementTree.parse(tmp_path / "plots" / "best-busy-spikes.svg")
    svg = "{http://www.w3.org/2000/svg}"
    assert len(picture.findall(f"{svg}polygon")) == 1, "one band without gaps"
    assert len(picture.findall(f"{svg}rect[@fill='#fc3']")) == 1, "one window"
    assert len(picture.findall(f"{svg}path[@fill='#d33']")) == 2, "two pages"


def test_compare_has_a_row_for_each_file(corpus: Path, tmp_path: Path) -> None:
    rules, spec = tmp_path / "threshold.rules.yml", tmp_path / "spec.yml"
    rules.write_text(THRESHOLD)
    spec.write_text(SPEC)
    done = benchmark(corpus, rules, spec, "--only", "quiet", command="benchmarks.nab.compare")
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]] == ["threshold", "spec"]


@pytest.mark.parametrize("path", committed(), ids=lambda path: path.stem)
def test_every_committed_spec_makes_rules_that_keep_the_series(path: Path) -> None:
    rule_set = from_spec(path)
    assert all("series" in labels_of(parse(each)) for each in rule_set.expressions)


def test_auto_says_nothing_but_what_is_needed() -> None:
    assert AUTO in committed()
    said = [line.strip() for line in AUTO.read_text().splitlines() if not line.startswith("#")]
    assert said[-4:] == ["detectors:", "- name: nab", "expr: nab_value", "by: [series]"]
    assert "amend:zscore" in from_spec(AUTO).rules


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(AmendError, match=r"labels\.json: is not there"):
        load(tmp_path)


def test_rules_that_lose_the_series_are_told_what_to_keep(corpus: Path, tmp_path: Path) -> None:
    rules = tmp_path / "lost.rules.yml"
    rules.write_text(THRESHOLD.replace("nab_value > 50", "max(nab_value) > 50"))
    done = benchmark(corpus, "--rules", rules)
    assert done.returncode == 1
    assert 'has no label "series"' in done.stderr
