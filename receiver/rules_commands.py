"""`amend rules …`: the commands that write and test detection rules.

cli.py mounts this; each command imports what it needs when it runs, so that `--help` answers at once.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

# Without rich, whose import alone costs more than `--help` may take.
app = typer.Typer(
    no_args_is_help=True,
    help="Write detection rules from specs, and test them.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Out = Annotated[Path, typer.Option(help="Where the rule files and their unit tests are.")]

_GENERATE_EXAMPLES = """\b
Examples:
  amend rules generate
  amend rules generate --check        in CI: is what is committed up to date?
  amend rules generate --specs my/specs --out /etc/prometheus/amend"""

_TEST_EXAMPLES = """\b
Examples:
  amend rules test
  amend rules test --promtool /opt/prometheus/promtool"""


@app.command(epilog=_GENERATE_EXAMPLES)
def generate(
    specs: Annotated[Path, typer.Option(help="The folder of spec files (*.yml).")] = Path("rules/specs"),
    out: _Out = Path("rules/generated"),
    dashboards: Annotated[Path, typer.Option(help="Where the Grafana dashboards go.")] = Path(
        "deploy/grafana/dashboards"
    ),
    output_format: Annotated[
        str, typer.Option("--format", help="Only `rules`, plain rule files, is known so far.")
    ] = "rules",
    check: Annotated[bool, typer.Option("--check", help="Write nothing; list what is stale and exit 1.")] = False,
) -> None:
    """Write rules, their unit tests and dashboards from the specs. The same specs give the same bytes."""
    from receiver.errors import AmendError
    from receiver.rulegen.generate import compare, load_specs, render, write

    if output_format != "rules":
        raise typer.BadParameter(f'"{output_format}" is not a format; known: rules', param_hint="--format")
    try:
        loaded = load_specs(specs)
        for warning in loaded.warnings:
            typer.echo(f"warning: {warning}", err=True)
        files = render(loaded.specs, rules=out, dashboards=dashboards)
        difference = compare(files) if check else write(files)
    except AmendError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    for path in difference.stale:
        typer.echo(f"{path}: {'stale' if check else 'written'}")
    for path in difference.orphaned:
        typer.echo(f"{path}: {'has no spec any more' if check else 'removed; its spec is gone'}")
    if check and (difference.stale or difference.orphaned):
        typer.echo("run `amend rules generate` and commit what it writes", err=True)
        raise typer.Exit(1)


@app.command("test", epilog=_TEST_EXAMPLES)
def run_tests(
    out: _Out = Path("rules/generated"),
    promtool: Annotated[
        str, typer.Option(envvar="PROMTOOL", help="Prometheus' own checker; found on PATH if not given.")
    ] = "promtool",
) -> None:
    """Check the generated rules with promtool, then run their unit tests."""
    found = shutil.which(promtool)
    if found is None:
        typer.echo(
            f'"{promtool}" is not there; it comes with Prometheus (Debian: apt install prometheus), '
            "or name it with --promtool or $PROMTOOL",
            err=True,
        )
        raise typer.Exit(2)
    rules = sorted(str(path) for path in out.glob("*.rules.yml"))
    tests = sorted(str(path) for path in out.glob("*.test.yml"))
    if not rules or not tests:
        typer.echo(f"{out}: holds no generated rules; run `amend rules generate` first", err=True)
        raise typer.Exit(2)
    checked = subprocess.run([found, "check", "rules", "--lint=all", "--lint-fatal", *rules], check=False)
    tested = subprocess.run([found, "test", "rules", *tests], check=False)
    if checked.returncode or tested.returncode:
        raise typer.Exit(1)
