"""The playbooks that we ship, against the settings and rules that we ship: what a newcomer checks first."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from receiver.actions import VERBS
from receiver.lint import lint, rules
from receiver.lint.setup import Setup, read
from receiver.playbook import read_all
from receiver.rehearsal.play import play
from receiver.rehearsal.script import read as read_tests
from receiver.target import Target
from tests.bed.parts import ROOT
from tests.bed.secrets import write_secrets

SHIPPED = sorted((ROOT / "playbooks").glob("*.yml"))
TESTS = sorted((ROOT / "playbooks" / "tests").glob("*.yml"))
RULES = sorted((ROOT / "rules" / "generated").glob("*.rules.yml"))
EXAMPLE = ROOT / "deploy" / "amend.example.yml"


def named_after(file: Path) -> Path:
    """The rules of the pack that a file of playbooks is named after, if it is."""
    return ROOT / "rules" / "generated" / f"{file.stem}.rules.yml"


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example settings, a secret wherever they name one, and all shipped playbooks."""
    monkeypatch.delenv("AMEND_LISTEN", raising=False)
    write_secrets(EXAMPLE.read_text(), tmp_path)
    shutil.copytree(ROOT / "playbooks", tmp_path / "playbooks")
    shutil.copy(EXAMPLE, tmp_path / "amend.yml")
    return tmp_path


def checked(folder: Path) -> Setup:
    return read(folder / "amend.yml", rules.read(RULES))


def test_shipped_playbooks_fit_the_example_settings_and_the_generated_rules(newcomer: Path) -> None:
    setup = checked(newcomer)
    assert setup.playbooks
    assert [str(finding) for finding in lint(setup)] == []


def test_the_kubernetes_targets_in_the_comments_fit_as_well(newcomer: Path) -> None:
    for name, count in (("http.yml", 1), ("capacity-load.yml", 2)):
        file = newcomer / "playbooks" / name
        text = re.sub(r"^  target: \{docker.*\n", "", file.read_text(), flags=re.MULTILINE)
        assert text.count("  # target: {kubernetes") == count
        file.write_text(text.replace("  # target: {kubernetes", "  target: {kubernetes"))
    setup = checked(newcomer)
    assert "docker" not in {target and next(iter(target.model_fields_set)) for target in _targets(setup)}
    assert [str(finding) for finding in lint(setup)] == []


def _targets(setup: Setup) -> list[Target]:
    return [written.playbook.target for written in setup.playbooks if written.playbook.target != "none"]


def test_a_shipped_file_is_named_after_a_pack_or_after_what_it_does() -> None:
    packs = {file.name.removesuffix(".rules.yml") for file in RULES}
    assert {file.stem for file in SHIPPED} - packs == {"everything-else", "memory", "nodes", "pods", "rollback"}


@pytest.mark.parametrize("file", [file for file in SHIPPED if named_after(file).exists()], ids=lambda path: path.stem)
def test_a_file_with_the_name_of_a_pack_has_a_playbook_for_every_alert_of_it(file: Path) -> None:
    playbooks = read_all([file], VERBS)
    pack = rules.read([named_after(file)])
    answered = {rule.alert for playbook in playbooks for rule in pack.fitting(playbook.matchers)}
    assert answered == {rule.alert for rule in pack.alerts}


def test_every_urgent_alert_of_every_pack_is_answered_and_none_by_everything_else_that_another_answers() -> None:
    """But for playbooks that ask for a deployment: most of the time these do nothing."""
    playbooks = read_all(SHIPPED, VERBS)
    rest = next(each for each in playbooks if each.place.startswith(str(ROOT / "playbooks" / "everything-else.yml")))
    others = [each for each in playbooks if each is not rest and not each.deployed_within]
    every = rules.read(RULES)
    left_out = {
        rule.alert
        for rule in every.alerts
        if not all(each.matches({"alertname": rule.alert}) for each in rest.matchers if each.name == "alertname")
    }
    assert left_out == {rule.alert for playbook in others for rule in every.fitting(playbook.matchers)}
    urgent = {rule.alert for rule in every.alerts if rule.labels["severity"] in {"high", "critical"}}
    assert urgent <= left_out | {rule.alert for rule in every.fitting(rest.matchers)}


def test_every_name_in_a_shipped_matcher_is_that_of_an_alert() -> None:
    names = {rule.alert for rule in rules.read(RULES).alerts}
    for playbook in read_all(SHIPPED, VERBS):
        for matcher in playbook.matchers:
            if matcher.name == "alertname" and matcher.operator in {"=", "=~"} and "(" not in matcher.value:
                assert set(matcher.value.split("|")) <= names, matcher


def test_every_shipped_file_has_tests_and_a_page() -> None:
    assert [file.name for file in TESTS] == [file.name for file in SHIPPED]
    pages = {page.stem for page in (ROOT / "docs" / "playbooks").glob("*.md")}
    assert pages == {file.stem for file in SHIPPED} | {"README"}


def test_the_tests_that_we_ship_pass_and_name_every_playbook(tmp_path: Path) -> None:
    mentioned: set[str] = set()
    for number, script in enumerate(script for file in TESTS for script in read_tests(file)):
        directory = tmp_path / str(number)
        directory.mkdir()
        assert [str(each) for each in play(script, directory)] == []
        with sqlite3.connect(directory / "rehearsal.db") as books:
            mentioned |= {name for (name,) in books.execute("select playbook from runs")}
    assert mentioned == {playbook.name for playbook in read_all(SHIPPED, VERBS)}


def test_nothing_that_we_ship_acts_before_somebody_says_so() -> None:
    assert {playbook.mode for playbook in read_all(SHIPPED, VERBS)} == {"observe"}


def test_whatever_acts_on_a_workload_checks_that_it_helped_and_tells_when_it_did_not() -> None:
    acting = [playbook for playbook in read_all(SHIPPED, VERBS) if playbook.target != "none"]
    assert acting
    for playbook in acting:
        assert playbook.verify
        if playbook.target != "none" and playbook.target.kind == "Pod":  # it is gone, and its alert with it
            assert playbook.verify.query
        else:
            assert playbook.verify.resolved_within
    assert all("notify" in [step.verb for step in playbook.on_failure] for playbook in acting)
