"""What the commands of this benchmark have in common on their command lines."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="The corpus: a folder with data/ and labels.json.")]
Only = Annotated[str, typer.Option(help="Only series whose name contains this.")]
