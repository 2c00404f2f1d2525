"""`amend playbooks test`: plays tests of playbooks, and tells what was not as expected."""

from pathlib import Path
from typing import Annotated

import typer

from receiver.commands.options import Format, Output, examples
from receiver.commands.terminal import say, say_json

TESTS = "playbooks/tests/*.yml"
EXAMPLES = examples("amend playbooks test", "amend playbooks test playbooks/tests/http.yml")


def rehearse(
    files: Annotated[list[Path] | None, typer.Argument(help=f"Files of tests; {TESTS} without any.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Rehearse playbooks against what their tests expect, with a clock of their own; exit 1 at any difference."""
    import tempfile

    from receiver import logs
    from receiver.errors import ConfigError
    from receiver.rehearsal.play import play
    from receiver.rehearsal.script import read

    paths = files or sorted(Path().glob(TESTS))
    if not paths:
        raise ConfigError(TESTS, None, "there is no such file here; name the files of tests")
    logs.configure(style="console", level="error", file=None)  # what a rehearsal does is not what happened
    told = []
    for script in [script for path in paths for script in read(path)]:
        with tempfile.TemporaryDirectory(prefix="amend-rehearsal-") as directory:
            differences = play(script, Path(directory))
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
