"""What the audience sees: one line per thing that happened, with the clock and the time since the fault.

Everything that the demo prints goes through here; colour only on a terminal, and never with NO_COLOR.
"""

import time
from datetime import datetime

from rich.console import Console
from rich.text import Text


class Narrator:
    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began: float | None = None

    def heading(self, text: str) -> None:
        self._console.print(Text(text, style="bold"))

    def begin(self) -> None:
        """From here on the lines carry the seconds since now."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def tell(self, what: str, text: str, *, style: str = "") -> None:
        clock = datetime.now().astimezone().strftime("%H:%M:%S")
        since = "" if self._began is None else f"{self.elapsed:+.1f} s"
        line = Text.assemble((clock, "dim"), (f"{since:>9}  ", "dim"), (f"{what:<10}", style or "cyan"), text)
        self._console.print(line)

    def quote(self, title: str, text: str) -> None:
        """Somebody else's words, such as the end of a log."""
        self._console.print(Text(f"── {title}", style="bold"))
        self._console.print(Text(text.rstrip() or "(empty)"))
