"""What is known around an alert when somebody is asked about it: its numbers, deployments, earlier runs, log lines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from receiver.conventions import NUMBERS
from receiver.deployments import Deployments, names
from receiver.marker import Marker
from receiver.run import Episode, Run
from receiver.store import Ledger, runs
from receiver.workload import Workload

DEPLOYMENTS = 5  #: the latest
RUNS = 10
LONGEST = 500  #: characters of a label, an annotation or a log line
OUTCOMES = timedelta(days=30)  #: how far back runs tell something


@dataclass(frozen=True, kw_only=True)
class Past:
    """An earlier run for an alert of this name."""

    playbook: str
    did: tuple[str, ...]
    outcome: str
    target: str | None
    at: str


@dataclass(frozen=True, kw_only=True)
class Deployed:
    service: str
    version: str
    status: str
    minutes_before_the_alert: int


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that whoever is asked gets to see."""

    alertname: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    numbers: Mapping[str, str]
    firing_since: str
    target: str | None
    deployments: tuple[Deployed, ...]
    runs: tuple[Past, ...]
    logs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def gather(
    ledger: Ledger,
    deployments: Deployments,
    episode: Episode,
    workload: Workload | None,
    *,
    now: datetime,
    besides: int,
    logs: Sequence[str] = (),
) -> Situation:
    """From the ledger; the run that asks, `besides`, is none of the earlier ones."""
    service = episode.labels.get("service")
    called = (names(workload) if workload else set()) | ({service} if service else set())
    markers = await deployments.of(called) if called else []
    known = await ledger.read(lambda c: runs.page(c, limit=RUNS + 1, labels={"alertname": episode.alertname}))
    earlier = [run for run in known if run.id != besides and run.steps and now - run.created_at <= OUTCOMES]
    return Situation(
        alertname=episode.alertname,
        labels=_brief(episode.labels),
        annotations=_brief(episode.annotations),
        numbers={name: episode.annotations[name] for name in NUMBERS if name in episode.annotations},
        firing_since=episode.starts_at.isoformat(),
        target=workload.key if workload else None,
        deployments=tuple(_deployed(marker, episode.starts_at) for marker in markers[:DEPLOYMENTS]),
        runs=tuple(_past(run) for run in earlier[:RUNS]),
        logs=tuple(line[:LONGEST] for line in logs),
    )


def _deployed(marker: Marker, began: datetime) -> Deployed:
    return Deployed(
        service=marker.service,
        version=marker.version,
        status=marker.status,
        minutes_before_the_alert=round((began - marker.at).total_seconds() / 60),
    )


def _past(run: Run) -> Past:
    return Past(
        playbook=run.playbook,
        did=tuple(step.verb for step in run.steps),
        outcome=run.outcome,
        target=run.workload,
        at=run.created_at.isoformat(),
    )


def _brief(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text[:LONGEST] for name, text in texts.items()}
