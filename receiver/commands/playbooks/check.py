"""`amend playbooks check`: reads playbooks by themselves, without settings or rules, and tells every mistake."""

from pathlib import Path
from typing import Annotated

import typer

from receiver.commands.options import Format, Output, examples
from receiver.commands.terminal import say, say_json

DEFAULT = "playbooks/*.yml"
EXAMPLES = examples("amend playbooks check", "amend playbooks check playbooks/web.yml -o json")


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
