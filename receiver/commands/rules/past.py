"""What the commands that judge the past have in common: which time, which detectors, and how finely."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from receiver.rulegen.backtest import Wanted
    from receiver.rulegen.spec import Detector, Spec

Since = Annotated[str, typer.Option(metavar="DURATION", help="How much of the past is judged.")]
Until = Annotated[
    str | None, typer.Option(metavar="TIME", help="Where it ends, such as 2026-03-02T12:00:00Z; now, if not given.")
]
Detectors = Annotated[
    list[str] | None, typer.Option("--detector", metavar="NAME", help="This detector alone; repeatable.")
]
Step = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Between two moments that are judged; at most 5m. Shorter is slower."),
]
MaxSeries = Annotated[
    int, typer.Option("--max-series", min=1, help="Of each detector; chance picks them where there are more.")
]


def chosen_detectors(specs: Path, names: Sequence[str] | None) -> "list[tuple[Spec, Detector]]":
    """Those with these names, or all; wrong usage, where there is none of that name."""
    from receiver.documents import did_you_mean
    from receiver.rulegen.generate import load_specs

    found = {detector.name: (spec, detector) for spec in load_specs(specs).specs for detector in spec.detectors}
    for name in names or ():
        if name not in found:
            raise typer.BadParameter(
                f'no spec in {specs} has a detector "{name}"{did_you_mean(name, list(found))}', param_hint="--detector"
            )
    return [found[name] for name in dict.fromkeys(names or found)]


def wanted_past(*, since: str, until: str | None, step: str | None, max_series: int, promtool: str) -> "Wanted":
    """The options as the library takes them; the command ends with 2 where there is no promtool."""
    from receiver.commands.terminal import complain
    from receiver.rulegen.backtest import LONGEST_STEP, Wanted
    from receiver.rulegen.tester import NoPromtool, find_promtool

    apart = _duration(step, "--step") if step else None
    if apart and (apart > LONGEST_STEP or apart % timedelta(seconds=1)):
        raise typer.BadParameter(f"{step}: take whole seconds, and at most 5m", param_hint="--step")
    try:
        program = find_promtool(promtool)
    except NoPromtool as error:
        complain(str(error))
        raise typer.Exit(2) from error
    return Wanted(
        since=_duration(since, "--since"),
        until=_moment(until, "--until") if until else datetime.now(UTC),
        step=apart,
        most=max_series,
        promtool=program,
    )


def _duration(text: str, option: str) -> timedelta:
    from receiver.durations import parse_duration

    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if not duration:
        raise typer.BadParameter("must be longer than nothing; write for example 5m", param_hint=option)
    return duration


def _moment(text: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f'"{text}" is not a time; write for example 2026-03-02T12:00:00Z', param_hint=option
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
