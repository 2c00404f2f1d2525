"""What is merely doubtful about a spec is a warning with its line and the way out; the rest are errors."""

from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.rulegen.generate import load_specs
from tests.rulegen.proof import HEAD


def warnings(folder: Path, *detectors: str, head: str = "") -> list[str]:
    lines = "".join(f"- {detector}\n" for detector in detectors)
    (folder / "shop.yml").write_text(HEAD.replace("detectors:", f"{head}detectors:") + lines)
    return [str(each).replace(f"{folder}/", "") for each in load_specs(folder).warnings]


def refused(folder: Path, detector: str) -> str:
    with pytest.raises(ConfigErrors) as told:
        warnings(folder, detector)
    return str(told.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ("{name: a, expr: sum(x), sigma: 0}", "shop.yml:4: "),
        ("{name: a, expr: sum(x), sigma: -1}", "greater than 0"),
        ("{name: a, expr: sum(x), by: [pod]}", 'shop.yml:4: a: the label "pod" in `by` does not survive expr'),
        ("{name: a, expr: sum(x) +}", "shop.yml:4: a: expr is not PromQL that can be watched"),
        ("{name: a, expr: sum(x)}\n- {name: a, expr: sum(y)}", "shop.yml:5: a: the name is taken by shop.yml:4"),
        ("{name: a, expr: sum(x), band: forecast, direction: above}", "shop.yml:4: a: `bound` is missing"),
        ("{name: a, expr: sum(x), interval: 0s}", "it must be whole seconds"),
        ("{name: a, expr: sum(x), min_samples: 5000}", "min_samples are 5000 of one day"),
        ("{name: a, expr: sum(x), window: }", "shop.yml:4: window: has no value"),
        ("{name: a, expr: sum(x), alert: null}", "shop.yml:4: alert: has no value"),
        ("{name: a, expr: sum(x), alert: 'Null'}", '"Null" is no alert name'),
        ("{name: a, expr: sum(x), unit: '{{ 1 }}'}", "unit: templates"),
        ("{name: a, expr: sum(x), min_deviation: {relative: 10}}", "10 as a share is 1000%; write that, or 10%"),
        ("{name: a, expr: 'sum by (__a) (x)', by: [__a]}", "Prometheus keeps names that begin with __ to itself"),
    ],
)
def test_what_cannot_work_is_an_error_with_its_line(tmp_path: Path, detector: str, said: str) -> None:
    assert said in refused(tmp_path, detector)


def test_a_band_that_looks_back_further_than_samples_are_kept_is_a_warning(tmp_path: Path) -> None:
    (said,) = warnings(tmp_path, "{name: a, expr: sum(x), band: zscore, window: 20d}")
    assert said.startswith("shop.yml:4: a: the band looks back 20d20h, and Prometheus keeps 15d")
    assert said.endswith("shorten `window`, or say with the file's `retention` how long yours keeps")


def test_the_file_says_how_long_samples_are_kept(tmp_path: Path) -> None:
    long = "{name: a, expr: sum(x), band: zscore, window: 20d}"
    assert warnings(tmp_path, long, head="retention: 90d\n") == []
    (said,) = warnings(tmp_path, "{name: a, expr: sum(x), band: zscore, window: 3d}", head="retention: 2d\n")
    assert "looks back 3d3h, and Prometheus keeps 2d" in said


def test_two_weeks_of_seasons_fit_what_prometheus_keeps_by_itself(tmp_path: Path) -> None:
    assert warnings(tmp_path, "{name: a, expr: sum(x), band: seasonal}") == []
    (said,) = warnings(tmp_path, "{name: a, expr: sum(x), band: seasonal, season: [30d]}")
    assert "looks back 31d, and Prometheus keeps 15d" in said
    assert "shorten `season`" in said


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("band: zscore, season: [1d]", "`season` changes nothing for the band zscore; take it out"),
        ("band: robust, bound: 3", "or a band that reads it: forecast, threshold"),
        ("band: threshold, bound: 3, direction: above, horizon: 1h", "a band that reads it: forecast"),
        ("band: threshold, bound: 3, direction: above, min_samples: 9", "`min_samples` changes nothing"),
        ("band: {any_of: [zscore, iqr]}, bound: 3", "`bound` changes nothing for the band zscore and iqr"),
    ],
)
def test_a_key_that_its_band_does_not_read_is_a_warning(tmp_path: Path, keys: str, said: str) -> None:
    (warning,) = warnings(tmp_path, f"{{name: a, expr: sum(x), {keys}}}")
    assert warning.startswith("shop.yml:4: a: ")
    assert said in warning


def test_what_stands_in_the_defaults_is_for_other_bands_too(tmp_path: Path) -> None:
    assert (
        warnings(tmp_path, "{name: a, expr: sum(x), band: zscore}", head="defaults: {season: [1d], bound: 3}\n") == []
    )


def test_a_threshold_needs_no_window_for_samples_that_it_does_not_wait_for(tmp_path: Path) -> None:
    bound = "band: threshold, bound: 3, direction: above"
    assert warnings(tmp_path, f"{{name: a, expr: sum(x), {bound}, window: 10m}}") == []


def test_a_for_shorter_than_the_interval_is_a_warning_that_names_both(tmp_path: Path) -> None:
    (said,) = warnings(tmp_path, "{name: a, expr: sum(x), interval: 1m, for: 5s}")
    assert "`for` is 5s, shorter than the 1m between two evaluations" in said


def test_detectors_of_minutes_and_of_days_in_one_file_are_a_warning(tmp_path: Path) -> None:
    fast, slow = "{name: fast, expr: sum(x), preset: high_frequency}", "{name: slow, expr: sum(y)}"
    (said,) = warnings(tmp_path, fast, slow)
    assert "every 10s" in said
    assert "into a file each" in said
    assert warnings(tmp_path, fast) == warnings(tmp_path, slow) == []


def test_an_interval_longer_than_prometheus_shows_a_sample_is_a_warning(tmp_path: Path) -> None:
    (said,) = warnings(tmp_path, "{name: a, expr: sum(x), band: zscore, interval: 6m, for: 10m, min_samples: 60}")
    assert "Prometheus shows a sample for no longer than 5m" in said


def test_a_tier_inside_of_the_usual_days_is_a_warning(tmp_path: Path) -> None:
    (said,) = warnings(tmp_path, "{name: a, expr: sum(x), severity: {medium: 2.5, high: 3}}")
    assert "medium begins at 2.5, inside of the band, which ends at sigma 3" in said
    assert warnings(tmp_path, "{name: a, expr: sum(x), band: zscore, severity: {medium: 2.5, high: 3}}") == []


def test_an_only_if_that_shares_no_label_is_a_warning(tmp_path: Path) -> None:
    shared = "{name: a, expr: 'sum by (job) (x)', by: [job], only_if: 'sum by (pod) (y) > 1'}"
    (said,) = warnings(tmp_path, shared)
    assert "only_if keeps pod, and `by` is job" in said
    assert warnings(tmp_path, shared.replace("by (pod)", "by (job)")) == []
    assert warnings(tmp_path, shared.replace("by (pod) ", "")) == [], "one switch for all is meant"


def test_a_spec_that_would_be_left_out_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("")
    assert "rename it to end in .yml" in refused(tmp_path, "{name: a, expr: sum(x)}")
