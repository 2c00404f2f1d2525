"""`amend rules test`: promtool checks the generated rules and runs their unit tests, whatever format they are in."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from receiver.commands.options import examples
from receiver.commands.rules.options import OUT, Out, Promtool

EXAMPLES = examples("amend rules test", "amend rules test http", "amend rules test --promtool /opt/prometheus/promtool")


def run_tests(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Of specs, as in http; all, if none is named.")
    ] = None,
    *,
    out: Out = OUT,
    promtool: Promtool = "promtool",
) -> None:
    """Check the generated rules with promtool, then run their unit tests. Objects and mixins are unwrapped for it."""
    from receiver.documents import did_you_mean

    found = shutil.which(promtool)
    if found is None:
        typer.echo(
            f'"{promtool}" is not there; it comes with Prometheus (Debian: apt install prometheus), '
            "or name it with --promtool or $PROMTOOL",
            err=True,
        )
        raise typer.Exit(2)
    with _plain(out) as folder:
        found_names = sorted(path.name.removesuffix(".test.yml") for path in folder.glob("*.test.yml"))
        for name in names or ():
            if name not in found_names:
                told = did_you_mean(name, found_names) or f"; there are {', '.join(found_names)}"
                raise typer.BadParameter(f'no unit test is of "{name}"{told}', param_hint="NAME")
        rules, tests = (
            sorted(str(path) for name in names or ["*"] for path in folder.glob(f"{name}.{kind}.yml"))
            for kind in ("rules", "test")
        )
        if not rules or not tests:
            typer.echo(f"{out}: holds no generated rules; run `amend rules generate` first", err=True)
            raise typer.Exit(2)
        checked = subprocess.run([found, "check", "rules", "--lint=all", "--lint-fatal", *rules], check=False)
        tested = subprocess.run([found, "test", "rules", *tests], check=False)
    if checked.returncode or tested.returncode:
        raise typer.Exit(1)


@contextmanager
def _plain(out: Path) -> Iterator[Path]:
    """The folder with the plain rule files: `out` itself, or a temporary one with what `out` wraps up."""
    from receiver.rulegen.unwrap import unwrapped

    if any(out.glob("*.rules.yml")):
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="amend-") as temporary:
        folder = Path(temporary)
        for name, text in unwrapped(out).items():
            (folder / name).write_text(text)
        for path in out.glob("*.test.yml"):
            shutil.copy(path, folder)
        yield folder
