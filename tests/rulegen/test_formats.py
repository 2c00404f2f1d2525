"""PrometheusRule objects and mixins hold the rules of the plain files, in the shape that their readers ask for.

Objects are held against the operator's schema; a mixin is evaluated by jsonnet, as mixtool would.
"""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.errors import ConfigError
from receiver.rulegen.generate import compare, load_specs, render, write
from receiver.rulegen.mixin import ALERTS, DASHBOARDS, RULES, mixin
from receiver.rulegen.pieces import Format, rule_files
from receiver.rulegen.prometheusrule import LABELS, PrometheusRules, object_label, object_namespace
from receiver.rulegen.unwrap import unwrapped
from tests.bed.parts import ROOT
from tests.bed.prometheus import promtool
from tests.rulegen.proof import spec
from tests.rulegen.test_generate import VARIETY

FORMATS: dict[str, Format] = {"rules": rule_files, "prometheusrule": PrometheusRules(), "mixin": mixin}

#: As in the operator's schema of PrometheusRule, 0.82: `interval`, `for` and `keep_firing_for`.
DURATION = re.compile(r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def specs(folder: Path) -> Path:
    """Two spec files of all kinds."""
    spec(folder, *VARIETY[:4])
    return spec(folder, *VARIETY[4:], name="Second_Shop")


def laid_out(folder: Path, lay_out: Format, out: Path) -> dict[Path, bytes]:
    return render(load_specs(folder).specs, rules=out, dashboards=out / DASHBOARDS, lay_out=lay_out)


def objects(folder: Path, lay_out: Format = FORMATS["prometheusrule"]) -> list[dict[str, Any]]:
    files = laid_out(folder, lay_out, Path("out"))
    return [yaml.safe_load(data) for path, data in files.items() if path.name.endswith(".prometheusrule.yml")]


def rules_of(groups: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (rule for group in groups for rule in group["rules"])


# ── all of them ──


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_the_same_bytes_each_time(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    here, there = (specs(tmp_path / each / "rules" / "specs") for each in ("here", "there"))
    first, second = laid_out(here, FORMATS[name], out), laid_out(there, FORMATS[name], out)
    assert first == second
    write(first)
    difference = compare(second)
    assert (difference.stale, difference.orphaned) == ((), ())


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_stale_or_has_no_spec_is_found_in_every_format(tmp_path: Path, name: str) -> None:
    folder, out = specs(tmp_path / "specs"), tmp_path / "out"
    files = laid_out(folder, FORMATS[name], out)
    write(files)
    touched = next(path for path in files if path.suffix != ".json")
    touched.write_bytes(touched.read_bytes() + b"#\n")
    assert compare(files).stale == (touched,)
    (folder / "Second_Shop.yml").unlink()
    removed = write(laid_out(folder, FORMATS[name], out)).orphaned
    assert removed
    assert all(path.name.startswith("Second_Shop.") for path in removed)
    left = [path.name for path in out.rglob("*") if path.name.startswith("Second_Shop.")]
    assert left == []


def test_a_format_replaces_another_in_the_same_folder_alone(tmp_path: Path) -> None:
    folder = specs(tmp_path / "specs")
    for name, lay_out in FORMATS.items():
        write(laid_out(folder, lay_out, tmp_path / name))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    write(laid_out(folder, FORMATS["prometheusrule"], tmp_path / "rules"))
    gone = before - {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {str(path.relative_to(tmp_path)) for path in gone} == {"rules/shop.rules.yml", "rules/Second_Shop.rules.yml"}


@pytest.mark.parametrize("name", ["prometheusrule", "mixin"])
def test_what_is_wrapped_up_is_the_plain_rules_and_good_to_promtool(tmp_path: Path, name: str) -> None:
    folder, out, plain = specs(tmp_path / "specs"), tmp_path / "out", tmp_path / "plain"
    write(laid_out(folder, rule_files, plain))
    write(laid_out(folder, FORMATS[name], out))
    files = unwrapped(out)
    assert sorted(files) == ["Second_Shop.rules.yml", "shop.rules.yml"]
    for file, text in files.items():
        assert yaml.safe_load(text) == yaml.safe_load((plain / file).read_text())
        (out / file).write_text(text)
    promtool("check", "rules", "--lint=all", "--lint-fatal", *(out / file for file in files))


def test_a_test_without_its_rules_is_told_with_the_way_out(tmp_path: Path) -> None:
    write(laid_out(specs(tmp_path / "specs"), FORMATS["prometheusrule"], tmp_path))
    (tmp_path / "shop.prometheusrule.yml").unlink()
    with pytest.raises(ConfigError, match=r'shop\.test\.yml: tests the group "textbook:band", .*run `amend rules'):
        unwrapped(tmp_path)


def test_a_wrapped_file_that_was_broken_is_told_by_its_name(tmp_path: Path) -> None:
    write(laid_out(specs(tmp_path / "specs"), FORMATS["prometheusrule"], tmp_path))
    (tmp_path / "shop.prometheusrule.yml").write_text("spec: {")
    with pytest.raises(ConfigError, match=r"shop\.prometheusrule\.yml: is no YAML any more"):
        unwrapped(tmp_path)


def test_no_group_is_larger_than_mimir_takes_by_default() -> None:
    files = render(load_specs(ROOT / "rules" / "specs").specs, rules=Path("r"), dashboards=Path("d"))
    loaded = [yaml.load(data, yaml.CSafeLoader) for path, data in files.items() if path.name.endswith(".rules.yml")]
    sizes = {group["name"]: len(group["rules"]) for file in loaded for group in file["groups"]}
    assert {name: size for name, size in sizes.items() if size > 20} == {}


# ── PrometheusRule ──


def test_an_object_is_what_the_operators_schema_asks_for(tmp_path: Path) -> None:
    for each in objects(specs(tmp_path)):
        assert (each["apiVersion"], each["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert each.keys() == {"apiVersion", "kind", "metadata", "spec"}
        assert each["spec"].keys() == {"groups"}
        groups = each["spec"]["groups"]
        assert len({group["name"] for group in groups}) == len(groups)
        for group in groups:
            assert group.keys() == {"name", "interval", "rules"}
            assert DURATION.match(group["interval"])
        for rule in rules_of(groups):
            known = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
            assert rule.keys() <= known
            assert isinstance(rule["expr"], str)
            assert all(DURATION.match(rule[key]) for key in ("for", "keep_firing_for") if key in rule)


def test_every_label_and_annotation_of_an_object_is_a_string(tmp_path: Path) -> None:
    folder = spec(tmp_path, "{name: load, expr: sum(x), runbook_url: '1'}")
    hostile = "service: '1e3'\nlabels: {team: 'yes', tier: '007'}\n"
    file = folder / "shop.yml"
    file.write_text(file.read_text().replace("service: shop\n", hostile))
    (only,) = objects(folder)
    alerts = [rule for rule in rules_of(only["spec"]["groups"]) if "alert" in rule]
    assert alerts
    for rule in rules_of(only["spec"]["groups"]):
        for values in (rule.get("labels", {}), rule.get("annotations", {})):
            assert all(isinstance(text, str) for pair in values.items() for text in pair)
    assert alerts[0]["labels"].items() >= {"service": "1e3", "team": "yes", "tier": "007"}.items()


def test_an_object_has_a_name_that_kubernetes_takes(tmp_path: Path) -> None:
    for index, name in enumerate(("Second_Shop", "a.b", "Zürich", "--x")):
        spec(tmp_path, f"{{name: d{index}, expr: sum(x)}}", name=name)
    names = [each["metadata"]["name"] for each in objects(tmp_path)]
    assert sorted(names) == ["amend-a-b", "amend-second-shop", "amend-x", "amend-z-rich"]
    assert all(DNS_LABEL.fullmatch(name) for name in names)


def test_two_specs_that_would_share_an_object_are_told_apart_by_a_person(tmp_path: Path) -> None:
    spec(tmp_path, "{name: a, expr: sum(x)}", name="my_shop")
    spec(tmp_path, "{name: b, expr: sum(x)}", name="my-shop")
    with pytest.raises(ConfigError, match=r'my_shop\.yml: its PrometheusRule would be called "amend-my-shop" like'):
        objects(tmp_path)


def test_an_object_stands_where_the_operator_looks(tmp_path: Path) -> None:
    lay_out = PrometheusRules(namespace="123", labels={"release": "kps", "role": "other"})
    for each in objects(specs(tmp_path), lay_out):
        assert each["metadata"]["namespace"] == "123"
        assert each["metadata"]["labels"] == {**LABELS, "release": "kps", "role": "other"}
    for each in objects(tmp_path):
        assert "namespace" not in each["metadata"]
        assert each["metadata"]["labels"] == LABELS


def test_an_objects_rules_keep_their_comments(tmp_path: Path) -> None:
    files = laid_out(specs(tmp_path), FORMATS["prometheusrule"], Path("out"))
    lines = [line.strip() for line in files[Path("out/shop.prometheusrule.yml")].decode().splitlines()]
    rules = [index for index, line in enumerate(lines) if line.startswith(("- record:", "- alert:"))]
    assert rules
    assert all(lines[index - 1].startswith("# ") for index in rules)


@pytest.mark.parametrize("text", ["release", "=x", "a b=c", "a=b c", "a/b/c=d", "-a=b", "a=-", f"{'a' * 64}=b"])
def test_what_is_no_label_of_kubernetes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write for example release=monitoring"):
        object_label(text)


def test_labels_of_kubernetes_are_read() -> None:
    assert object_label("app.kubernetes.io/part-of=a.b_c") == ("app.kubernetes.io/part-of", "a.b_c")
    assert object_label("empty=") == ("empty", "")


@pytest.mark.parametrize("text", ["Monitoring", "a.b", "-a", "a" * 64])
def test_what_is_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no namespace"):
        object_namespace(text)


# ── mixin ──


def evaluated(out: Path, expression: str) -> Any:
    """What jsonnet makes of the mixin, in the words of mixtool: https://github.com/monitoring-mixins/mixtool."""
    snippet = f"local mixin = import {json.dumps(str(out / 'mixin.libsonnet'))}; {expression}"
    return json.loads(importlib.import_module("_jsonnet").evaluate_snippet("mixtool", snippet))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixin")
    write(laid_out(specs(folder / "specs"), mixin, folder / "out"))
    return folder / "out"


def test_a_mixin_has_its_three_fields_as_mixtool_reads_them(rendered: Path) -> None:
    for field, file in (("prometheusRules", RULES), ("prometheusAlerts", ALERTS)):
        assert evaluated(rendered, f"mixin.{field}") == yaml.safe_load((rendered / file).read_text())
    dashboards = {path.name: json.loads(path.read_text()) for path in (rendered / DASHBOARDS).iterdir()}
    assert dashboards.keys() == {"shop.json", "Second_Shop.json", "amend-overview.json"}
    assert evaluated(rendered, "mixin.grafanaDashboards") == dashboards


def test_a_mixins_fields_are_hidden_so_that_others_can_be_added(rendered: Path) -> None:
    assert evaluated(rendered, "mixin") == {}
    other = "{ prometheusAlerts+:: { groups+: [{ name: 'other', rules: [] }] }, grafanaDashboards+:: { 'a.json': {} } }"
    alerts = evaluated(rendered, f"({other} + mixin).prometheusAlerts.groups")
    assert {"other", "textbook:alerts"} <= {group["name"] for group in alerts}
    assert "a.json" in evaluated(rendered, f"({other} + mixin).grafanaDashboards")


def test_a_mixins_rules_and_alerts_can_be_joined(rendered: Path) -> None:
    groups = evaluated(rendered, "mixin.prometheusRules + mixin.prometheusAlerts")["groups"]
    assert {"textbook:band", "textbook:alerts"} <= {group["name"] for group in groups}


def test_a_mixin_keeps_what_records_apart_from_what_alerts(rendered: Path) -> None:
    recording, alerting = (yaml.safe_load((rendered / file).read_text())["groups"] for file in (RULES, ALERTS))
    assert all("record" in rule for rule in rules_of(recording))
    assert all("alert" in rule for rule in rules_of(alerting))


def test_a_mixins_files_say_that_they_are_generated(rendered: Path) -> None:
    for path in (*rendered.glob("*.libsonnet"), rendered / RULES, rendered / ALERTS):
        assert "specs/*.yml; do not edit" in path.read_text().splitlines()[0]
