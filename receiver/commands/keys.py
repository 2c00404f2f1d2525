"""`amend keys …`: API keys for people and programs, of which the receiver keeps only the hash.

cli.py mounts it. A key is told once: printed, or written to a file.
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
        "amend keys new --role admin --name me --hash-file secrets/me.sha256 --key-file me.key",
        "amend keys new --role approver --name anna --hash-file secrets/anna.sha256",
    )
)
def new(
    *,
    role: Annotated[
        str,
        typer.Option(help="viewer reads; approver also decides about runs; admin also reloads."),
    ],
    name: Annotated[str, typer.Option(help="Whose key it is; the audit log names it.")],
    hash_file: Annotated[Path | None, typer.Option(help="Write the key's hash there, for amend.yml to name.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Write the key there instead of printing it.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Make an API key: print it once, and keep its hash."""
    import hashlib
    import secrets

    from receiver.errors import ConfigError
    from receiver.settings.auth import ROLES

    if role not in ROLES:
        raise typer.BadParameter(f'"{role}" is not a role; known: {", ".join(ROLES)}', param_hint="--role")
    if not name.isprintable() or not name or '"' in name:
        raise typer.BadParameter("a name is printable text without quotes", param_hint="--name")
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    wanted = (("--hash-file", hash_file, digest), ("--key-file", key_file, key))
    for option, path, _ in wanted:
        if path and path.exists():
            raise ConfigError(path, None, f"is there already; name another file with {option}, or delete it")
    for option, path, text in wanted:
        if path:
            _write(path, text, option)
    kept = f"hash_file: {hash_file}" if hash_file else f"hash: {digest}"
    if output is Format.JSON:
        say_json({"name": name, "role": role, "key": key, "hash": digest})
        return
    kept_in = f"The key is in {key_file}" if key_file else "Keep this key"
    complain(f"{kept_in}; nobody can show it again. What amend.yml needs:")
    complain(f'auth:\n  api_keys:\n  - {{name: "{name}", role: {role}, {kept}}}')
    if not key_file:
        typer.echo(key)


def _write(path: Path, text: str, option: str) -> None:
    from receiver.errors import ConfigError

    try:
        # exclusive: what is there is in force, and must not be lost by a slip
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise ConfigError(path, None, f"cannot be written: {error.strerror} ({option})") from error
