"""`amend playbooks init` over every alert that comes with Amend: what it writes fits, and passes its test."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from receiver import first_playbook
from receiver.actions import VERBS
from receiver.first_playbook import Surroundings, surroundings
from receiver.lint import lint, rules, setup
from receiver.playbook import Playbook, read_all
from receiver.rehearsal.play import play
from receiver.rehearsal.script import read as read_tests
from tests.bed.parts import ROOT
from tests.bed.secrets import write_secrets

RULES = sorted((ROOT / "rules" / "generated").glob("*.rules.yml"))
EXAMPLE = (ROOT / "deploy" / "amend.example.yml").read_text()


@cache
def known() -> rules.Rules:
    return rules.read(RULES)


ALERTS = list(dict.fromkeys(rule.alert for rule in known().alerts))


def written(folder: Path, alert: str, around: Surroundings) -> Path:
    """The playbook's file; its test is beside it."""
    file = folder / "playbooks" / first_playbook.file_name(alert)
    subject = first_playbook.find(alert, known())
    draft = first_playbook.draft(subject, around, file=file, check="amend check", taken=())
    draft.test.parent.mkdir(parents=True)
    draft.file.write_text(first_playbook.playbook(draft))
    draft.test.write_text(first_playbook.story(draft))
    return file


def rehearse(file: Path, folder: Path) -> Iterator[str]:
    for number, script in enumerate(read_tests(file.parent / "tests" / file.name)):
        directory = folder / str(number)
        directory.mkdir()
        yield from map(str, play(script, directory))


def settings(folder: Path, *, without: str = "") -> Path:
    """The example, for a while without one of the platforms."""
    text = EXAMPLE
    if without:
        before, _, after = text.partition(f"\n  {without}:")
        lines = after.splitlines()
        end = next(i for i, line in enumerate(lines[1:], 1) if line.strip() and not line.startswith(("  -", "    ")))
        text = "\n".join([before, *lines[end:], ""])
    write_secrets(text, folder)
    (folder / "amend.yml").write_text(text)
    return folder / "amend.yml"


@pytest.mark.parametrize("alert", ALERTS)
def test_the_first_playbook_of_every_alert_fits_the_example_and_passes_its_own_test(alert: str, tmp_path: Path) -> None:
    file = written(tmp_path, alert, Surroundings())
    (playbook,) = read_all([file], VERBS)
    assert playbook.mode == "observe"
    found = lint(setup.read(settings(tmp_path), known()))
    assert [str(finding) for finding in found] == [], "with neither errors nor warnings, such as verify/too-short"
    assert list(rehearse(file, tmp_path)) == []
    answered = known().fitting(playbook.matchers)
    assert answered == [rule for rule in known().alerts if rule.alert == alert], "every severity, and nothing else"


@pytest.mark.parametrize("platform", ["docker", "kubernetes"])
def test_where_there_is_one_platform_no_playbook_aims_at_another(platform: str, tmp_path: Path) -> None:
    other = {"docker": "kubernetes", "kubernetes": "docker"}[platform]
    config = settings(tmp_path, without=other)
    around = surroundings.read(config)
    for alert in ALERTS:
        (tmp_path / alert).mkdir()
        file = written(tmp_path / alert, alert, around)
        (tmp_path / "playbooks").mkdir(exist_ok=True)
        (tmp_path / "playbooks" / file.name).write_text(file.read_text())
    setup_read = setup.read(config, known())
    assert [str(each) for each in lint(setup_read) if each.check != "playbooks/overlap"] == []
    targets = [each.playbook.target for each in setup_read.playbooks if each.playbook.target != "none"]
    assert targets
    assert {getattr(target, other) for target in targets} == {None}


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Playbook, str]]:
    found = {}
    for alert in ALERTS:
        file = written(tmp_path_factory.mktemp(alert), alert, Surroundings())
        found[alert] = (read_all([file], VERBS)[0], file.read_text())
    return found


def test_whatever_acts_is_limited_verified_and_tells_when_it_did_not_help(
    all_of_them: dict[str, tuple[Playbook, str]],
) -> None:
    for playbook, _ in all_of_them.values():
        assert playbook.on_failure[-1].verb == "notify"
        assert "notify" in [step.verb for step in playbook.steps]
        if playbook.target != "none":
            assert playbook.max_targets
            assert playbook.verify
            assert playbook.verify.resolved_within


@pytest.mark.parametrize(
    ("alert", "verb", "kind"),
    [
        ("HttpLatencyAnomaly", "restart", "Deployment"),
        ("MeshRequestRateAnomaly", "scale", "Deployment"),
        ("LinkerdErrorRatioAnomaly", "restart", "Deployment"),
        ("KubePodCrashLooping", "delete_pod", "Pod"),
        ("ContainerMemoryLeak", "delete_pod", "Pod"),
        ("KubeNodeNotReady", "cordon", "Node"),
        ("FileDescriptorLeak", "restart", "compose"),
        ("ContainerThrottled", "notify", None),
        ("CertificateExpiresIn7Days", "notify", None),
        ("KubePodCannotStart", "notify", None),
        ("NodeFilesystemFull", "notify", None),
        ("NodeClockSkew", "notify", None),
        ("PrometheusRuleFailures", "notify", None),
        ("AmendStoreErrors", "notify", None),
        ("TargetDown", "notify", None),
        ("RabbitmqBacklogAnomaly", "notify", None),
    ],
)
def test_what_it_does_is_what_somebody_who_knows_the_alert_would_try_first(
    all_of_them: dict[str, tuple[Playbook, str]], alert: str, verb: str, kind: str | None
) -> None:
    playbook, _ = all_of_them[alert]
    assert playbook.steps[0].verb == verb
    assert (None if playbook.target == "none" else playbook.target.kind) == kind


def test_the_other_target_that_a_comment_offers_fits_as_well(
    all_of_them: dict[str, tuple[Playbook, str]], tmp_path: Path
) -> None:
    config = settings(tmp_path)
    (tmp_path / "playbooks").mkdir()
    offered = 0
    for alert, (_, text) in all_of_them.items():
        other = re.search(r"^  # (target: .*)$", text, re.MULTILINE)
        if other:
            offered += 1
            taken = re.sub(r"^  target: .*$", "", text, flags=re.MULTILINE).replace(other[0], f"  {other[1]}")
            (tmp_path / "playbooks" / f"{alert}.yml").write_text(taken)
    assert offered > 10
    found = lint(setup.read(config, known()))
    assert [str(each) for each in found if each.check != "playbooks/overlap"] == []


def test_what_must_be_looked_at_is_marked_and_every_line_fits_on_a_screen_but_for_texts(
    all_of_them: dict[str, tuple[Playbook, str]],
) -> None:
    for _, text in all_of_them.values():
        assert "←" in text
        long = [line for line in text.splitlines() if len(line) > 120]
        assert [line for line in long if not re.search(r"target:|message:|amend playbooks test", line)] == []
