"""`command` runs what amend.yml declares: no shell, no environment of ours, no option from a label."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.audit import Kind
from receiver.run import Outcome
from receiver.settings.commands import Command
from tests.bed.processes import until
from tests.workbench import Bench

PLAYBOOK = """
- name: flush
  mode: enforce
  matchers: ['alertname="Slow"']
  steps:
  - command: {name: flush, args: ["{{ labels.service }}"]}
    timeout: 20s
"""

Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Bench] = []

    def make(script: str = 'printf "<%s>" "$@"', *, timeout: str = "10s", playbook: str = PLAYBOOK) -> Bench:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        command = Command.model_validate({"argv": [str(program), "--for"], "timeout": timeout})
        bench = Bench(Path(tempfile.mkdtemp(dir=tmp_path)), playbook, commands={"flush": command})
        opened.append(bench.__enter__())
        return bench

    yield make
    for bench in opened:
        bench.__exit__()


def said(bench: Bench) -> Any:
    return bench.run().steps[0].result["output"]


def test_it_gets_its_own_arguments_and_then_those_of_the_playbook(make: Make) -> None:
    bench = make()
    bench.fire()
    assert said(bench) == "<--for><orders>"
    assert bench.run().outcome is Outcome.NONE


@pytest.mark.parametrize("hostile", ["; rm -rf /", "$(id)", "`id`", "a b", "a\nb", "*", "'\"", "a;b|c&d>e"])
def test_a_hostile_label_stays_one_argument(make: Make, hostile: str) -> None:
    bench = make()
    bench.fire(service=hostile)
    assert said(bench) == f"<--for><{hostile}>"


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_label_adds_an_argument_or_becomes_an_option(make: Make, value: str) -> None:
    bench = make('printf "%s" $#; printf "%s" "$2" | cut -c1 | head -n1')
    bench.fire(service=value)
    run = bench.run()
    if run.steps:
        assert run.steps[0].result["output"].startswith("2")
        assert not value.startswith("-")
    else:
        assert "an argument" in run.detail, run.detail


def test_an_option_that_the_playbook_itself_writes_is_taken(make: Make) -> None:
    bench = make(playbook=PLAYBOOK.replace('"{{ labels.service }}"', '"--name={{ labels.service }}", -v'))
    bench.fire(service="--x")
    assert said(bench) == "<--for><--name=--x><-v>"


def test_it_sees_nothing_of_our_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_AMEND", "hunter2")
    bench = make("env | sort | cut -d= -f1 | tr '\\n' ' '; pwd; cat")
    bench.fire()
    assert set(said(bench).split()) == {"AMEND_RUN", "LANG", "PATH", "PWD", "/"}


def test_another_code_than_0_fails_the_step_and_tells_what_was_said(make: Make) -> None:
    bench = make('echo "no such cache" >&2; exit 3')
    bench.fire()
    assert bench.run().detail == "command: flush ended with code 3: no such cache"
    assert bench.run().outcome is Outcome.FAILED


def test_one_that_is_killed_says_by_what(make: Make) -> None:
    bench = make("kill -TERM $$")
    bench.fire()
    assert bench.run().detail == "command: flush ended with signal SIGTERM: it said nothing"


def test_one_that_hangs_is_killed_with_its_children_and_is_unknown(make: Make, tmp_path: Path) -> None:
    bench = make(f"sleep 600 & echo $! > {tmp_path}/child; wait", timeout="500ms")
    bench.fire()
    assert bench.run().outcome is Outcome.UNKNOWN
    assert "flush was killed after 0.5s" in bench.run().detail
    child = int((tmp_path / "child").read_text())
    until(lambda: not _alive(child), why="the child is killed, too")


def test_what_it_leaves_behind_is_killed_and_does_not_hold_the_run(make: Make, tmp_path: Path) -> None:
    bench = make(f"sleep 600 >/dev/null 2>&1 & echo $! > {tmp_path}/child")
    bench.fire()
    assert bench.run().outcome is Outcome.NONE
    child = int((tmp_path / "child").read_text())
    until(lambda: not _alive(child), why="the child is killed, too")


def test_of_a_program_that_says_much_the_end_is_kept(make: Make) -> None:
    bench = make("yes | head -c 3000000; echo the end")
    bench.fire()
    assert said(bench).endswith("y\nthe end\n")
    assert len(said(bench)) == 500


def test_output_that_no_database_takes_is_kept_otherwise(make: Make) -> None:
    bench = make("printf 'a\\000b\\377c'")
    bench.fire()
    assert said(bench) == "a�b�c"


def test_a_program_that_is_not_there_is_told(make: Make, tmp_path: Path) -> None:
    bench = make()
    (tmp_path / "program").unlink()
    bench.fire()
    assert "cannot be started" in bench.run().detail
    assert bench.run().outcome is Outcome.FAILED


def test_a_command_that_is_not_declared_is_not_run(make: Make) -> None:
    bench = make(playbook=PLAYBOOK.replace("name: flush, args", "name: other, args"))
    bench.fire()
    assert 'no command is called "other"' in bench.run().detail


def test_after_people_said_no_it_is_not_run(make: Make) -> None:
    asks = PLAYBOOK + "  approval: {approvers: [team-shop]}\n  on_failure:\n  - command: {name: flush}\n"
    bench = make(playbook=asks)
    bench.fire()
    bench.wait(minutes=11)
    assert not any(step.verb == "command" for step in bench.run().steps)
    (left,) = [entry.data for entry in bench.audit() if entry.kind == Kind.STEP_FAILED]
    assert left["error"] == "this run does not have the workload's lock"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_is_not_ours_to_kill_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError  # as of a program that sudo runs

    monkeypatch.setattr("receiver.programs.os.killpg", refuse)
    bench = make("exec sleep 1", timeout="200ms")
    bench.fire()
    assert bench.run().outcome is Outcome.UNKNOWN
    assert "runs on as another user" in bench.run().detail
