"""Mistakes in a spec as a new user makes them: each is told with its line and the way out, all of them at once.

Good specs are read with preset and defaults filled in.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from receiver.errors import AmendError
from receiver.rulegen.generate import load_specs
from receiver.rulegen.presets import PRESETS
from receiver.rulegen.spec import Detector

GOOD = "- {name: load, expr: sum by (host) (x), by: [host]}"


def read(folder: Path, detectors: str, *, head: str = "") -> tuple[Detector, ...]:
    text = f"version: amend/v1\nservice: shop\n{head}detectors:\n{detectors}\n"
    (folder / "shop.yml").write_text(text)
    return load_specs(folder).specs[0].detectors


def refused(folder: Path, detectors: str, *, head: str = "") -> str:
    with pytest.raises(AmendError) as raised:
        read(folder, detectors, head=head)
    return str(raised.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ("{nam: a, expr: sum(x)}", 'shop.yml:4: unknown key "nam"; did you mean "name"?'),
        ("{name: a}", 'shop.yml:4: "expr" is missing'),
        ("{name: aB, expr: sum(x)}", 'shop.yml:4: "aB" is not snake_case; write for example latency_p95'),
        ("{name: a, expr: sum(x), sigma: 0}", "shop.yml:4: sigma: input should be greater than 0, not 0"),
        ("{name: a, expr: sum(x), sigma: -1}", "shop.yml:4: sigma: input should be greater than 0, not -1"),
        (
            "{name: a, expr: sum(x), window: 1 day}",
            'shop.yml:4: "1 day" is not a duration; write for example 30s, 5m, 1h30m or 2d',
        ),
        (
            "{name: a, expr: sum(x), direction: up}",
            "shop.yml:4: direction: input should be 'above', 'below' or 'both', not 'up'",
        ),
        (
            "{name: a, expr: sum(x), min_deviation: {relative: lots}}",
            'shop.yml:4: "lots" is not a share; write for example 10% or 0.1',
        ),
        (
            "{name: a, expr: sum(x), min_deviation: {absolut: 1}}",
            'shop.yml:4: unknown key "absolut"; did you mean "absolute"?',
        ),
        (
            "{name: a, expr: sum(x), band: zscor}",
            'shop.yml:4: a: unknown band "zscor"; did you mean "zscore"?',
        ),
        (
            "{name: a, expr: sum(x), band: saisonal}",
            'shop.yml:4: a: unknown band "saisonal"; did you mean "seasonal"?',
        ),
        ("{name: a, expr: sum(x), alert: a b}", '"a b" is no alert name; write for example LatencyAnomaly'),
        ("{name: a, expr: sum(x), severity: high}", '"severity" maps severities to distances'),
        ("{name: a, expr: sum(x), severity: {score: {high: 2}}}", "input should be less than 1"),
        ("{name: a, expr: 'sum by (a (x)'}", "a: expr is not PromQL that can be watched: unclosed left parenthesis"),
        ("{name: a, expr: rate(x)}", "expected type matrix in call to function 'rate', got vector"),
        ("{name: a, expr: 'x[5m]', by: [a]}", "it gives a range of samples; wrap it"),
        ("{name: a, expr: 1 + 1}", "it gives one bare number; wrap it in vector(…)"),
        ("{name: a, expr: sum(x), only_if: x >}", "only_if is not PromQL that can be asked"),
        (
            "{name: a, expr: sum by (job) (x), by: [job, host]}",
            'shop.yml:4: a: the label "host" in `by` does not survive expr, which keeps job; add it to expr\'s',
        ),
        (
            "{name: a, expr: 'sum by (job, host) (x)', by: [job]}",
            'expr keeps the label "host", which `by` leaves out; add it to `by`, or aggregate it away in expr',
        ),
        ("{name: a, expr: x}", "`by` is missing; name the labels that tell expr's series apart"),
        ("{name: a, expr: x, by: [severity]}", '"severity" cannot stand in `by`: Amend or Prometheus writes it'),
        ("{name: a, expr: x, by: [job, job]}", '"job" stands twice in `by`'),
        (
            "{name: a, expr: sum(x), window: 1h, min_samples: 100}",
            "a: a window of 1h with a sample every 30s can miss min_samples after a gap; make it at least 1h40m",
        ),
        (
            "{name: a, expr: sum(x), window: 4h, for: 1h}",
            "a: `for` is 1h, more than an eighth of the window of 4h: the band would learn the fault first",
        ),
        ("{name: a, expr: sum(x), interval: 500ms}", "interval is 500ms; it must be whole seconds"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_way_out(tmp_path: Path, detector: str, said: str) -> None:
    assert said in refused(tmp_path, f"- {detector}")


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("version: amend/v1\nservice: a\ndetectors:\n- {name: a, expr: sum(x), sgma: 3}\n")
    said = refused(tmp_path, "- {name: a, expr: sum(}\n- {name: b, expr: x}")
    assert [line.split(": ")[0] for line in said.splitlines()] == ["a.yml:4", "shop.yml:4", "shop.yml:5"]


def test_a_mistake_in_a_default_is_told_where_the_default_stands(tmp_path: Path) -> None:
    said = refused(tmp_path, GOOD, head="defaults:\n  for: 5m\n  window: 5m\n")
    assert "shop.yml:5: load: a window of 5m" in said


def test_a_name_is_unique_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text(f"version: amend/v1\nservice: a\ndetectors:\n{GOOD}\n")
    said = refused(tmp_path, GOOD)
    assert said == "shop.yml:4: load: the name is taken by other.yml:4; names are unique over all spec files"


def test_labels_of_the_file_may_not_overwrite_those_of_the_series(tmp_path: Path) -> None:
    said = refused(tmp_path, GOOD, head="labels: {host: a}\n")
    assert '"host" stands in `by` and in the file\'s `labels`, which would overwrite it' in said


def test_labels_that_amend_writes_itself_are_refused(tmp_path: Path) -> None:
    assert '"severity" is written by Amend itself' in refused(tmp_path, GOOD, head="labels: {severity: high}\n")


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(AmendError, match="holds no spec"):
        load_specs(tmp_path)


def test_a_for_shorter_than_the_interval_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(
        "version: amend/v1\nservice: shop\ndetectors:\n- {name: a, expr: sum(x), interval: 1m, for: 5s}\n"
    )
    (warning,) = load_specs(tmp_path).warnings
    assert "shop.yml:4: a: `for` is 5s, shorter than the 1m between two evaluations" in str(warning)


def test_name_expr_and_by_are_enough(tmp_path: Path) -> None:
    (detector,) = read(tmp_path, GOOD)
    preset = PRESETS["balanced"]
    assert (detector.band, detector.window, detector.hold) == ("novelty", preset.days, preset.hold_of_days)
    assert detector.alert == "LoadAnomaly"
    assert detector.severity == {"medium": 3, "high": 4}


def test_the_detectors_word_counts_before_the_defaults_and_these_before_the_preset(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        "- {name: a, expr: sum(x), sigma: 5, min_deviation: {absolute: 2}}\n"
        "- {name: b, expr: sum(x), preset: low_cost}",
        head="defaults: {preset: high_frequency, sigma: 4, window: 12h, min_deviation: {absolute: 1, relative: 5%}}\n",
    )
    assert (first.sigma, first.interval) == (5, timedelta(seconds=5))
    assert (first.absolute, first.relative) == (2, 0.05)
    assert (second.sigma, second.window, second.interval) == (4, timedelta(hours=12), timedelta(minutes=2))


def test_severities_by_score_become_distances(tmp_path: Path) -> None:
    (detector,) = read(tmp_path, "- {name: a, expr: sum(x), severity: {score: {critical: 0.75, high: 0.5}}}")
    assert detector.severity == {"high": 3, "critical": 9}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_a_good_detector(tmp_path: Path, preset: str) -> None:
    (detector,) = read(tmp_path, GOOD, head=f"defaults: {{preset: {preset}}}\n")
    assert detector.sigma == PRESETS[preset].sigma
