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
from tests.bed.parts import ROOT
from tests.bed.secrets import write_secrets

SHIPPED = sorted((ROOT / "playbooks").glob("*.yml"))
TESTS = sorted((ROOT / "playbooks" / "tests").glob("*.yml"))
RULES = sorted((ROOT / "rules" / "generated").glob("*.rules.yml"))
EXAMPLE = ROOT / "deploy" / "amend.example.yml"


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


def test_the_kubernetes_target_in_the_comment_fits_as_well(newcomer: Path) -> None:
    file = newcomer / "playbooks" / "http.yml"
    text = re.sub(r"^  target: \{docker.*\n", "", file.read_text(), flags=re.MULTILINE)
    file.write_text(text.replace("  # target: {kubernetes", "  target: {kubernetes"))
    setup = checked(newcomer)
    assert "kubernetes" in str(setup.playbooks[0].playbook.target)
    assert [str(finding) for finding in lint(setup)] == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_has_a_playbook_for_every_alert_of_its_pack(file: Path) -> None:
    playbooks = read_all([file], VERBS)
    pack = rules.read([ROOT / "rules" / "generated" / f"{file.stem}.rules.yml"])
    answered = {rule.alert for playbook in playbooks for rule in pack.fitting(playbook.matchers)}
    assert answered == {rule.alert for rule in pack.alerts}


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
    assert all(playbook.verify and playbook.verify.resolved_within for playbook in acting)
    assert all("notify" in [step.verb for step in playbook.on_failure] for playbook in acting)
