"""Options that several of the `amend rules` commands share."""

from pathlib import Path
from typing import Annotated

import typer

Specs = Annotated[Path, typer.Option(help="The folder of spec files (*.yml).")]
Out = Annotated[Path, typer.Option(help="Where the rule files and their unit tests are.")]
Promtool = Annotated[str, typer.Option(envvar="PROMTOOL", help="Prometheus' own checker; found on PATH if not given.")]

SPECS = Path("rules/specs")
OUT = Path("rules/generated")
