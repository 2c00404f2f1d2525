"""The packs on what the exporters really show: raw metrics in, alerts out, and silence on healthy ones.

The generated tests begin at `amend:value`; these begin before it, and so prove the expressions. What an exporter shows
stands in NAME.test.yml beside this file; the monitoring's own metrics are asked of the real programs.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml

from receiver.durations import parse_duration
from receiver.rulegen.spec import Detector, load_spec
from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.parts import ROOT
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus, promtool
from tests.docs.page import Page

HERE = Path(__file__).parent
SPECS = sorted((ROOT / "rules" / "specs").glob("*.yml"))
PLAIN = sorted((ROOT / "rules" / "plain").glob("*.rules.yml"))
PAGES = ROOT / "docs" / "packs"
LOKI = ROOT / "rules" / "loki" / "logs.rules.yml"
PACKS = [pytest.param(path, id=path.stem) for path in SPECS]


def detectors(spec: Path) -> tuple[Detector, ...]:
    return load_spec(spec).detectors


def rules(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


# ── raw metrics ──


@pytest.mark.parametrize("test", [pytest.param(path, id=path.name) for path in sorted(HERE.glob("*.test.yml"))])
def test_raw_metrics_give_these_alerts_and_no_others(test: Path) -> None:
    promtool("test", "rules", test)


@pytest.mark.parametrize("spec", PACKS)
def test_every_detector_is_seen_to_alert_or_to_give_the_right_value(spec: Path) -> None:
    seen = [
        sample["labels"]
        for test in yaml.safe_load((HERE / f"{spec.stem}.test.yml").read_text())["tests"]
        for check in test["promql_expr_test"]
        for sample in check["exp_samples"]
        if "labels" in sample and "amend:only_if" not in check["expr"]
    ]
    missing = {each.name for each in detectors(spec) if not any(f'detector="{each.name}"' in text for text in seen)}
    assert missing == set()


@pytest.mark.parametrize("spec", PACKS)
def test_every_pack_has_a_test_of_silence(spec: Path) -> None:
    tests = yaml.safe_load((HERE / f"{spec.stem}.test.yml").read_text())["tests"]
    silent = [check for each in tests for check in each["promql_expr_test"] if check["expr"].startswith("ALERTS")]
    assert any(check["exp_samples"] == [] for check in silent)


@pytest.mark.parametrize("file", PLAIN, ids=lambda path: path.name)
def test_what_is_written_by_hand_passes_promtool_and_has_a_test(file: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", file)
    assert any(f"rules/plain/{file.name}" in test.read_text() for test in HERE.glob("*.test.yml"))


# ── metrics that are really there ──


def metrics_in(expressions: Iterable[str]) -> set[str]:
    """The names of the metrics that these expressions read."""
    return {
        selector.name
        for expression in expressions
        for selector in _selectors(promql_parser.parse(expression))
        if selector.name
    }


def _selectors(tree: Any) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(tree, promql_parser.VectorSelector):
        yield tree
    elif isinstance(tree, promql_parser.MatrixSelector):
        yield tree.vector_selector
    for below in ("expr", "lhs", "rhs"):
        if (inner := getattr(tree, below, None)) is not None:
            yield from _selectors(inner)
    for inner in getattr(tree, "args", ()):
        yield from _selectors(inner)


def asked_by(pack: str) -> set[str]:
    return metrics_in(each.expr for each in detectors(ROOT / "rules" / "specs" / f"{pack}.yml"))


def shown_at(url: str) -> set[str]:
    text = httpx.get(f"{url}/metrics", timeout=10, trust_env=False).text
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line and not line.startswith("#")}


def test_the_monitorings_own_metrics_have_these_names(tmp_path: Path) -> None:
    (tmp_path / "any.rules.yml").write_text("groups: [{name: any, rules: [{alert: A, expr: vector(1)}]}]\n")
    nowhere = {"remote_write": [{"url": "http://127.0.0.1:9/", "name": "nowhere"}]}
    # The test's Alertmanager is alone.
    asked = {name for name in asked_by("prometheus") if name != "up" and not name.startswith("alertmanager_cluster_")}
    assert len(asked) > 20
    with (
        Alertmanager(tmp_path, to_webhook("http://127.0.0.1:9/")) as alertmanager,
        Prometheus(
            tmp_path, rules=[tmp_path / "any.rules.yml"], alertmanagers=[alertmanager.address], config=nowhere
        ) as prometheus,
    ):
        # Some are there only once there was something to count.
        until(lambda: asked <= shown_at(prometheus.url) | shown_at(alertmanager.url), why=f"not all there: {asked}")


def test_amends_own_metrics_have_these_names() -> None:
    from prometheus_client import REGISTRY

    import receiver.metrics  # noqa: F401 - registers them

    ours = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in REGISTRY.collect()
        if metric.name.startswith("amend_")
    }
    asked = {name for name in asked_by("amend") if name.startswith("amend_")}
    assert len(asked) > 10
    assert asked <= ours


# ── what people read ──


def page_of(spec: Path) -> Page:
    """The page that the pack's alerts name as their runbook."""
    (runbook,) = {each.runbook_url for each in detectors(spec)}
    return Page(ROOT / runbook)


def told_in(page: Page) -> dict[str, set[str]]:
    """By alert, the severities that the page's table tells."""
    return {row.words[0]: {*re.findall(r"\w+", row.cells[1])} for row in page.rows("Alerts", "alert")}


@pytest.mark.parametrize("page", sorted(PAGES.glob("[!R]*.md")), ids=lambda path: path.stem)
def test_a_packs_page_tells_of_every_alert_with_its_severities(page: Path) -> None:
    known: dict[str, set[str]] = {}
    for spec in SPECS:
        for each in detectors(spec):
            if ROOT / each.runbook_url == page:
                known[each.alert] = {*each.severity}
    for file in (*PLAIN, LOKI):
        for rule in rules(file):
            if "alert" in rule and ROOT / rule["annotations"]["runbook_url"] == page:
                known[rule["alert"]] = {rule["labels"]["severity"]}
    assert told_in(Page(page)) == known


@pytest.mark.parametrize("spec", PACKS)
def test_every_pack_is_in_the_index(spec: Path) -> None:
    index = Page(PAGES / "README.md")
    row = next(row for row in index.rows("The packs", "pack") if spec.stem in row.words)
    assert f"({page_of(spec).path.name})" in row.cells[0]


def test_severities_are_these_four_words() -> None:
    words = {word for spec in SPECS for each in detectors(spec) for word in each.severity}
    assert words == {"low", "medium", "high", "critical"}


@pytest.mark.parametrize("spec", PACKS)
def test_an_input_costs_no_more_series_than_the_index_says(spec: Path) -> None:
    told = {row.words[0]: int(row.cells[1]) for row in Page(PAGES / "README.md").rows("Cost", "band")}
    recorded = [rule for rule in rules(ROOT / "rules" / "generated" / f"{spec.stem}.rules.yml") if "record" in rule]
    for each in detectors(spec):
        most = told.get(each.band, told["auto"]) + (2 if each.only_if else 0)  # `auto` stands for another band
        assert len([rule for rule in recorded if rule["labels"]["detector"] == each.name]) <= most, each.name


def test_no_alert_of_a_pack_mutes_that_of_another_series() -> None:
    """A higher severity inhibits the lower ones, with all labels of `by` alike."""
    several = {label for spec in SPECS for each in detectors(spec) if len(each.severity) > 1 for label in each.by}
    config = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        assert several <= set(rule["equal"])


# ── logs ──


def test_the_rules_for_loki_have_the_shape_that_its_ruler_reads() -> None:
    document = yaml.safe_load(LOKI.read_text())
    assert list(document) == ["groups"]
    for group in document["groups"]:
        assert set(group) == {"name", "interval", "rules"}
        parse_duration(group["interval"])
    names = [rule["alert"] for rule in rules(LOKI)]
    assert len(names) == len(set(names)) > 4
    for rule in rules(LOKI):
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        parse_duration(rule["for"])
        assert set(rule["labels"]) == {"severity", "detector", "service"}
        assert {"summary", "description", "value", "runbook_url"} == set(rule["annotations"])


def test_every_query_for_loki_is_closed_and_keeps_the_labels_of_the_workload() -> None:
    """Not a parser of LogQL: brackets, quotes and the outermost aggregation."""
    for rule in rules(LOKI):
        bare = re.sub(r"`[^`]*`|\"[^\"]*\"", "", rule["expr"])
        assert "`" not in bare
        assert '"' not in bare
        for opened, closed in ("()", "{}", "[]"):
            assert bare.count(opened) == bare.count(closed) > 0, rule["alert"]
        assert bare.strip().startswith("sum by (namespace, app) ("), rule["alert"]
        assert re.search(r"^\s*(>|<=|unless)", bare, re.MULTILINE) or " > " in bare, rule["alert"]


@pytest.mark.parametrize(
    ("line", "alerts"),
    [
        ("level=error msg=refused", {"LogErrorRatio", "LogErrorsSurge"}),
        ('{"level": "ERROR", "message": "refused"}', {"LogErrorRatio", "LogErrorsSurge"}),
        ("2026-03-02 12:00:00 ERROR refused", {"LogErrorRatio", "LogErrorsSurge"}),
        ("level=info msg='no error, none at all'", set()),
        ("errors=0 fatal=0", set()),
        ("panic: runtime error: index out of range", {"LogPanic"}),
        ("Traceback (most recent call last):", {"LogPanic"}),
        ("do not panic: all is well", set()),
        ("java.lang.OutOfMemoryError: Java heap space", {"LogOutOfMemory"}),
        ("Failed password for root from 10.0.0.1 port 4711 ssh2", {"LogAuthFailures"}),
    ],
)
def test_the_patterns_for_loki_find_these_lines(line: str, alerts: set[str]) -> None:
    found = {
        rule["alert"]
        for rule in rules(LOKI)
        if any(re.search(pattern, line) for pattern in re.findall(r"`([^`]*)`", rule["expr"]))
    }
    assert found == alerts
