"""`amend rules backtest`: when would each detector have paged, on the history that a running Prometheus keeps?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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
    from receiver.rulegen.backtest import Verdict, Wanted
    from receiver.rulegen.incidents import Incident, Quality
    from receiver.rulegen.live import LivePrometheus
    from receiver.rulegen.spec import Detector, Spec

EXAMPLES = examples(
    "amend rules backtest --prometheus http://127.0.0.1:9090",
    "amend rules backtest --prometheus http://127.0.0.1:9090 --since 7d --detector http_latency_p95",
    "amend rules backtest --prometheus http://127.0.0.1:9090 --labels incidents.yml --report backtest.html",
)

SHOWN = 40  #: pages in the list for people


@dataclass(frozen=True)
class Injections:
    """Made-up anomalies."""

    each: int  #: of every kind and size
    seed: int


def backtest(
    *,
    prometheus: PrometheusUrl,
    since: Since = "30d",
    until: Until = None,
    specs: Specs = SPECS,
    detector: Detectors = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Incidents that should have paged (.yml, .json or .csv).")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one HTML file with each series that had pages.")
    ] = None,
    inject: Annotated[
        int,
        typer.Option(min=0, help="Also replay so many made-up anomalies of each kind and size."),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Chooses where they are; the same ones each time.")] = 0,
    step: Step = None,
    max_series: MaxSeries = 200,
    output: Output = Format.SIMPLE,
    promtool: Promtool = "promtool",
    bearer_token_file: BearerTokenFile = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Tell when each detector would have paged in the past. The generated rules judge, in Prometheus' own engine."""
    from receiver.commands.terminal import complain, say_json
    from receiver.rulegen.incidents import load_incidents

    chosen = chosen_detectors(specs, detector)
    incidents = load_incidents(labels, (detector for _, detector in chosen)) if labels else None
    wanted = wanted_past(since=since, until=until, step=step, max_series=max_series, promtool=promtool)
    with live_prometheus(
        prometheus,
        bearer_token_file=bearer_token_file,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
    ) as live:
        verdicts = _judge(live, chosen, wanted, Injections(inject, seed))
    if output is Format.JSON:
        say_json(_as_json(verdicts, wanted, incidents))
    else:
        _tell(verdicts, wanted, incidents)
    if report:
        _write(report, verdicts, wanted, incidents)
    if not any(verdict.watched for verdict in verdicts):
        complain(f"{prometheus}: has no value of any of these detectors in this time; try their expr in its console")
        raise typer.Exit(1)


def _judge(
    live: "LivePrometheus", chosen: "list[tuple[Spec, Detector]]", wanted: "Wanted", injections: "Injections"
) -> "list[Verdict]":
    from receiver.commands.rules.progress import progress
    from receiver.rulegen.backtest import judge, notes_on, read
    from receiver.rulegen.injection import measure

    verdicts = []
    with progress([detector.name for _, detector in chosen]) as told:
        for spec, detector in chosen:
            on_progress = told(detector.name)
            with read(live, detector, wanted, on_progress=_between(on_progress, 0, 0.3)) as past:
                judged = 0.6 if injections.each else 1.0
                notes = notes_on(live, past, wanted)
                verdict = judge(spec, past, wanted, notes=notes, on_progress=_between(on_progress, 0.3, judged))
                if injections.each:
                    shown = _between(on_progress, judged, 1)
                    found = measure(
                        spec, past, verdict, wanted, each=injections.each, seed=injections.seed, on_progress=shown
                    )
                    verdict = replace(verdict, injected=found)
                verdicts.append(verdict)
    return verdicts


def _between(on_progress: Callable[[float], None], begin: float, end: float) -> Callable[[float], None]:
    return lambda share: on_progress(begin + (end - begin) * share)


def _write(path: Path, verdicts: "list[Verdict]", wanted: "Wanted", incidents: "Sequence[Incident] | None") -> None:
    from receiver.commands.terminal import complain
    from receiver.errors import AmendError
    from receiver.rulegen.report import report

    try:
        path.write_text(report(verdicts, wanted, incidents), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise AmendError(f"{path}: cannot be written: {error.strerror}") from error
    complain(f"{path}: written")


# ── for people ──


def _tell(verdicts: "list[Verdict]", wanted: "Wanted", incidents: "Sequence[Incident] | None") -> None:
    from receiver.commands.terminal import say, say_table
    from receiver.durations import format_duration

    begin = wanted.until - wanted.since
    say(f"{format_duration(wanted.since)} from {begin:%Y-%m-%d %H:%M} to {wanted.until:%Y-%m-%d %H:%M} UTC")
    say("")
    columns = ["detector", "severity", "pages", "a week", "time up", "longest"]
    if incidents is not None:
        columns += ["found", "precision", "recall", "F1", "delay"]
    say_table([*columns, "judged"], [row for verdict in verdicts for row in _rows(verdict, incidents)])
    for verdict in verdicts:
        for note in (*verdict.notes, *_not_judged(verdict)):
            say(f"{verdict.detector.name}: {note}")
    injected = [row for verdict in verdicts for row in _injected(verdict)]
    if injected:
        say("")
        say_table(("injected", "size", "detector", "number", "found in 1h", "found", "delay"), injected)
    pages = sorted((page for verdict in verdicts for page in _worst(verdict)), key=lambda row: row[0])
    if pages:
        say("")
        say_table(("page", "lasted", "severity", "detector", "series"), [row[1:] for row in pages[-SHOWN:]])
    if len(pages) > SHOWN:
        say(f"… and {len(pages) - SHOWN} before these; -o json has them all")


def _rows(verdict: "Verdict", incidents: "Sequence[Incident] | None") -> list[tuple[object, ...]]:
    from receiver.durations import format_duration

    return [
        (
            verdict.detector.name,
            each.severity,
            each.pages,
            f"{each.a_week:.1f}",
            f"{each.time_up:.2%}",
            format_duration(each.longest) if each.pages else "",
            *(_held_against(verdict.quality(each.severity, incidents)) if incidents is not None else ()),
            _judged(verdict),
        )
        for each in verdict.figures
    ]


def _held_against(quality: "Quality | None") -> tuple[str, ...]:
    from receiver.durations import format_duration

    if quality is None:
        return ("none", "", "", "", "")
    shares = (quality.precision, quality.recall, quality.f1)
    return (
        f"{quality.found} of {quality.incidents}",
        *("" if share is None else f"{share:.2f}" for share in shares),
        "" if quality.delay is None else format_duration(quality.delay),
    )


def _injected(verdict: "Verdict") -> list[tuple[object, ...]]:
    from receiver.durations import format_duration

    return [
        (
            each.kind,
            "" if each.size is None else f"{each.size:g}",
            verdict.detector.name,
            each.injected,
            each.found_soon,
            each.found,
            "" if each.delay is None else format_duration(each.delay),
        )
        for each in verdict.injected
    ]


def _judged(verdict: "Verdict") -> str:
    known = verdict.total("known")
    series = f"{len(verdict.watched)} series"
    return f"{series}, {verdict.total('judged') / known:.0%} of their time" if known else "no data"


def _not_judged(verdict: "Verdict") -> list[str]:
    """Why part of the time was not judged, where it is worth a word."""
    known, idle = verdict.total("known"), verdict.total("idle")
    cold = known - idle - verdict.total("judged")
    told = []
    if idle:
        told.append(f"{idle / known:.0%} of the time only_if did not hold")
    if known and cold > known / 100:
        told.append(f"{cold / known:.0%} of the time too little was known to judge")
    return told


def _worst(verdict: "Verdict") -> list[tuple[datetime, str, str, str, str, str]]:
    """Each episode once, with the highest severity that it reached."""
    from receiver.durations import format_duration

    order = list(verdict.detector.severity)
    rows = []
    for page in verdict.pages:
        if page.severity != order[0]:
            continue
        reached = [
            other.severity
            for other in verdict.pages
            if other.series == page.series and page.start <= other.start < page.end
        ]
        highest = max(reached, key=order.index)
        labels = " ".join(f"{name}={value}" for name, value in page.series)
        moment = f"{page.start:%Y-%m-%d %H:%M:%S}"
        rows.append((page.start, moment, format_duration(page.lasted), highest, verdict.detector.name, labels))
    return rows


# ── for programs ──


def _as_json(verdicts: "list[Verdict]", wanted: "Wanted", incidents: "Sequence[Incident] | None") -> dict[str, Any]:
    return {
        "from": (wanted.until - wanted.since).isoformat(),
        "until": wanted.until.isoformat(),
        "detectors": [_detector_as_json(verdict, incidents) for verdict in verdicts],
    }


def _detector_as_json(verdict: "Verdict", incidents: "Sequence[Incident] | None") -> dict[str, Any]:
    known = verdict.total("known")
    return {
        "detector": verdict.detector.name,
        "spec": str(verdict.spec.path),
        "step_seconds": verdict.grid.step.total_seconds(),
        "series": len(verdict.watched),
        "series_seen": verdict.seen,
        "judged": verdict.total("judged") / known if known else None,
        "below_only_if": verdict.total("idle") / known if known else None,
        "severities": [
            {
                "severity": each.severity,
                "pages": each.pages,
                "pages_per_week": each.a_week,
                "time_up": each.time_up,
                "longest_seconds": each.longest.total_seconds(),
                "against_labels": _quality_as_json(verdict.quality(each.severity, incidents)),
            }
            for each in verdict.figures
        ],
        "pages": [
            {
                "severity": page.severity,
                "start": page.start.isoformat(),
                "end": page.end.isoformat(),
                "labels": dict(page.series),
            }
            for page in verdict.pages
        ],
        "injected": [
            {
                "kind": each.kind,
                "size": each.size,
                "injected": each.injected,
                "found_within_1h": each.found_soon,
                "found": each.found,
                "delay_seconds": None if each.delay is None else each.delay.total_seconds(),
            }
            for each in verdict.injected
        ],
        "notes": list(verdict.notes),
    }


def _quality_as_json(quality: "Quality | None") -> dict[str, Any] | None:
    if quality is None:
        return None
    return {
        "incidents": quality.incidents,
        "found": quality.found,
        "precision": quality.precision,
        "recall": quality.recall,
        "f1": quality.f1,
        "delay_seconds": None if quality.delay is None else quality.delay.total_seconds(),
    }
