"""Why it did or did not act, in plain sentences made from runs and the audit log.

The API's `explain` and the pages tell decisions with these words. A part that a row does not hold is left unsaid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.audit import Entry, Kind
from receiver.run import Reason, Run, Status
from receiver.store import episodes, log, runs

EPISODES = 10  #: of an alert, the newest
ROWS = 100  #: of an episode or a run, the newest

SAID: Mapping[str, str] = {
    Kind.STARTED: "the receiver started on configuration {config}",
    Kind.RELOADED: "configuration {config} is in force",
    Kind.RELOAD_REFUSED: "new configuration was refused, the old one stays: {error}",
    Kind.EPISODE_OPENED: "{alertname} fired",
    Kind.EPISODE_REOPENED: "{alertname} fired again soon after it had ended: the same episode goes on",
    Kind.EPISODE_CLOSED: "{alertname} ended: {closing}",
    Kind.NO_MATCH: "nothing was done about {alertname}, no_match: no playbook's matchers fit its labels",
    Kind.ALERT_STALE: "a late firing of {alertname} was not acted on: it is over",
    Kind.SKIPPED: "skipped, {reason}: {detail}{again}",
    Kind.OBSERVED: "observed: {asking}would have done {plan}{on}",
    Kind.APPROVAL_ASKED: "asks whether to do {plan}{on}, until {until}: {why}",
    Kind.APPROVED: "{by} agreed{comment}",
    Kind.REJECTED: "{by} said no{comment}",
    Kind.CANCELLED: "cancelled by {by}{comment}",
    Kind.INTENT: "begins {verb}{on}",
    Kind.STEP_DONE: "{verb}{on} is done",
    Kind.STEP_FAILED: "{verb} failed: {error}",
    Kind.STEP_UNKNOWN: "nobody knows whether {verb} was done: {error}",
    Kind.INTERRUPTED: "the process that was acting is gone; cut off: {cut_off}",
    Kind.LATE_EFFECT: "{verb} was told of too late, after another process had taken the run over: {status}",
    Kind.VERIFYING: "the steps are done; looking whether they helped, until {until}",
    Kind.FINISHED: "{outcome}: {detail}",
    Kind.PAUSED: "paused: no action starts anywhere{because}",
    Kind.RESUMED: "resumed: actions start again, and failures before are forgiven{because}",
    Kind.BREAKER_OPENED: "the breaker opened: {why}",
    Kind.BREAKER_CLOSED: "the breaker closed: actions start again",
    Kind.TRIGGERED: "{by} made up the alert {alertname}, which is answered like any other",
    Kind.DEPLOYED: "deployment of {service}: {version} {status}",
    Kind.WATCHDOG_SILENT: "the alert {alertname}, which always fires, has not come: nothing may arrive any more",
    Kind.WATCHDOG_BACK: "the alert {alertname} comes again",
    Kind.PRUNED: "{entries} rows, up to row {through}, were removed by age",
}

STANDING: Mapping[Status, str] = {
    Status.MATCHED: "matched, not decided yet",
    Status.SKIPPED: "skipped, {reason}: {detail}{again}",
    Status.WAITING: "waits for an approval: {detail}",
    Status.QUEUED: "allowed to act, waiting for its turn",
    Status.ACTING: "is acting{on}",
    Status.VERIFYING: "acted{on}; looking whether it helped",
    Status.DONE: "{outcome}: {detail}",
    Status.CANCELLED: "cancelled before it acted: {detail}",
}


@dataclass(frozen=True)
class Sentence:
    """One decision or deed."""

    at: datetime
    text: str
    run_id: int | None
    episode_id: int | None

    def as_json(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "run": self.run_id, "episode": self.episode_id, "text": self.text}


def about_run(connection: sa.Connection, run_id: int) -> list[Sentence]:
    """What was decided and done in a run, newest first; nothing when there is no such run."""
    run = runs.get(connection, run_id)
    if run is None:
        return []
    entries = log.page(connection, limit=ROWS, run_id=run_id)
    return _sentences(entries) or [_undecided(run)]


def about_labels(connection: sa.Connection, labels: Mapping[str, str]) -> list[Sentence]:
    """What became of alerts that carry all of the labels, newest first; nothing when none was received."""
    found: list[Entry] = []
    undecided: list[Sentence] = []
    for episode in episodes.page(connection, limit=EPISODES, labels=labels):
        found += log.page(connection, limit=ROWS, episode_id=episode.id)
        undecided += map(_undecided, runs.page(connection, limit=ROWS, status=Status.MATCHED, episode_id=episode.id))
    return undecided + _sentences(sorted(found, key=lambda entry: entry.seq, reverse=True))


def sentence(entry: Entry) -> str:
    """One row of the audit log, in words."""
    words = _Words(_words({"by": entry.actor, **entry.data}, at=entry.at))
    said = SAID.get(str(entry.kind), str(entry.kind)).format_map(words)
    if entry.run_id is None:
        return said
    return f"run {entry.run_id} of {entry.data.get('playbook', 'a playbook')}: {said}"


def standing(run: Run) -> str:
    """Where a run stands now, in words."""
    words = {
        "reason": run.reason or "",
        "detail": run.detail,
        "outcome": run.outcome,
        "target": run.workload,
        "retry_at": run.wake_at and run.wake_at.isoformat(),
    }
    return STANDING[run.status].format_map(_Words(_words(words, at=run.updated_at)))


class _Words(dict[str, str]):
    def __missing__(self, _: str) -> str:
        return "(not recorded)"


def _undecided(run: Run) -> Sentence:
    return Sentence(run.updated_at, f"run {run.id} of {run.playbook}: {standing(run)}", run.id, run.episode_id)


def _sentences(entries: Sequence[Entry]) -> list[Sentence]:
    return [Sentence(entry.at, sentence(entry), entry.run_id, entry.episode_id) for entry in entries]


def _words(data: Mapping[str, Any], *, at: datetime) -> dict[str, str]:
    """What SAID and STANDING may name; a row's values are data and never read as a template."""
    words = {name: _plain(value) for name, value in data.items() if value not in (None, "", [], {})}
    labels = data.get("labels")
    if "alertname" not in words and isinstance(labels, Mapping) and labels.get("alertname"):
        words["alertname"] = str(labels["alertname"])
    retry_at = _moment(data.get("retry_at"), at)
    when = "when somebody resumes" if words.get("reason") == Reason.PAUSED else f"at {retry_at}"
    words["again"] = f"; decided again {when}" if retry_at else ""
    words["asking"] = f"would have asked people ({words['asks']}), then " if "asks" in words else ""
    words["plan"] = ", ".join(_plain(step) for step in data.get("steps") or []) or "nothing"
    words["until"] = _moment(data.get("until"), at) or "its deadline"
    words["because"] = f": {words['why']}" if "why" in words else ""
    words["comment"] = f": {words['comment']}" if "comment" in words else ""
    words["on"] = f" on {words['target']}" if "target" in words else ""
    return words


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name") or value.get("key") or value.get("verb") or dict(value))
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)


def _moment(text: object, at: datetime) -> str:
    """`12:05:30 UTC`, with the date when that is another day than the decision's."""
    try:
        moment = datetime.fromisoformat(str(text)).astimezone(at.tzinfo)
    except ValueError:
        return ""
    return moment.strftime("%H:%M:%S UTC" if moment.date() == at.date() else "%Y-%m-%d %H:%M:%S UTC")
