"""`amend rules generate`: specs become rules, their unit tests and dashboards."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.commands.options import examples
from receiver.commands.rules.options import OUT, SPECS, Out, Specs

if TYPE_CHECKING:
    from receiver.rulegen.pieces import Format

EXAMPLES = examples(
    "amend rules generate",
    "amend rules generate --check        in CI: is what is committed up to date?",
    "amend rules generate --specs my/specs --out /etc/prometheus/amend",
    "amend rules generate --out deploy/rules --format prometheusrule --object-label release=monitoring",
    "amend rules generate --out mixin --format mixin",
)

DASHBOARDS = Path("deploy/grafana/dashboards")


class RuleFormat(StrEnum):
    """For whom the rules are written."""

    RULES = "rules"  #: files for Prometheus' `rule_files`, and for everything that reads them
    PROMETHEUSRULE = "prometheusrule"  #: objects for the Prometheus operator
    MIXIN = "mixin"  #: a monitoring mixin


def generate(
    *,
    specs: Specs = SPECS,
    out: Out = OUT,
    dashboards: Annotated[
        Path | None,
        typer.Option(help=f"Where the Grafana dashboards go: {DASHBOARDS}, unless the format has its own place."),
    ] = None,
    rule_format: Annotated[
        RuleFormat, typer.Option("--format", help="For Prometheus, for its operator, or as a mixin.")
    ] = RuleFormat.RULES,
    namespace: Annotated[str, typer.Option(help="Of the PrometheusRule objects; none: where they are applied.")] = "",
    object_label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the PrometheusRule objects, for ruleSelector; repeatable."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; list what is stale and exit 1.")] = False,
) -> None:
    """Write rules, their unit tests and dashboards from the specs. The same specs give the same bytes."""
    from receiver.rulegen.generate import compare, load_specs, render, write

    lay_out = _format(rule_format, namespace, object_label or [])
    boards = _dashboards(rule_format, dashboards, out)
    loaded = load_specs(specs)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    files = render(loaded.specs, rules=out, dashboards=boards, lay_out=lay_out)
    difference = compare(files) if check else write(files)
    if not difference.stale and not difference.orphaned:
        typer.echo(f"{len(files)} files are up to date")
    for path in difference.stale:
        typer.echo(f"{path}: {'stale' if check else 'written'}")
    for path in difference.orphaned:
        typer.echo(f"{path}: {'is not meant any more' if check else 'removed; it is not meant any more'}")
    if check and (difference.stale or difference.orphaned):
        typer.echo("run `amend rules generate` with the same options and commit what it writes", err=True)
        raise typer.Exit(1)


def _format(chosen: RuleFormat, namespace: str, object_labels: list[str]) -> "Format":
    from receiver.rulegen.mixin import mixin
    from receiver.rulegen.pieces import rule_files
    from receiver.rulegen.prometheusrule import PrometheusRules, object_label, object_namespace

    if chosen is not RuleFormat.PROMETHEUSRULE:
        for name, value in (("--namespace", namespace), ("--object-label", object_labels)):
            if value:
                raise typer.BadParameter("only objects have it; add --format prometheusrule", param_hint=name)
        return mixin if chosen is RuleFormat.MIXIN else rule_files
    try:
        labels = dict(map(object_label, object_labels))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--object-label") from error
    try:
        return PrometheusRules(namespace=object_namespace(namespace) if namespace else "", labels=labels)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--namespace") from error


def _dashboards(chosen: RuleFormat, given: Path | None, out: Path) -> Path:
    from receiver.rulegen import mixin

    if chosen is not RuleFormat.MIXIN:
        return given or DASHBOARDS
    if given:
        raise typer.BadParameter("a mixin keeps its dashboards with it; name --out alone", param_hint="--dashboards")
    return out / mixin.DASHBOARDS
