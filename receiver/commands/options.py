"""Options that several commands share, so that they have the same names, defaults and help everywhere.

Only typer is imported here: every `--help` passes through this file.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Format(StrEnum):
    """How a command prints what it found."""

    SIMPLE = "simple"  #: for people
    JSON = "json"  #: for programs


def group(help_text: str) -> typer.Typer:
    """A group of commands. Without rich, whose import alone costs more than `--help` may take."""
    return typer.Typer(no_args_is_help=True, help=help_text, rich_markup_mode=None, context_settings=SHORT_HELP)


def examples(*lines: str) -> str:
    """An epilog of `--help` that keeps its lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


SHORT_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

URL = "http://127.0.0.1:9095"


def pair(text: str, example: str = "service=orders") -> str:
    """`service=orders` as it is; a usage error if it is no pair."""
    name, equals, _ = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f'"{text}" is not NAME=VALUE; write for example {example}')
    return text


Output = Annotated[Format, typer.Option("--output", "-o", help="simple for people, json for programs.")]
Url = Annotated[str, typer.Option("--url", envvar="AMEND_URL", help="Where the receiver runs.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", envvar="AMEND_KEY_FILE", help="The file with your API key.")
]
Config = Annotated[Path, typer.Option("--config", "-c", help="The settings.")]
HmacKeyFile = Annotated[Path | None, typer.Option("--hmac-key-file", help="The key that the log is sealed with.")]
Comment = Annotated[str, typer.Option("--comment", "-m", help="Why; it stands in the audit log.")]
Labels = Annotated[
    list[str], typer.Option("--label", "-l", metavar="NAME=VALUE", help="Only of alerts with this label; repeatable.")
]
