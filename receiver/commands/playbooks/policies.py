"""`amend playbooks import`: a spec and playbooks of an older tool's policies."""

from pathlib import Path
from typing import Annotated

import typer

from receiver.commands.options import examples
from receiver.commands.terminal import say

EXAMPLES = examples("amend playbooks import policies.yml", "amend playbooks import policies.yml --service shop")


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
