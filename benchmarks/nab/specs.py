"""The spec files that are committed beside this one: what the commands score where nobody names another.

Adding a file adds a row to what `compare` prints.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

SPECS: Final = Path(__file__).parent
AUTO: Final = SPECS / "auto.yml"


def committed() -> Sequence[Path]:
    return sorted(SPECS.glob("*.yml"))
