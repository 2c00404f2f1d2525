"""`python -m benchmarks.nab.compare FOLDER [SPEC…]`: several detectors side by side, on the same series.

Without specs these are all that are committed beside this file; whoever adds one there adds a row.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.nab.corpus import load
from benchmarks.nab.figures import figures
from benchmarks.nab.options import Folder, Only
from benchmarks.nab.report import table
from benchmarks.nab.run import judge
from benchmarks.nab.specs import committed
from benchmarks.rule_set import load_rule_set
from receiver.errors import AmendError


def compare(
    folder: Folder,
    specs: Annotated[list[Path] | None, typer.Argument(help="Specs or NAME.rules.yml; all of benchmarks/nab.")] = None,
    *,
    only: Only = "",
) -> None:
    """A table with one row per spec."""
    corpus = load(folder, only=only)
    rule_sets = [load_rule_set(path) for path in specs or committed()]
    print(table({each.name: figures(judge(each.rules, corpus)) for each in rule_sets}, about="detector"))


if __name__ == "__main__":
    try:
        typer.run(compare)
    except AmendError as error:
        sys.exit(str(error))
