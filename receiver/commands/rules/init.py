"""`amend rules init`: a look at a running Prometheus becomes a first spec, with a reason for each choice."""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.commands.options import Format, Output, examples
from receiver.commands.rules.options import (
    SPECS,
    BearerTokenFile,
    CaFile,
    PasswordFile,
    PrometheusUrl,
    Username,
    live_prometheus,
)

if TYPE_CHECKING:
    from receiver.rulegen.first_spec import Memory
    from receiver.rulegen.proposals import LeftOut, Proposal
    from receiver.rulegen.survey import Selection

EXAMPLES = examples(
    "amend rules init --prometheus http://127.0.0.1:9090",
    """amend rules init --prometheus http://127.0.0.1:9090 --match '{job="shop"}'""",
    "amend rules init --prometheus https://prometheus.example.com --bearer-token-file token --out rules/specs/shop.yml",
)

WIDE = 110  #: characters of a line of names
MOST = 20  #: detectors that a person reads one by one


def init(
    *,
    prometheus: PrometheusUrl,
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="SELECTOR", help="Look at these series alone, such as '{job=\"shop\"}'; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The spec to write; rules/specs/SERVICE.yml if not given.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="The label `service` of the alerts; the one job's name if not given.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=500, help="At most so many detectors, the most telling ones.")
    ] = MOST,
    force: Annotated[bool, typer.Option("--force", help="Write over a spec that is there.")] = False,
    bearer_token_file: BearerTokenFile = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Look at what a Prometheus scrapes, and write a first spec with a reason for each choice.

    The spec is a guess to start from: read it, keep what you would get up for, then run `amend rules generate`.
    """
    from receiver.rulegen import choice, first_spec
    from receiver.rulegen.proposals import LeftOut, Proposal
    from receiver.rulegen.survey import Survey

    selections = _selections(match or [])
    if out:
        _may_write(out, force=force)
    with live_prometheus(
        prometheus,
        bearer_token_file=bearer_token_file,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
    ) as live:
        survey = Survey(live)
        chosen = list(choice.propose(survey, selections, most=limit))
        jobs = survey.jobs(selections)
        retention = survey.retention()
    if not chosen:
        _nothing_there(live.url, match)
    service = service or (out.stem if out else jobs[0] if len(jobs) == 1 else "scraped")
    out = out or SPECS / f"{_file_name(service)}.yml"
    _may_write(out, force=force)
    proposals = [each for each in chosen if isinstance(each, Proposal)]
    proposals = first_spec.named_apart(proposals, service=service, taken=first_spec.names_in(out.parent, but=out))
    memory = first_spec.memory(retention, proposals)
    if proposals:
        _write(out, first_spec.text(service, proposals, source=live.url, memory=memory))
    left_out = [each for each in chosen if isinstance(each, LeftOut)]
    tell = _tell_json if output is Format.JSON else _tell
    tell(out, proposals, left_out, memory)
    if not proposals:
        raise typer.Exit(1)


def _selections(texts: Sequence[str]) -> list["Selection"]:
    from receiver.rulegen.survey import EVERYTHING, selection

    try:
        return [selection(text) for text in texts] or [EVERYTHING]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--match") from error


def _may_write(out: Path, *, force: bool) -> None:
    if out.suffix != ".yml":
        raise typer.BadParameter(f"{out}: specs are called NAME.yml; give such a name", param_hint="--out")
    if out.exists() and not force:
        raise typer.BadParameter(f"{out}: is there already; give another --out, or --force to write over it")


def _file_name(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", service).strip("-") or "scraped"


def _write(out: Path, text: str) -> None:
    from receiver.errors import AmendError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    except OSError as error:
        raise AmendError(f"{out}: cannot be written: {error.strerror}; name another file with --out") from error


def _nothing_there(url: str, match: Sequence[str] | None) -> None:
    from receiver.commands.terminal import complain

    if match:
        complain(f"{url}: has no series now that match {' or '.join(match)}; ask it for `up` to see what is scraped")
    else:
        complain(f"{url}: has no series now; does it scrape anything? {url}/targets shows")
    raise typer.Exit(1)


def _tell(out: Path, proposals: Sequence["Proposal"], left_out: Sequence["LeftOut"], memory: "Memory | None") -> None:
    """For people; what was left out is grouped by its reason."""
    from receiver.commands.terminal import complain, say, say_table

    if proposals:
        say_table(
            ("DETECTOR", "FROM", "SERIES", "BY", "WHY"),
            [(each.name, each.kind, each.series, ", ".join(each.by), each.why[0]) for each in proposals],
        )
        say("")
    if left_out:
        say("LEFT OUT")
        for why, metrics in _by_reason(left_out).items():
            say(f"{why}:")
            names = ", ".join(metrics)
            for line in wrap(names, WIDE, break_long_words=False, max_lines=5, placeholder=" … (all with -o json)"):
                say(f"  {line}")
        say("")
    if memory:
        complain(f"warning: {memory.warning}; the spec says {memory}")
    if not proposals:
        complain("none of these makes a good detector, so no spec was written; docs/how-to/add-a-detector.md")
        return
    detectors = "1 detector" if len(proposals) == 1 else f"{len(proposals)} detectors"
    say(f"{out}: written: {detectors} of {sum(each.series for each in proposals):,} series")
    specs = "" if out.parent == SPECS else f" --specs {out.parent}"
    say(f"Read it, keep what you would get up for, then run `amend rules generate{specs}` and `amend rules test`.")


def _by_reason(left_out: Sequence["LeftOut"]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for each in left_out:
        reasons.setdefault(each.why, []).append(each.metric)
    return reasons


def _tell_json(
    out: Path, proposals: Sequence["Proposal"], left_out: Sequence["LeftOut"], memory: "Memory | None"
) -> None:
    from receiver.commands.terminal import say_json

    say_json(
        {
            "spec": str(out) if proposals else None,
            "detectors": [
                {
                    "name": each.name,
                    "metric": each.metric,
                    "kind": each.kind,
                    "expr": each.expr,
                    "by": each.by,
                    "series": each.series,
                    "why": each.why,
                }
                for each in proposals
            ],
            "left_out": [{"metric": each.metric, "why": each.why} for each in left_out],
            "warnings": [f"{memory.warning}; the spec says {memory}"] if memory else [],
        }
    )
