"""`amend rules …` as typed: what it prints and how it exits.

The commands run in this process, on folders of the test.
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from receiver.commands.rules import app
from tests.bed.parts import program
from tests.rulegen.proof import spec

GOOD = "{name: load, expr: x, by: [host]}"


def amend_rules(folder: Path, command: str, *options: str) -> Result:
    paths = ["--out", str(folder / "out")]
    if command == "generate":
        paths += ["--specs", str(folder / "specs"), "--dashboards", str(folder / "dashboards")]
    return CliRunner().invoke(app, [command, *paths, *options])


def test_generate_writes_rules_tests_and_dashboards(tmp_path: Path) -> None:
    spec(tmp_path / "specs", GOOD)
    result = amend_rules(tmp_path, "generate")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["shop.rules.yml", "shop.test.yml"]
    assert (tmp_path / "dashboards" / "shop.json").is_file()
    assert f"{tmp_path}/out/shop.rules.yml: written" in result.stdout


def test_check_lists_what_is_stale_and_writes_nothing(tmp_path: Path) -> None:
    spec(tmp_path / "specs", GOOD)
    assert amend_rules(tmp_path, "generate").exit_code == 0
    assert amend_rules(tmp_path, "generate", "--check").exit_code == 0
    spec(tmp_path / "specs", GOOD.replace("load", "speed"))
    before = (tmp_path / "out" / "shop.rules.yml").read_bytes()
    result = amend_rules(tmp_path, "generate", "--check")
    assert result.exit_code == 1
    assert "shop.rules.yml: stale" in result.stdout
    assert (tmp_path / "out" / "shop.rules.yml").read_bytes() == before


def test_a_bad_spec_writes_nothing_and_exits_1(tmp_path: Path) -> None:
    spec(tmp_path / "specs", "{name: load, expr: sum(x), sgma: 3}")
    result = amend_rules(tmp_path, "generate")
    assert result.exit_code == 1
    assert 'shop.yml:4: unknown key "sgma"; did you mean "sigma"?' in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_format_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    spec(tmp_path / "specs", GOOD)
    assert amend_rules(tmp_path, "generate", "--format", "jsonnet").exit_code == 2


@pytest.mark.parametrize("form", ["prometheusrule", "mixin"])
def test_what_is_generated_in_another_format_is_checked_and_tested_like_the_rules(tmp_path: Path, form: str) -> None:
    spec(tmp_path / "specs", GOOD)
    paths = ("--specs", str(tmp_path / "specs"), "--out", str(tmp_path / "out"), "--format", form)
    own_place = () if form == "mixin" else ("--dashboards", str(tmp_path / "dashboards"))
    generate = ["generate", *paths, *own_place]
    assert CliRunner().invoke(app, generate).exit_code == 0
    assert CliRunner().invoke(app, [*generate, "--check"]).exit_code == 0
    assert amend_rules(tmp_path, "test", "--promtool", program("promtool")).exit_code == 0
    for file in (tmp_path / "out").iterdir():
        if file.name.endswith((".prometheusrule.yml", "_alerts.yaml")):
            file.write_text(file.read_text().replace("> 3", "> 300"))
    assert CliRunner().invoke(app, [*generate, "--check"]).exit_code == 1
    assert amend_rules(tmp_path, "test", "--promtool", program("promtool")).exit_code == 1


def test_objects_get_their_namespace_and_labels(tmp_path: Path) -> None:
    spec(tmp_path / "specs", GOOD)
    given = ("--namespace", "monitoring", "--object-label", "release=kps", "--object-label", "team=sre")
    assert amend_rules(tmp_path, "generate", "--format", "prometheusrule", *given).exit_code == 0
    text = (tmp_path / "out" / "shop.prometheusrule.yml").read_text()
    assert all(line in text for line in ('namespace: "monitoring"', 'release: "kps"', 'team: "sre"'))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--namespace", "monitoring"), "add --format prometheusrule"),
        (("--object-label", "a=b", "--format", "mixin"), "add --format prometheusrule"),
        (("--object-label", "release", "--format", "prometheusrule"), "write for example release=monitoring"),
        (("--namespace", "A", "--format", "prometheusrule"), "is no namespace"),
        (("--format", "mixin"), "keeps its dashboards with it"),  # amend_rules names --dashboards
    ],
)
def test_options_that_do_not_fit_the_format_are_wrong_usage(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    spec(tmp_path / "specs", GOOD)
    result = amend_rules(tmp_path, "generate", *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_test_runs_promtool_on_what_was_generated(tmp_path: Path) -> None:
    spec(tmp_path / "specs", GOOD)
    amend_rules(tmp_path, "generate")
    assert amend_rules(tmp_path, "test", "--promtool", program("promtool")).exit_code == 0
    rules = tmp_path / "out" / "shop.rules.yml"
    rules.write_text(rules.read_text().replace("> 3", "> 300"))
    assert amend_rules(tmp_path, "test", "--promtool", program("promtool")).exit_code == 1


def test_a_missing_promtool_is_told_with_the_way_out(tmp_path: Path) -> None:
    result = amend_rules(tmp_path, "test", "--promtool", "no-such-promtool")
    assert result.exit_code == 2
    assert '"no-such-promtool" is not there; it comes with Prometheus' in result.stderr


def test_nothing_to_test_is_told(tmp_path: Path) -> None:
    result = amend_rules(tmp_path, "test", "--promtool", program("promtool"))
    assert result.exit_code == 2
    assert "run `amend rules generate` first" in result.stderr


@pytest.mark.parametrize("command", ["generate", "test"])
def test_help_has_examples(command: str) -> None:
    assert f"amend rules {command}" in CliRunner().invoke(app, [command, "--help"]).stdout
