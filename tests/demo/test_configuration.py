"""The demo's own configuration, checked by the programs that read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from story.parts import Place

from tests.bed.alertmanager import amtool
from tests.bed.prometheus import promtool
from tests.demo.conftest import DEMO

AMEND = Path(sys.executable).with_name("amend")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for secret in ("webhook.token", "demo.sha256", "anna.sha256"):
        (tmp_path / secret).write_text("0" * 64)
    return Place(
        tmp_path,
        engine="unix:///var/run/docker.sock",
        inbox="http://127.0.0.1:4/shop",
        prometheus="127.0.0.1:1",
        alertmanager="127.0.0.1:2",
        amend="127.0.0.1:3",
    )


@pytest.fixture
def rules(place: Place) -> Path:
    """The rule file generated from the demo's spec."""
    folders = ("--specs", DEMO / "specs", "--out", place.rules, "--dashboards", place.root / "dashboards")
    amend("rules", "generate", *map(str, folders))
    return place.rules / "shop.rules.yml"


def amend(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [AMEND, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration(place: Place, rules: Path) -> None:
    promtool("check", "config", place.fill_in("prometheus.yml"))
    promtool("check", "config", place.fill_in("history.yml"))


def test_the_generated_rules_pass_their_own_tests(place: Place, rules: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", rules)
    promtool("test", "rules", rules.with_name("shop.test.yml"))


def test_alertmanager_takes_the_configuration(place: Place) -> None:
    amtool("check-config", place.fill_in("alertmanager.yml"))


def test_amend_finds_nothing_wrong_between_playbooks_and_rules(place: Place, rules: Path) -> None:
    amend("check", "--config", str(DEMO / "amend.yml"), "--rules", str(rules), **place.environment)
