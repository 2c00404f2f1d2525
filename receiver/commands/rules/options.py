"""Options that several of the `amend rules` commands share, and the one way in which they open a running Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from receiver.rulegen.live import LivePrometheus

Specs = Annotated[Path, typer.Option(help="The folder of spec files (*.yml).")]
Out = Annotated[Path, typer.Option(help="Where the rule files and their unit tests are.")]
Promtool = Annotated[str, typer.Option(envvar="PROMTOOL", help="Prometheus' own checker; found on PATH if not given.")]

PrometheusUrl = Annotated[
    str, typer.Option("--prometheus", envvar="AMEND_PROMETHEUS", metavar="URL", help="A running Prometheus.")
]
BearerTokenFile = Annotated[
    Path | None, typer.Option("--bearer-token-file", metavar="FILE", help="The file with Prometheus' bearer token.")
]
Username = Annotated[str | None, typer.Option("--username", help="Prometheus' user, for basic authentication.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="The file with this user's password.")
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="The authority that signed Prometheus' certificate.")
]

SPECS = Path("rules/specs")
OUT = Path("rules/generated")


@contextmanager
def live_prometheus(
    url: str,
    *,
    bearer_token_file: Path | None,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None,
) -> Iterator["LivePrometheus"]:
    """The Prometheus that these options name; wherever the block asks it in vain, the command ends with 2."""
    from receiver.commands.terminal import complain
    from receiver.errors import Permanent, Temporary
    from receiver.rulegen.live import LivePrometheus

    if bearer_token_file and (username is not None or password_file):
        raise typer.BadParameter("give --bearer-token-file, or --username and --password-file, not both")
    if (username is None) != (password_file is None):
        raise typer.BadParameter("--username and --password-file go together; give both")
    try:
        with LivePrometheus(
            url,
            bearer_token=_secret(bearer_token_file, "--bearer-token-file"),
            username=username,
            password=_secret(password_file, "--password-file"),
            ca_file=ca_file,
        ) as prometheus:
            yield prometheus
    except (Temporary, Permanent) as error:
        complain(str(error))
        raise typer.Exit(2) from error


def _secret(file: Path | None, option: str) -> str | None:
    from receiver.secret_file import NoSecret, secret_in

    if file is None:
        return None
    try:
        return secret_in(file)
    except NoSecret as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint=option) from error
