"""`amend playbooks backtest`: what playbooks would have done about the alerts that really came."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from receiver.commands.options import Config, Format, Output, examples
from receiver.commands.terminal import say, say_json

if TYPE_CHECKING:
    from receiver.marker import Marker
    from receiver.playbook import Playbook
    from receiver.rehearsal.backtest import Act, Tally
    from receiver.settings import Settings

EXAMPLES = examples(
    "amend playbooks backtest",
    "amend playbooks backtest --since 14d playbooks/http.yml",
    "amend playbooks backtest --prometheus http://127.0.0.1:9090 playbooks/http.yml",
)

SHOWN = 10  #: acts of one playbook that people are shown, the latest

SIMULATED = (
    "every target is taken to exist, to be allowed and to be well, and nothing that is done has an effect: an alert "
    "ends when it really ended, which counts as fixed within the time of verify"
)
WITHOUT_NUMBERS = "ALERTS has no numbers: conditions are taken to be true"
WITHOUT_MARKERS = "Prometheus knows no deployment markers: what asks deployed_within never acts"
WITHOUT_PROMETHEUS = "without a Prometheus only_if and verify.query are taken to be true"


def backtest(
    files: Annotated[list[Path] | None, typer.Argument(help="Playbook files; those of amend.yml without any.")] = None,
    config: Config = Path("amend.yml"),
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far back.")] = "30d",
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Take the alerts from this Prometheus, not from the store.")
    ] = None,
    *,
    agreed: Annotated[bool, typer.Option("--agreed", help="As if people said yes to everything at once.")] = False,
    output: Output = Format.SIMPLE,
) -> None:
    """Tell what playbooks would have done about the alerts that really came: how often, on what, and why not."""
    from receiver import logs
    from receiver.rehearsal.backtest import questions

    logs.configure(style="console", level="error", file=None)  # what is played here is not what happened
    settings = _settings(config, needed=not (files and prometheus))
    playbooks = _playbooks(files, settings, config)
    notes = [SIMULATED]
    if prometheus:
        notes += [WITHOUT_NUMBERS] if any(each.condition for each in playbooks) else []
        notes += [WITHOUT_MARKERS] if any(each.deployed_within for each in playbooks) else []
        playbooks = [each.model_copy(update={"condition": None}) for each in playbooks]
    elif not (settings and settings.prometheus):
        notes += [WITHOUT_PROMETHEUS] if questions(playbooks) else []
    with tempfile.TemporaryDirectory(prefix="amend-backtest-") as directory:
        tallies, alerts = asyncio.run(
            _play(playbooks, settings, Path(directory), since=since, prometheus=prometheus, agreed=agreed)
        )
    if output is Format.JSON:
        say_json({"alerts": alerts, "notes": notes, "playbooks": [_json(each) for each in tallies]})
        return
    say(f"{alerts} deliveries of alerts in the last {since}")
    for tally in tallies:
        _say(tally)
    for note in notes:
        say(f"Note: {note}.")


def _settings(config: Path, *, needed: bool) -> "Settings | None":
    from receiver.settings import read

    return read(config) if needed or config.exists() else None


def _playbooks(files: Sequence[Path] | None, settings: "Settings | None", config: Path) -> "list[Playbook]":
    from receiver.actions import VERBS
    from receiver.errors import ConfigError
    from receiver.playbook import read_all
    from receiver.settings import playbook_files

    paths = list(files or ())
    if not paths and settings:
        paths = playbook_files(settings, config.parent)
    if not paths:
        raise ConfigError(config, None, "names no playbooks; add them, or name files on the command line")
    return read_all(paths, VERBS)


async def _play(
    playbooks: "list[Playbook]",
    settings: "Settings | None",
    directory: Path,
    *,
    since: str,
    prometheus: str | None,
    agreed: bool,
) -> "tuple[list[Tally], int]":
    from receiver.durations import parse_duration
    from receiver.prometheus import Prometheus
    from receiver.rehearsal.backtest import backtest
    from receiver.rehearsal.history import of_prometheus, of_store
    from receiver.settings.limits import Limits

    try:
        begin = datetime.now(UTC) - parse_duration(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    asked = (
        _address(prometheus)
        if prometheus
        else (str(settings.prometheus.url) if settings and settings.prometheus else None)
    )
    real = Prometheus(asked) if asked else None
    try:
        markers: list[Marker] = []
        if prometheus:
            assert real
            events = await of_prometheus(real, since=begin, until=datetime.now(UTC))
        else:
            assert settings
            events, markers = of_store(settings.store.url.get_secret_value(), since=begin)
        with _progress(len(events)) as told:
            tallies = await backtest(
                playbooks,
                events,
                directory,
                limits=settings.limits if settings else Limits(),
                identity=settings.identity if settings else None,
                markers=markers,
                prometheus=real,
                agreed=agreed,
                progress=told,
            )
        return tallies, len(events)
    finally:
        if real:
            await real.close()


def _address(url: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from receiver.settings.values import OpenUrl

    try:
        return str(TypeAdapter(OpenUrl).validate_python(url))
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise typer.BadParameter(
            f"{said}; write for example http://127.0.0.1:9090", param_hint="--prometheus"
        ) from None


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    from receiver.commands.rules.progress import progress

    with progress(["playing"]) as part:
        told = part("playing")
        yield lambda done: told(done / max(1, total))


def _say(tally: "Tally") -> None:
    name, times = tally.playbook.name, len(tally.acts)
    if not tally.runs:
        say(f"{name}: no alert fitted")
        return
    where = f" on {len(tally.targets)} targets, at most {tally.most_targets_in_an_hour} an hour" if times else ""
    asked = f"; people would have been asked {tally.asked} times" if tally.asked else ""
    say(f"{name}: would have acted {times} times{where}{asked}")
    if tally.skips:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.skips.items())
        say(f"  {sum(tally.skips.values())} skips: {reasons}")
    for act in tally.acts[-SHOWN:]:
        say(f"  {act.at:%Y-%m-%d %H:%M:%S}  {act.target}: {', '.join(act.did)} ({act.outcome})")
    if times > SHOWN:
        say(f"  … and {times - SHOWN} before them")


def _json(tally: "Tally") -> dict[str, Any]:
    return {
        "playbook": tally.playbook.name,
        "runs": tally.runs,
        "acted": len(tally.acts),
        "asked": tally.asked,
        "targets": sorted(tally.targets),
        "most_targets_in_an_hour": tally.most_targets_in_an_hour,
        "skips": dict(tally.skips),
        "acts": [_act(act) for act in tally.acts],
    }


def _act(act: "Act") -> dict[str, Any]:
    return {"at": act.at.isoformat(), "target": act.target, "did": list(act.did), "outcome": act.outcome}
