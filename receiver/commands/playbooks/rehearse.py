"""`amend playbooks test`: plays tests of playbooks, and tells what was not as expected."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.commands.options import Format, Output, examples
from receiver.commands.terminal import say, say_json

if TYPE_CHECKING:
    from receiver.rehearsal.play import Difference
    from receiver.rehearsal.script import Script

TESTS = "playbooks/tests/*.yml"
EXAMPLES = examples("amend playbooks test", "amend playbooks test playbooks/tests/http.yml")


def rehearse(
    files: Annotated[list[Path] | None, typer.Argument(help=f"Files of tests; {TESTS} without any.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Rehearse playbooks against what their tests expect, with a clock of their own; exit 1 at any difference."""
    from receiver import logs
    from receiver.errors import ConfigError
    from receiver.rehearsal.script import read

    paths = files or sorted(Path().glob(TESTS))
    if not paths:
        raise ConfigError(TESTS, None, "there is no such file here; name the files of tests")
    logs.configure(style="console", level="error", file=None)  # what a rehearsal does is not what happened
    told = []
    scripts = [script for path in paths for script in read(path)]
    for script, differences in zip(scripts, _played(scripts), strict=True):
        told.append(
            {"name": script.test.name, "place": script.line(), "differences": [str(each) for each in differences]}
        )
        if output is Format.SIMPLE:
            say(f"{'FAILED ' if differences else 'ok     '} {script.line()}: {script.test.name}")
            for difference in differences:
                say(f"        {difference}")
    failed = sum(bool(each["differences"]) for each in told)
    if output is Format.JSON:
        say_json({"tests": told})
    else:
        say(f"{len(told)} tests, {failed} failed")
    raise typer.Exit(bool(failed))


def _played(scripts: "Sequence[Script]") -> "Iterator[list[Difference]]":
    """In order; by as many processes as there are processors, where a process can be forked."""
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor

    from receiver.rehearsal.play import written

    for script in scripts:
        written(script)  # its mistakes are told here; and the processes need not read it once more
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if len(scripts) == 1 or processors == 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield from map(_play, scripts)
        return
    with ProcessPoolExecutor(processors, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_play, scripts)


def _play(script: "Script") -> "list[Difference]":
    import tempfile

    from receiver.rehearsal.play import play

    with tempfile.TemporaryDirectory(prefix="amend-rehearsal-") as directory:
        return play(script, Path(directory))
