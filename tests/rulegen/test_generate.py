"""What is committed under rules/ and deploy/grafana is what the specs mean, and promtool finds it good.

The committed files are the golden output: a change of the generator shows as their diff.
"""

from pathlib import Path

import pytest
import yaml

from receiver.errors import AmendError, ConfigErrors
from receiver.rulegen.generate import compare, load_specs, render, write
from tests.bed.parts import ROOT
from tests.bed.prometheus import promtool
from tests.rulegen.proof import generated, spec

SPECS = ROOT / "rules" / "specs"
RULES = ROOT / "rules" / "generated"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"

#: One of each kind: every preset, no labels and several, every direction, scores as severities, both block lengths.
VARIETY = (
    "{name: textbook, expr: x, by: [host], preset: classic}",
    "{name: fast, expr: 'rate(x[1m])', by: [a, b], preset: high_frequency, direction: below, severity: {low: 2}}",
    "{name: exact, band: zscore, expr: sum(x), preset: high_accuracy, min_deviation: {absolute: 3}, unit: B}",
    "{name: cheap, band: zscore, expr: sum(x), preset: low_cost, only_if: y > 3, keep_firing_for: 0s, for: 0s}",
    "{name: long, band: zscore, expr: x, by: [host], window: 7d, sigma: 2.5, interval: 1m, only_if: y > 3}",
    "{name: filled, band: zscore, expr: sum(x) or vector(0), runbook_url: 'https://runbooks.example/filled'}",
    "{name: naught, band: iqr, expr: x, by: [host], min_deviation: {absolute: 100}}",  # its usual level is 0
    "{name: second, expr: x, by: [service], interval: 1s, window: 10m, for: 5s, keep_firing_for: 1s}",
)
#: Apart, for tests that evaluate all kinds as often as the fastest needs.
OF_DAYS = (
    "{name: dense, expr: x, by: [host], min_samples: 360, window: 2d}",  # more than a sample in five minutes
    "{name: held, expr: x, by: [host], min_samples: 24, for: 1h}",
    "{name: leak, expr: x, by: [host], band: {any_of: [forecast, zscore]}, bound: 95, direction: above, horizon: 4h}",
    "{name: mixed, expr: x, by: [host], band: {any_of: [auto, iqr]}, min_samples: 60}",
    "{name: always, expr: x, by: [host], band: zscore, only_if: vector(1)}",
)


def test_what_is_committed_is_up_to_date() -> None:
    files = render(load_specs(SPECS).specs, rules=RULES, dashboards=DASHBOARDS)
    difference = compare(files)
    assert (difference.stale, difference.orphaned) == ((), ()), "run `amend rules generate`"


def test_what_is_committed_passes_promtool() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.rules.yml")))


@pytest.mark.parametrize("name", sorted(path.name for path in RULES.glob("*.test.yml")))
def test_what_is_committed_passes_its_own_tests(name: str) -> None:
    promtool("test", "rules", RULES / name)


@pytest.mark.parametrize("detector", [*VARIETY, *OF_DAYS])
def test_every_kind_of_detector_passes_its_own_test(tmp_path: Path, detector: str) -> None:
    out = generated(tmp_path, detector)
    promtool("check", "rules", "--lint=all", "--lint-fatal", out / "shop.rules.yml")
    promtool("test", "rules", out / "shop.test.yml")


def test_detectors_of_one_file_are_tested_together(tmp_path: Path) -> None:
    out = generated(tmp_path, VARIETY[0], VARIETY[4], VARIETY[5])
    promtool("test", "rules", out / "shop.test.yml")


def test_a_detectors_unit_test_can_fail(tmp_path: Path) -> None:
    out = generated(tmp_path, VARIETY[1])
    rules = out / "shop.rules.yml"
    rules.write_text(rules.read_text().replace("< -", "> "))
    with pytest.raises(AssertionError, match="a spike fires"):
        promtool("test", "rules", out / "shop.test.yml")


def test_the_same_specs_give_the_same_bytes_wherever_they_lie(tmp_path: Path) -> None:
    first, second = (
        render(
            load_specs(spec(tmp_path / place / "rules" / "specs", *VARIETY)).specs, rules=tmp_path, dashboards=tmp_path
        )
        for place in ("here", "there")
    )
    assert first == second


def test_a_generated_file_names_its_spec_on_the_first_line(tmp_path: Path) -> None:
    out = generated(tmp_path, VARIETY[0])
    for name in ("shop.rules.yml", "shop.test.yml"):
        assert "specs/shop.yml; do not edit" in (out / name).read_text().splitlines()[0]


def test_every_rule_has_a_comment(tmp_path: Path) -> None:
    lines = [line.strip() for line in (generated(tmp_path, *VARIETY) / "shop.rules.yml").read_text().splitlines()]
    rules = [index for index, line in enumerate(lines) if line.startswith(("- record:", "- alert:"))]
    assert rules
    assert all(lines[index - 1].startswith("# ") for index in rules)


def test_every_recorded_series_carries_its_detector(tmp_path: Path) -> None:
    rules = yaml.safe_load((generated(tmp_path, *VARIETY) / "shop.rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["detector"] == group["name"].split(":")[0]


def test_a_service_label_of_the_series_is_not_overwritten(tmp_path: Path) -> None:
    rules = yaml.safe_load((generated(tmp_path, VARIETY[0], VARIETY[-1]) / "shop.rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"]: rule["labels"].get("service") for rule in alerts} == {
        "TextbookAnomaly": "shop",
        "SecondAnomaly": None,
    }


def test_a_generated_file_whose_spec_is_gone_is_removed_and_others_are_not(tmp_path: Path) -> None:
    loaded = load_specs(spec(tmp_path / "specs", VARIETY[0]))
    out = tmp_path / "out"
    write(render(loaded.specs, rules=out, dashboards=out))
    (out / "own.rules.yml").write_text("groups: []\n")
    (tmp_path / "specs" / "shop.yml").rename(tmp_path / "specs" / "store.yml")
    difference = write(render(load_specs(tmp_path / "specs").specs, rules=out, dashboards=out))
    assert {path.name for path in difference.orphaned} == {"shop.rules.yml", "shop.test.yml", "shop.json"}
    assert {path.name for path in out.iterdir()} == {
        "amend-overview.json",
        "own.rules.yml",
        "store.rules.yml",
        "store.test.yml",
        "store.json",
    }


def test_no_spec_takes_the_name_of_the_dashboard_over_all_specs(tmp_path: Path) -> None:
    folder = spec(tmp_path, VARIETY[0], name="amend-overview")
    with pytest.raises(ConfigErrors, match=r"amend-overview\.yml: is named like the dashboard over all specs; rename"):
        load_specs(folder)


def test_what_was_generated_from_other_specs_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    ours = load_specs(spec(tmp_path / "ours", VARIETY[0])).specs
    write(render(ours, rules=out, dashboards=out))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours" / "shop.yml").rename(tmp_path / "theirs" / "store.yml")
    difference = write(render(load_specs(tmp_path / "theirs").specs, rules=out, dashboards=out))
    assert difference.orphaned == ()
    assert (out / "shop.json").is_file()


def test_what_is_up_to_date_is_not_written_again(tmp_path: Path) -> None:
    loaded = load_specs(spec(tmp_path / "specs", VARIETY[0]))
    files = render(loaded.specs, rules=tmp_path / "out", dashboards=tmp_path / "out")
    write(files)
    before = {path: path.stat().st_ino for path in files}
    assert write(files).stale == ()
    assert {path: path.stat().st_ino for path in files} == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    files = render(load_specs(spec(tmp_path / "specs", VARIETY[0])).specs, rules=tmp_path / "out", dashboards=tmp_path)
    with pytest.raises(AmendError, match="out"):
        write(files)
