"""`amend rules tune`: which sigma would have paged as often as wanted, told as a change to the spec."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from receiver.commands.options import Format, Output, examples
from receiver.commands.rules.options import (
    SPECS,
    BearerTokenFile,
    CaFile,
    PasswordFile,
    PrometheusUrl,
    Promtool,
    Specs,
    Username,
    live_prometheus,
)
from receiver.commands.rules.past import Detectors, MaxSeries, Since, Step, Until, chosen_detectors, wanted_past

if TYPE_CHECKING:
    from receiver.rulegen.backtest import Wanted
    from receiver.rulegen.live import LivePrometheus
    from receiver.rulegen.spec import Detector, Spec
    from receiver.rulegen.tune import Proposal, Try

EXAMPLES = examples(
    "amend rules tune --prometheus http://127.0.0.1:9090 --pages-per-week 2",
    "amend rules tune --prometheus http://127.0.0.1:9090 --pages-per-week 0.5 --severity high --detector error_ratio",
    "amend rules tune --prometheus http://127.0.0.1:9090 --pages-per-week 1 --write",
)


def tune(
    *,
    prometheus: PrometheusUrl,
    pages_per_week: Annotated[
        float,
        typer.Option("--pages-per-week", min=0, help="How often each detector should page, all series together."),
    ],
    severity: Annotated[
        str | None, typer.Option(help="Count the pages of this severity; of the mildest, if not given.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Change the spec files, too.")] = False,
    since: Since = "30d",
    until: Until = None,
    specs: Specs = SPECS,
    detector: Detectors = None,
    step: Step = None,
    max_series: MaxSeries = 50,
    output: Output = Format.SIMPLE,
    promtool: Promtool = "promtool",
    bearer_token_file: BearerTokenFile = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Find the sigma by which each detector would have paged as often as wanted, and show the change to its spec."""
    from receiver.commands.terminal import complain, say_json

    chosen = chosen_detectors(specs, detector)
    for _, each in chosen:
        if severity is not None and severity not in each.severity:
            raise typer.BadParameter(
                f'{each.name} has no severity "{severity}"; it has {", ".join(each.severity)}', param_hint="--severity"
            )
    wanted = wanted_past(since=since, until=until, step=step, max_series=max_series, promtool=promtool)
    with live_prometheus(
        prometheus,
        bearer_token_file=bearer_token_file,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
    ) as live:
        proposals = _ask(live, chosen, wanted, pages_per_week, severity)
    if not proposals:
        complain(f"{prometheus}: has no value of any of these detectors in this time; try their expr in its console")
        raise typer.Exit(1)
    files = _files(proposals)
    if output is Format.JSON:
        say_json({"detectors": [_as_json(each) for each in proposals], "diff": _diff(files)})
    else:
        _tell(proposals, _diff(files))
    if write:
        _write(files)


def _ask(
    live: "LivePrometheus",
    chosen: "list[tuple[Spec, Detector]]",
    wanted: "Wanted",
    pages_per_week: float,
    severity: str | None,
) -> "list[Proposal]":
    from receiver.commands.rules.progress import progress
    from receiver.rulegen.backtest import read
    from receiver.rulegen.tune import tune as search

    proposals = []
    with progress([detector.name for _, detector in chosen]) as told:
        for spec, detector in chosen:
            with read(live, detector, wanted) as past:
                if not past.series:
                    continue
                proposals.append(
                    search(
                        spec,
                        past,
                        wanted,
                        pages_per_week=pages_per_week,
                        severity=severity,
                        on_progress=told(detector.name),
                    )
                )
    return proposals


def _files(proposals: "list[Proposal]") -> dict[Path, tuple[str, str]]:
    """The text of each spec file, and what it becomes."""
    from receiver.rulegen.spec_text import changed

    files = {}
    for path in dict.fromkeys(each.spec.path for each in proposals):
        text = path.read_text()
        numbers = {each.index: each.changes for each in proposals if each.spec.path == path and each.changes}
        files[path] = (text, changed(text, numbers))
    return files


def _diff(files: dict[Path, tuple[str, str]]) -> str:
    return "".join(
        line
        for path, texts in files.items()
        for before, after in [[text.splitlines(keepends=True) for text in texts]]
        for line in difflib.unified_diff(before, after, str(path), str(path))
    )


def _write(files: dict[Path, tuple[str, str]]) -> None:
    from receiver.commands.terminal import complain
    from receiver.errors import AmendError

    for path, (before, after) in files.items():
        if before == after:
            continue
        try:
            path.write_text(after)
        except OSError as error:
            raise AmendError(f"{path}: cannot be written: {error.strerror}") from error
        complain(f"{path}: changed; run `amend rules generate`")


# ── for people ──


def _tell(proposals: "list[Proposal]", diff: str) -> None:
    from receiver.commands.terminal import say, say_table

    columns = ("detector", "severity", "sigma", "a week", "wanted", "better", "a week then", "likely")
    say_table(columns, [_row(each) for each in proposals])
    for each in proposals:
        if not each.reached:
            say(f"{each.now.detector.name}: {_advice(each)}")
    if diff:
        say("")
        for line in diff.splitlines():
            say(line)


def _row(proposal: "Proposal") -> tuple[object, ...]:
    best = proposal.best
    low, high = best.range
    return (
        best.detector.name,
        proposal.severity,
        f"{proposal.now.detector.sigma:g}",
        *(
            (
                f"{proposal.now.a_week:.1f}",
                f"{proposal.wanted:g}",
                f"{best.detector.sigma:g}" if proposal.changes else "as it is",
                f"{best.a_week:.1f}",
                f"{low:.1f} to {high:.1f}",
            )
            if proposal.now.judged
            else ("?", f"{proposal.wanted:g}", "?", "?", "?")
        ),
    )


def _advice(proposal: "Proposal") -> str:
    if not proposal.now.judged:
        return "nothing was judged: its history is too short for its window; ask again when there is more of it"
    if proposal.best.a_week < proposal.wanted and proposal.bounded:
        return "a band between the two that were tried may do; a longer time (--since) tells more"
    if proposal.best.a_week > proposal.wanted:
        return "a wider band alone does not do it; try a longer `for`, a larger `min_deviation`, or `only_if`"
    return "a narrower band does not page more often; there may be nothing to page for"


# ── for programs ──


def _as_json(proposal: "Proposal") -> dict[str, Any]:
    return {
        "detector": proposal.best.detector.name,
        "spec": str(proposal.spec.path),
        "severity": proposal.severity,
        "wanted_pages_per_week": proposal.wanted,
        "reached": proposal.reached,
        "now": _try_as_json(proposal.now),
        "proposed": _try_as_json(proposal.best),
        "tries": [_try_as_json(each) for each in proposal.tries],
    }


def _try_as_json(tried: "Try") -> dict[str, Any]:
    low, high = tried.range
    return {
        "sigma": tried.detector.sigma,
        "severity": dict(tried.detector.severity),
        "pages": tried.pages,
        "pages_per_week": tried.a_week,
        "likely_pages_per_week": [low, high],
    }
