"""The error tree, raised everywhere and caught by the command line, the web doors and the worker.

An error says what to do by its type: a ConfigError is for a person to mend, a Temporary may be tried again,
a Permanent may not.
"""

from collections.abc import Iterable
from pathlib import Path


class AmendError(Exception):
    """The root: everything that Amend raises on purpose."""


class ConfigError(AmendError):
    """A mistake in a file that a person wrote: where it is, what it is, and the way out."""

    def __init__(self, path: Path | str, line: int | None, message: str) -> None:
        self.path = Path(path)
        self.line = line
        self.message = message
        place = f"{path}:{line}" if line else f"{path}"
        super().__init__(f"{place}: {message}")


class ConfigErrors(AmendError):
    """Several mistakes found in one reading, so that they can be mended in one go."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class Temporary(AmendError):
    """It may work later. `delay` is the wait in seconds that the other side asked for, if it did."""

    def __init__(self, message: str, *, delay: float | None = None) -> None:
        self.delay = delay
        super().__init__(message)


class Permanent(AmendError):
    """It will not work however often it is tried."""


class Uncertain(AmendError):
    """It was sent, and nobody knows whether it was done: never repeated, always verified."""
