"""The command `amend`: one function per verb, each of which imports what it needs when it runs.

`main` is the console script. What went wrong is told in lines with place and way out, never as a traceback; the exit
code is 0 when all is well, 1 for a finding, 2 for wrong usage or nobody to ask.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from receiver.commands import audit, keys, playbooks, rules, runs
from receiver.commands.options import SHORT_HELP, Config, Format, Output, examples

CONFIG = Path("amend.yml")

app = typer.Typer(
    no_args_is_help=True,
    # rich costs more time than `--help` may take, and a mistake of a person's is no traceback
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=SHORT_HELP,
    epilog=examples(
        "amend rules generate     write detection rules from rules/specs",
        "amend check              find mistakes in settings and playbooks",
        "amend serve              answer alerts",
        "amend runs list          see what was done",
    ),
)
app.add_typer(rules.app, name="rules")
app.add_typer(playbooks.app, name="playbooks")
app.add_typer(runs.app, name="runs")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.command(epilog=examples("amend pause", 'amend pause --comment "a deployment is under way"'))(runs.pause)
app.command(epilog=examples("amend resume"))(runs.resume)
app.command(epilog=examples("amend explain 7", "amend explain alertname=LatencyAnomaly service=orders"))(runs.explain)


def main() -> None:
    """Run the command line; the process ends here."""
    from receiver.commands.terminal import complain
    from receiver.errors import AmendError

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(prog_name="amend")
    except AmendError as error:
        complain(str(error))
        sys.exit(_code(error))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"amend {version('amend')}")
        raise typer.Exit


@app.callback()
def amend(
    version: Annotated[  # the callback acts on it
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Write Prometheus detection rules, answer their alerts, check that it helped, and keep the books."""


@app.command(epilog=examples("amend serve", "amend serve --config /etc/amend/amend.yml"))
def serve(config: Config = CONFIG) -> None:
    """Run the receiver: take Alertmanager's webhooks and answer the alerts."""
    from receiver.serve import run

    raise typer.Exit(run(_there(config)))


@app.command(
    epilog=examples(
        "amend check",
        "amend check --config /etc/amend/amend.yml --rules /etc/prometheus/rules/*.yml",
        "amend check --prometheus http://127.0.0.1:9090 -o json",
    )
)
def check(
    more_rules: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More rule files.")] = None,
    config: Config = CONFIG,
    rules: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A Prometheus rule file.")] = None,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Take the rules of this running Prometheus instead.")
    ] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Find mistakes in settings and playbooks, and between them and the rules they react to."""
    from receiver.commands.check import check as check_all

    files = [*(rules or []), *(more_rules or [])]
    if files and prometheus:
        raise typer.BadParameter("give rule files or --prometheus, not both")
    if more_rules and not rules:
        raise typer.BadParameter("put --rules before the rule files")
    raise typer.Exit(check_all(_there(config), rules=files, prometheus=prometheus, as_json=output is Format.JSON))


def _there(config: Path) -> Path:
    from receiver.errors import ConfigError

    if not config.exists():
        raise ConfigError(
            config, None, "is not there; name your settings with --config, or write them (see the README)"
        )
    return config


def _code(error: Exception) -> int:
    from receiver.client import Refused, Unreachable

    return 2 if isinstance(error, Unreachable | Refused) else 1


if __name__ == "__main__":
    main()
