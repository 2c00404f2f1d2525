"""`amend rules tune` on a real Prometheus: the sigma that it proposes pages as often as was wanted.

The past has spikes of known heights, so that how often each sigma would have paged is known, too.
"""

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from receiver.commands.rules import app
from receiver.rulegen.generate import load_specs
from receiver.rulegen.spec_text import Numbers, changed
from tests.bed.parts import program
from tests.bed.prometheus import Prometheus
from tests.rulegen.proof import HEAD

HOURS = 22
END = int(time.time()) // 3600 * 3600 - 3600
HEIGHTS = (6, 9, 14, 22, 34, 52)  #: of the spikes, in deviations, three hours apart
SPEC = """\
- name: load  # what the machines do
  expr: max by (host) (load)
  by: [host]
  band: zscore
  interval: 5m
  window: 2h       # a meeting
  min_samples: 10
  for: 5m
  keep_firing_for: 0s
  sigma: 3.0       # as in the textbook
"""


def past() -> str:
    lines = ["# TYPE load gauge"]
    chance = random.Random(1)
    for minute in range(0, HOURS * 60, 5):
        spike = (minute - 240) // 180
        height = HEIGHTS[spike] if 0 <= spike < len(HEIGHTS) and (minute - 240) % 180 < 30 else 0
        value = 100 + chance.uniform(-1.7, 1.7) + height
        lines.append(f'load{{host="a"}} {value} {END - HOURS * 3600 + minute * 60}')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("past"), history=past()) as prometheus:
        yield prometheus


def run(folder: Path, url: str, *options: str, spec: str = SPEC) -> Result:
    (folder / "shop.yml").write_text(HEAD + spec)
    end = datetime.fromtimestamp(END, UTC).isoformat()
    words = ["tune", "--prometheus", url, "--specs", str(folder), "--promtool", program("promtool")]
    return CliRunner().invoke(app, [*words, "--since", "18h", "--until", end, "--step", "5m", *options])


def test_the_proposed_sigma_pages_as_often_as_wanted_and_changes_one_line(
    tmp_path: Path, prometheus: Prometheus
) -> None:
    # Three of six spikes in 18 hours.
    result = run(tmp_path, prometheus.url, "--pages-per-week", "28", "--write", "-o", "json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    (told,) = said["detectors"]
    assert told["now"]["pages"] == 6
    assert told["proposed"]["pages"] == 3
    assert told["reached"]
    low, high = told["proposed"]["likely_pages_per_week"]
    assert 5 < low < 28 < high < 80, "three pages are few: what is likely is wide"
    sigma = told["proposed"]["sigma"]
    changes = [line for line in said["diff"].splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changes == ["-  sigma: 3.0       # as in the textbook", f"+  sigma: {sigma:g}       # as in the textbook"]
    written = (tmp_path / "shop.yml").read_text()
    assert written == HEAD + SPEC.replace("3.0 ", f"{sigma:g} ")
    assert load_specs(tmp_path).specs[0].detectors[0].severity["medium"] == sigma


def test_what_is_good_stays_and_nothing_is_written_unasked(tmp_path: Path, prometheus: Prometheus) -> None:
    result = run(tmp_path, prometheus.url, "--pages-per-week", "56")
    assert result.exit_code == 0, result.output
    assert "as it is" in result.stdout
    assert "@@" not in result.stdout
    assert (tmp_path / "shop.yml").read_text() == HEAD + SPEC


def test_no_data_is_a_finding_and_an_unknown_severity_wrong_usage(tmp_path: Path, prometheus: Prometheus) -> None:
    nothing = run(tmp_path, prometheus.url, "--pages-per-week", "1", spec=SPEC.replace("(load)", "(nothing)"))
    assert nothing.exit_code == 1
    assert "has no value" in nothing.stderr
    unknown = run(tmp_path, prometheus.url, "--pages-per-week", "1", "--severity", "hihg")
    assert unknown.exit_code == 2
    assert "load has no severity" in unknown.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "- {name: load, expr: x, severity: {high: 3, critical: 6}}  # all of it\n",
            "- {name: load, sigma: 4.5, expr: x, severity: {high: 4.5, critical: 9}}  # all of it\n",
        ),
        (
            "- name: load  # its name\n  expr: |\n    x # y\n",
            "- name: load  # its name\n  sigma: 4.5\n  severity: {high: 4.5, critical: 9}\n  expr: |\n    x # y\n",
        ),
        (
            '- name: "load"\n  "sigma": 3\n  severity:\n    critical: 6.0  # wakes people\n    high: 3\n  expr: x',
            '- name: "load"\n  "sigma": 4.5\n  severity:\n    critical: 9  # wakes people\n    high: 4.5\n  expr: x',
        ),
        (
            "-   expr: x\n    name: load",
            "-   expr: x\n    name: load\n    sigma: 4.5\n    severity: {high: 4.5, critical: 9}",
        ),
    ],
)
def test_numbers_change_and_nothing_else_does(before: str, after: str) -> None:
    other = "- {name: other, expr: z, sigma: 7}\n"
    numbers: dict[int, Numbers] = {1: {"sigma": 4.5, "severity": {"high": 4.5, "critical": 9.0}}}
    assert changed(f"# ä\n{HEAD}{other}{before}", numbers) == f"# ä\n{HEAD}{other}{after}"
