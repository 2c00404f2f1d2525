"""What the docs tell people to write and to type is read by the programs that would read it."""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from receiver import cli
from receiver.actions import VERBS
from receiver.durations import parse_duration
from receiver.lint import lint, rules, setup
from receiver.playbook import read_all
from receiver.rehearsal.play import play
from receiver.rehearsal.script import read as read_tests
from receiver.rulegen.generate import load_specs, render, write
from receiver.settings import read
from tests.bed.alertmanager import amtool
from tests.bed.parts import ROOT, program
from tests.bed.prometheus import promtool
from tests.bed.secrets import write_secrets
from tests.docs.page import PAGES, Block

PLAYED = ("playbooks.md",)
BLOCKS = [block for page in PAGES for block in page.blocks]

KINDS = {
    "yaml": {"spec", "playbook", "playbook-test", "amend.yml", "alertmanager", "prometheus", "rules", "compose"},
    "sh": {""},
    "promql": {""},
    "text": {""},  # what a program prints, or a picture in letters
}


def of(language: str, kind: str = "") -> pytest.MarkDecorator:
    found = [pytest.param(block, id=str(block)) for block in BLOCKS if (block.language, block.kind) == (language, kind)]
    assert found, f"no page has a block of {language} {kind}"
    return pytest.mark.parametrize("block", found)


def test_every_block_says_what_it_is_so_that_it_is_read_here() -> None:
    odd = [
        f"{block} {block.language} {block.kind}" for block in BLOCKS if block.kind not in KINDS.get(block.language, ())
    ]
    assert odd == []


# ── files ──


@of("yaml", "playbook")
def test_playbooks_are_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "playbooks.yml"
    file.write_text(block.text)
    assert read_all([file], VERBS)


@of("yaml", "spec")
def test_specs_make_rules_that_pass_their_own_tests(block: Block, tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "example.yml").write_text(block.text)
    loaded = load_specs(tmp_path / "specs")
    assert loaded.warnings == ()
    write(render(loaded.specs, rules=tmp_path, dashboards=tmp_path))
    promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "example.rules.yml")
    done = subprocess.run(
        [program("promtool"), "test", "rules", "example.test.yml"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@of("yaml", "playbook-test")
def test_tests_of_playbooks_pass(block: Block, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "playbooks", tmp_path, dirs_exist_ok=True)
    for other in block.page.blocks:  # the page may show the playbook that it tests
        if other.kind == "playbook" and (named := re.match(r"# playbooks/(\S+)", other.text)):
            (tmp_path / named[1]).write_text(other.text)
    (tmp_path / "tests" / "example.yml").write_text(block.text)
    for number, script in enumerate(read_tests(tmp_path / "tests" / "example.yml")):
        (books := tmp_path / str(number)).mkdir()
        assert [str(each) for each in play(script, books)] == []


@of("yaml", "amend.yml")
def test_settings_are_read(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(block.text, tmp_path)
    text = block.text if re.search(r"^auth:", block.text, re.MULTILINE) else f"{block.text}\n{AUTH}"
    (tmp_path / "amend.yml").write_text(text)
    read(tmp_path / "amend.yml")


AUTH = "auth: {webhook: {insecure: true}}"
"""What a page leaves out that shows one setting alone."""


@of("yaml", "alertmanager")
def test_amtool_takes_alertmanagers_configuration(block: Block, tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(block.text)
    (tmp_path / "amend.token").write_text("secret")
    assert "SUCCESS" in amtool("check-config", tmp_path / "alertmanager.yml")


@of("yaml", "alertmanager")
def test_people_hear_of_alerts_as_before(block: Block, tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(block.text)
    if "- name: people" in block.text:
        anomaly = ("routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}", "alertname=LatencyAnomaly")
        assert amtool("config", *anomaly).splitlines()[-1] == "amend,people"


@of("yaml", "prometheus")
def test_promtool_takes_prometheus_configuration(block: Block, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(block.text)
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")


@of("yaml", "rules")
def test_promtool_takes_rules(block: Block, tmp_path: Path) -> None:
    (tmp_path / "example.rules.yml").write_text(block.text)
    promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "example.rules.yml")


@of("yaml", "compose")
def test_compose_files_name_what_compose_knows(block: Block) -> None:
    services = yaml.safe_load(block.text)["services"]
    known = set(yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yml").read_text())["services"]["shop"])
    assert all(set(service) <= known for service in services.values())


def first(page: str, kind: str) -> str:
    return next(block.text for block in BLOCKS if (str(block.page), block.kind) == (page, kind))


@pytest.mark.parametrize(
    ("spec", "playbook"),
    [("README.md", "README.md"), ("docs/how-to/add-a-detector.md", "docs/how-to/write-a-playbook.md")],
)
def test_what_belongs_together_fits_together(spec: str, playbook: str, tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "example.yml").write_text(first(spec, "spec"))
    write(render(load_specs(tmp_path / "specs").specs, rules=tmp_path, dashboards=tmp_path))
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "example.yml").write_text(first(playbook, "playbook"))
    settings = first("README.md", "amend.yml")
    write_secrets(settings, tmp_path)
    (tmp_path / "amend.yml").write_text(settings)
    whole = setup.read(tmp_path / "amend.yml", rules.read([tmp_path / "example.rules.yml"]))
    assert [str(finding) for finding in lint(whole)] == []


# ── commands ──


def commands(block: Block) -> list[list[str]]:
    """Each command of a shell block as its words, without what the shell makes of it."""
    found: list[list[str]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for word in lexer:
            if word in {"&&", ";", "|", "&"}:
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words[: words.index(">")] if ">" in words else words)
    return [words for words in found if words]


@of("sh")
def test_commands_of_amend_exist_with_these_options(block: Block) -> None:
    for program_name, *arguments in commands(block):
        if Path(program_name).name != "amend":
            continue
        command, context = get_command(cli.app), None
        while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
            name = arguments.pop(0)
            assert name in command.commands, f"{block}: no command {name}"
            command = command.commands[name]
        if not hasattr(command, "commands"):
            context = command.make_context("amend", arguments)
        assert context or arguments in (["--version"], ["--help"]), f"{block}: {arguments}"


@of("sh")
def test_scripts_exist_with_these_options(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for program_name, *arguments in commands(block):
        if not program_name.startswith("scripts/"):
            continue
        assert (ROOT / program_name).exists(), block
        if program_name == "scripts/demo":
            monkeypatch.syspath_prepend(str(ROOT / "deploy" / "demo"))
            monkeypatch.setattr(sys, "argv", ["scripts/demo", *arguments])
            from story.__main__ import _arguments

            assert isinstance(_arguments(), argparse.Namespace)


@of("sh")
def test_files_of_the_repository_that_are_named_are_there(block: Block) -> None:
    if block.page.path.name in PLAYED:  # in a folder of the reader's own, by test_tutorial.py
        return
    for words in commands(block):
        for word in words:
            if re.match(r"(deploy|rules|playbooks|alertmanager|scripts)/[\w./-]+$", word):
                assert (ROOT / word).exists(), f"{block}: {word}"


def test_files_that_the_prose_names_are_there() -> None:
    named = {(str(page), word) for page in PAGES for word in page.code if re.match(TOP, word) and "NAME" not in word}
    missing = {(page, word) for page, word in named if not list(ROOT.glob(word.rstrip("/")))}
    assert missing == set()


TOP = r"(deploy|rules|alertmanager|scripts|receiver|docs|tests)/[\w./*-]+$"


def test_durations_in_the_tables_are_durations() -> None:
    """As `5m`, never as `5min` or `5 m`."""
    for page in PAGES:
        for word in page.code:
            if re.fullmatch(r"\d+ ?(s|m|h|d|w|min|sec|hours?|days?)", word):
                parse_duration(word)
