"""A progress bar for the `amend rules` commands that take minutes; nothing, where nobody sits at a terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def progress(parts: Sequence[str]) -> Iterator[Callable[[str], Callable[[float], None]]]:
    """Gives for each part, by its name, the function that is told the share of it that is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(parts))

        def part(name: str) -> Callable[[float], None]:
            before = parts.index(name)
            return lambda share: bar.update(task, description=name, completed=before + share)

        yield part
