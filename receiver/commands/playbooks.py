"""`amend playbooks …`: write a first one, check them by themselves, without settings or rules, and rehearse them.

cli.py mounts it; `amend check` looks at the same files together with everything around them.
"""

from pathlib import Path
from typing import Annotated

import typer

from receiver.commands import first_playbook
from receiver.commands.options import Format, Output, examples, group
from receiver.commands.terminal import say, say_json

app = group("Playbooks: begun, checked, and rehearsed.")
app.command("init", epilog=first_playbook.EXAMPLES)(first_playbook.init)

DEFAULT = "playbooks/*.yml"
TESTS = "playbooks/tests/*.yml"


@app.callback()
def playbooks() -> None:
    """Playbooks: begun, checked, and rehearsed."""


@app.command(epilog=examples("amend playbooks check", "amend playbooks check playbooks/web.yml -o json"))
def check(
    files: Annotated[list[Path] | None, typer.Argument(help=f"Playbook files; {DEFAULT} without any.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Read playbooks and tell every mistake in them; exit 1 if there is one."""
    from receiver.actions import VERBS
    from receiver.errors import ConfigError, ConfigErrors
    from receiver.playbook import read_all

    paths = files or sorted(Path().glob(DEFAULT))
    if not paths:
        raise ConfigError(DEFAULT, None, "there is no such file here; name the playbook files")
    try:
        found = read_all(paths, VERBS)
    except ConfigErrors as mistakes:
        if output is not Format.JSON:
            raise
        say_json({"errors": [{"file": str(e.path), "line": e.line, "message": e.message} for e in mistakes.errors]})
        raise typer.Exit(1) from None
    if output is Format.JSON:
        say_json({"playbooks": [{"name": each.name, "mode": each.mode, "place": each.place} for each in found]})
        return
    for playbook in found:
        say(f"{playbook.place}: {playbook.name} ({playbook.mode}, {len(playbook.steps)} steps)")


@app.command(epilog=examples("amend playbooks schema > playbooks/schema.json"))
def schema() -> None:
    """Print the JSON Schema of playbook files, with which editors complete and check them."""
    from receiver import playbook
    from receiver.actions import VERBS

    say_json(playbook.schema(VERBS))


@app.command("test", epilog=examples("amend playbooks test", "amend playbooks test playbooks/tests/http.yml"))
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


@app.command(
    "import",
    epilog=examples("amend playbooks import policies.yml", "amend playbooks import policies.yml --service shop"),
)
def import_(
    file: Annotated[Path, typer.Argument(help="A file with a list under policies:.")],
    service: Annotated[str | None, typer.Option(help="What the spec calls the service; the file's name.")] = None,
    specs: Annotated[Path, typer.Option(metavar="DIR", help="Where the spec goes.")] = Path("rules/specs"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the playbooks go.")] = Path("playbooks"),
) -> None:
    """Make a spec and playbooks of an older tool's policies (name, condition, action, service, cooldown, enabled)."""
    from receiver import policies
    from receiver.errors import ConfigError

    found = policies.read(file)
    service = service or file.stem
    texts = {
        specs / f"{file.stem}.yml": policies.spec(found, service=service, source=file.name),
        out / f"{file.stem}.yml": policies.playbooks(found, source=file.name),
    }
    for path in texts:
        if path.exists():
            raise ConfigError(path, None, "is there already; move it away, or import under another file name")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise ConfigError(path, None, f"cannot be written: {error.strerror}") from error
        say(f"{path}: written")
    say(f"{len(found)} policies. Look at what is marked ←, then run amend rules generate and amend playbooks check.")
