"""`amend rules generate`: specs become rules, their unit tests and dashboards."""

from pathlib import Path
from typing import Annotated

import typer

from receiver.commands.options import examples
from receiver.commands.rules.options import OUT, SPECS, Out, Specs

EXAMPLES = examples(
    "amend rules generate",
    "amend rules generate --check        in CI: is what is committed up to date?",
    "amend rules generate --specs my/specs --out /etc/prometheus/amend",
)


def generate(
    *,
    specs: Specs = SPECS,
    out: Out = OUT,
    dashboards: Annotated[Path, typer.Option(help="Where the Grafana dashboards go.")] = Path(
        "deploy/grafana/dashboards"
    ),
    output_format: Annotated[
        str, typer.Option("--format", help="Only `rules`, plain rule files, is known so far.")
    ] = "rules",
    check: Annotated[bool, typer.Option("--check", help="Write nothing; list what is stale and exit 1.")] = False,
) -> None:
    """Write rules, their unit tests and dashboards from the specs. The same specs give the same bytes."""
    from receiver.rulegen.generate import compare, load_specs, render, write

    if output_format != "rules":
        raise typer.BadParameter(f'"{output_format}" is not a format; known: rules', param_hint="--format")
    loaded = load_specs(specs)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    files = render(loaded.specs, rules=out, dashboards=dashboards)
    difference = compare(files) if check else write(files)
    for path in difference.stale:
        typer.echo(f"{path}: {'stale' if check else 'written'}")
    for path in difference.orphaned:
        typer.echo(f"{path}: {'has no spec any more' if check else 'removed; its spec is gone'}")
    if check and (difference.stale or difference.orphaned):
        typer.echo("run `amend rules generate` and commit what it writes", err=True)
        raise typer.Exit(1)
