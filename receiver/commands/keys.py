"""`amend keys …`: API keys for people and programs, of which the receiver keeps only the hash.

cli.py mounts it. A key is printed once, to standard output and nowhere else.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from receiver.commands.options import Format, Output, examples, group
from receiver.commands.terminal import complain, say_json

app = group("Keys for the API and the pages.")


@app.callback()
def keys() -> None:
    """Keys for the API and the pages."""


@app.command(
    epilog=examples(
        "amend keys new --role viewer --name dashboard > dashboard.key",
        "amend keys new --role approver --name anna --hash-file secrets/anna.sha256",
    )
)
def new(
    *,
    role: Annotated[str, typer.Option(help="viewer and approver read, admin also reloads.")],
    name: Annotated[str, typer.Option(help="Whose key it is; the audit log names it.")],
    hash_file: Annotated[Path | None, typer.Option(help="Write the key's hash there, for amend.yml to name.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Make an API key: print it once, and keep its hash."""
    import hashlib
    import secrets

    from receiver.settings import ROLES

    if role not in ROLES:
        raise typer.BadParameter(f'"{role}" is not a role; known: {", ".join(ROLES)}', param_hint="--role")
    if not name.isprintable() or not name or '"' in name:
        raise typer.BadParameter("a name is printable text without quotes", param_hint="--name")
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    if hash_file:
        _write(hash_file, digest)
    kept = f"hash_file: {hash_file}" if hash_file else f"hash: {digest}"
    if output is Format.JSON:
        say_json({"name": name, "role": role, "key": key, "hash": digest})
        return
    complain("Keep this key, nobody can show it again. What amend.yml needs:")
    complain(f'auth:\n  api_keys:\n  - {{name: "{name}", role: {role}, {kept}}}')
    typer.echo(key)


def _write(path: Path, digest: str) -> None:
    from receiver.errors import ConfigError

    try:
        # exclusive: the hash of another key in force is not lost by a slip
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{digest}\n")
    except FileExistsError as error:
        raise ConfigError(path, None, "is there already; name another file with --hash-file, or delete it") from error
    except OSError as error:
        raise ConfigError(path, None, f"cannot be written: {error.strerror} (--hash-file)") from error
