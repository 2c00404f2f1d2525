"""Every generated dashboard is one that Grafana can show, and asks only for series that there are.

The dashboards of the committed specs are looked at, and those of one detector of each kind.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from receiver import conventions, metrics
from receiver.rulegen.generate import load_specs, render
from receiver.rulegen.overview import UID
from tests.bed.parts import ROOT
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus
from tests.rulegen.proof import generated, spec
from tests.rulegen.test_generate import VARIETY

#: What Prometheus itself tells of alerts and rules: https://prometheus.io/docs/prometheus/latest/configuration/
PROMETHEUS = {
    "ALERTS",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_interval_seconds",
    "prometheus_rule_group_iterations_missed_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_rule_group_last_evaluation_samples",
}
RECORDED = {value for value in vars(conventions).values() if isinstance(value, str) and value.startswith("amend:")}
ENDINGS = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_count", "_sum")}
EXPORTED = {
    f"{metric._name}{ending}"
    for kind, endings in ENDINGS.items()
    for metric in vars(metrics).values()
    if isinstance(metric, kind)
    for ending in endings
}

#: Grafana's own variables, by what they may stand for.
GRAFANA = {"__rate_interval": "5m", "__url_time_range": "from=now-6h&to=now"}

KINDS = {"row", "stat", "table", "timeseries", "state-timeline"}

Model = dict[str, Any]


def dashboards(folder: Path) -> dict[str, Model]:
    files = render(load_specs(folder).specs, rules=Path("rules"), dashboards=Path("dashboards"))
    return {path.name: json.loads(data) for path, data in files.items() if path.suffix == ".json"}


@pytest.fixture(scope="module", params=["committed", "variety"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    if request.param == "committed":
        return dashboards(ROOT / "rules" / "specs")
    folder = spec(tmp_path_factory.mktemp("specs"), *VARIETY)
    spec(folder, "{name: other, expr: sum(x)}", name="a_second_file")
    return dashboards(folder)


def targets(model: Model) -> list[Model]:
    return [target for panel in model["panels"] for target in panel.get("targets", [])]


def queries(model: Model) -> list[str]:
    """Every PromQL of a dashboard, with its variables as they stand there."""
    labels = [variable["query"]["query"] for variable in model["templating"]["list"] if variable["type"] == "query"]
    series = [re.fullmatch(r"label_values\((.*), \w+\)", query) for query in labels]
    assert all(series), labels
    annotations = [annotation["expr"] for annotation in model["annotations"]["list"]]
    return [*(target["expr"] for target in targets(model)), *annotations, *(each[1] for each in series if each)]


def filled_in(text: str) -> str:
    return re.sub(r"\$\{?(\w+)(:\w+)?\}?", lambda each: GRAFANA.get(each[1], "x"), text)


def series(tree: promql_parser.Expr) -> Iterator[str]:
    """The metrics that an expression names."""
    for name in ("expr", "lhs", "rhs"):
        if hasattr(tree, name):
            yield from series(getattr(tree, name))
    for argument in getattr(tree, "args", []):
        yield from series(argument)
    if isinstance(tree, promql_parser.MatrixSelector):
        yield from series(tree.vector_selector)
    if isinstance(tree, promql_parser.VectorSelector):
        assert tree.name, "a selector without a metric's name"
        yield tree.name


def test_there_is_one_for_each_spec_and_one_over_all(found: dict[str, Model]) -> None:
    assert found.keys() >= {"amend-overview.json"}
    assert len(found) >= 2
    uids = [model["uid"] for model in found.values()]
    assert len(set(uids)) == len(uids)
    assert found["amend-overview.json"]["uid"] == UID


def test_they_have_what_grafana_asks_for(found: dict[str, Model]) -> None:
    for model in found.values():
        assert re.fullmatch(r"[\w-]{1,40}", model["uid"])
        assert model["title"]
        assert model["schemaVersion"] >= 36
        assert model["panels"]
        for panel in model["panels"]:
            assert panel["type"] in KINDS, panel["type"]
            assert panel["title"]
            if panel["type"] != "row":
                assert panel["targets"]
                assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
                assert {"defaults", "overrides"} <= panel["fieldConfig"].keys()
                names = [target["refId"] for target in panel["targets"]]
                assert len(set(names)) == len(names)


def test_ids_of_panels_are_unique(found: dict[str, Model]) -> None:
    for model in found.values():
        ids = [panel["id"] for panel in model["panels"]]
        assert len(set(ids)) == len(ids)


def test_panels_do_not_overlap_and_fit_the_page(found: dict[str, Model]) -> None:
    for model in found.values():
        taken: set[tuple[int, int]] = set()
        for panel in model["panels"]:
            x, y, width, height = (panel["gridPos"][key] for key in "xywh")
            assert x + width <= 24
            cells = {(column, line) for column in range(x, x + width) for line in range(y, y + height)}
            assert not cells & taken, panel["title"]
            taken |= cells


def test_every_query_is_promql(found: dict[str, Model]) -> None:
    for query in (query for model in found.values() for query in queries(model)):
        promql_parser.parse(filled_in(query))


def test_they_ask_only_for_series_that_are_recorded_or_exported(found: dict[str, Model]) -> None:
    asked = {
        name
        for model in found.values()
        for query in queries(model)
        for name in series(promql_parser.parse(filled_in(query)))
    }
    assert asked - RECORDED - EXPORTED - PROMETHEUS == set()


def test_every_variable_that_is_used_is_there(found: dict[str, Model]) -> None:
    for name, model in found.items():
        variables = [variable["name"] for variable in model["templating"]["list"]]
        assert len(set(variables)) == len(variables)
        used = {each[1] for each in re.finditer(r"\$\{?(\w+)", json.dumps(model))} - {"__all", *GRAFANA}
        assert used == set(variables), name


def test_rates_are_taken_over_grafanas_own_interval(found: dict[str, Model]) -> None:
    for query in (target["expr"] for model in found.values() for target in targets(model)):
        ranges = re.findall(r"(?:rate|increase)\([^[]*\[([^]]*)\]", query)
        assert set(ranges) <= {"$__rate_interval"}, query


def test_every_dashboard_shows_what_was_done(found: dict[str, Model]) -> None:
    for model in found.values():
        (annotation,) = model["annotations"]["list"]
        assert "amend_remediation_in_progress" in annotation["expr"]


def test_every_band_is_drawn_between_its_edges(found: dict[str, Model]) -> None:
    for name, model in found.items():
        bands = [panel for panel in model["panels"] if panel["title"].endswith("value in its band")]
        assert bands or name == "amend-overview.json"
        for panel in bands:
            legends = [target["legendFormat"] for target in panel["targets"]]
            filled = {"id": "custom.fillBelowTo", "value": "lower"}
            assert any(filled in override["properties"] for override in panel["fieldConfig"]["overrides"])
            assert legends[:3] == ["lower", "upper", "usual"]


def test_the_overview_leads_to_every_other_dashboard(found: dict[str, Model]) -> None:
    links = re.findall(r'"/d/([\w-]+)\?', json.dumps(found["amend-overview.json"]))
    assert sorted(links) == sorted(model["uid"] for name, model in found.items() if name != "amend-overview.json")


def test_all_of_them_are_found_in_each_ones_menu(found: dict[str, Model]) -> None:
    for model in found.values():
        (link,) = model["links"]
        assert link["tags"] == model["tags"]


def test_the_cost_is_that_of_our_groups_alone(tmp_path: Path) -> None:
    folder = spec(tmp_path, VARIETY[0], "{name: textbook_two, expr: sum(x)}")
    panels = dashboards(folder)["amend-overview.json"]["panels"]
    (slowest,) = (panel for panel in panels if panel["title"] == "Slowest groups")
    pattern = re.search(r'rule_group=~"([^"]*)"', slowest["targets"][0]["expr"])
    assert pattern
    assert re.fullmatch(pattern[1], "/etc/prometheus/shop.rules.yml;textbook_two:band")
    assert not re.fullmatch(pattern[1], "/etc/prometheus/node.rules.yml;node:band")
    assert not re.fullmatch(pattern[1], "/etc/prometheus/textbook:band.yml;node")


def test_prometheus_answers_what_they_ask(tmp_path: Path, running: ExitStack) -> None:
    out = generated(tmp_path, "{name: alive, expr: sum(up), interval: 1s, window: 10m, for: 1s, min_samples: 60}")
    prometheus = Prometheus(tmp_path, rules=[out / "shop.rules.yml"])
    config = yaml.safe_load(prometheus.config.read_text())
    itself = {"job_name": "prometheus", "static_configs": [{"targets": [prometheus.address]}]}
    prometheus.write_config({**config, "scrape_configs": [itself]})
    running.enter_context(prometheus)
    overview = {
        target["refId"]: filled_in(target["expr"]).replace('=~"x"', '=~".+"')
        for target in targets(json.loads((out / "amend-overview.json").read_text()))
    }
    until(lambda: prometheus.value(overview["silent"]) == 0, why="the one detector has data")
    until(lambda: prometheus.value(overview["shop"]), why="its groups are found among Prometheus' own")
    until(lambda: prometheus.query(overview["share"]), why="they take a share of their interval")
    for query in overview.values():
        prometheus.query(query)


def test_a_score_is_measured_against_its_own_bands_edge(tmp_path: Path) -> None:
    panels = dashboards(spec(tmp_path, VARIETY[0], VARIETY[5]))["shop.json"]["panels"]
    edges = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]
        for panel in panels
        if "score" in panel["title"]
    }
    assert edges == {
        "textbook: score (0.75 is the band's edge)": 0.75,
        "filled: score (0.5 is the band's edge)": 0.5,
    }
