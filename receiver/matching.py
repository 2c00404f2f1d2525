"""From stored alerts to episodes, and from episodes to the runs that will answer them.

The worker calls it in one transaction for many alerts: what an alert changes, what is written down about it and which
runs it begins or wakes are committed together.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog

from receiver import metrics
from receiver.audit import Kind
from receiver.identity import Change, Windows, judge
from receiver.matchers import all_match
from receiver.playbook import Playbook
from receiver.run import PASSING, Closing, Episode, Outcome, Reason, Run, Status
from receiver.store import approvals, deliveries, episodes, runs
from receiver.store.deliveries import StoredAlert
from receiver.store.log import Log
from receiver.store.savepoint import savepoint
from receiver.store.writer import is_stores_own

log = structlog.get_logger(__name__)

BATCH = 100  #: alerts in one transaction: deliveries wait for its end

WAITING = (Status.MATCHED, Status.WAITING, Status.QUEUED)
"""Statuses in which the end of the alert ends the run."""

OVERTAKEN = {"firing": Reason.RESOLVED, "resolved": Reason.STALE}
"""By `on`: why a run was skipped whose alert had changed its state before its turn came; it may change back."""


@dataclass(frozen=True)
class Question:
    """A firing that may be a re-fire whose `resolved` was lost: Prometheus knows whether there was a gap."""

    stored: StoredAlert
    episode: Episode


@dataclass
class Batch:
    """What became of one batch."""

    full: bool = False  #: as many as one transaction takes: there may be more
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Matching:
    """The match stage: rules of identity, the playbooks in force, and where to write it down."""

    windows: Windows
    log: Log
    playbooks: Callable[[], Sequence[Playbook]]

    def work_off(
        self, connection: sa.Connection, *, now: datetime, answers: Mapping[int, bool], asking: Collection[str] = ()
    ) -> Batch:
        """Take the oldest waiting alerts, but for the alert keys that Prometheus is being asked about.

        `answers`: by alert id, whether Prometheus saw a gap (or did not say).
        """
        waiting = deliveries.waiting(connection, limit=BATCH, besides=asking)
        if not waiting:
            return Batch()
        try:
            with savepoint(connection), self.log.together(connection):
                return self._take_all(connection, waiting, now=now, answers=answers)
        except Exception as error:  # one alert that we cannot digest must not stop all others: find out which
            if is_stores_own(error):
                raise
            log.exception("alerts are taken one by one")
            return self._take_all(connection, waiting, now=now, answers=answers, apart=True)

    def _take_all(
        self,
        connection: sa.Connection,
        waiting: Sequence[StoredAlert],
        *,
        now: datetime,
        answers: Mapping[int, bool],
        apart: bool = False,
    ) -> Batch:
        """All alerts in order; `apart`, those that cannot be digested are quarantined."""
        batch = Batch(full=len(waiting) == BATCH)
        known = episodes.newest(connection, {stored.alert_key for stored in waiting})
        settled: dict[str, list[int]] = {"applied": [], "stale": []}
        asked: set[str] = set()
        for stored in waiting:
            if stored.alert_key in asked:  # what is asked about one alert decides about those after it
                continue
            try:
                with savepoint(connection) if apart else nullcontext():
                    change = self._take(connection, stored, known=known, now=now, gap=answers.get(stored.id))
            except Exception as error:
                if not apart or is_stores_own(error):
                    raise
                metrics.WORKER_ERRORS.inc()
                log.exception("alert quarantined", alert=stored.id)
                deliveries.settle(connection, [stored.id], state="quarantined", why=f"{type(error).__name__}: {error}")
                continue
            if change is Change.ASK:
                batch.questions.append(Question(stored, known[0][stored.alert_key]))
                asked.add(stored.alert_key)
                continue
            settled["stale" if change is Change.STALE else "applied"].append(stored.id)
        deliveries.settle(connection, settled["applied"], state="applied")
        deliveries.settle(connection, settled["stale"], state="stale", why="about something that is over")
        return batch

    def _take(
        self,
        connection: sa.Connection,
        stored: StoredAlert,
        *,
        known: tuple[dict[str, Episode], dict[str, Episode]],
        now: datetime,
        gap: bool | None,
    ) -> Change:
        """What one alert changes, done; or ASK, and nothing is done until the answer is there."""
        current, last = known
        key = stored.alert_key
        change = judge(stored.alert, current=current.get(key), last=last.get(key), windows=self.windows)
        if change is Change.ASK:
            if gap is None:
                return change
            if gap:
                last[key] = self._lose(connection, current.pop(key), now)
            change = Change.OPEN if gap else Change.REFRESH
        self._apply(connection, change, stored, known=known, now=now)
        return change

    def _apply(
        self,
        connection: sa.Connection,
        change: Change,
        stored: StoredAlert,
        *,
        known: tuple[dict[str, Episode], dict[str, Episode]],
        now: datetime,
    ) -> None:
        current, last = known
        key = stored.alert_key
        match change:
            case Change.OPEN:
                current[key] = episodes.open_(connection, stored)
                self._tell(connection, Kind.EPISODE_OPENED, current[key], now)
                self._answer(connection, current[key], now, on="firing", fresh=True)
            case Change.REOPEN:
                current[key] = episodes.refresh(connection, last.pop(key), stored)
                self._tell(connection, Kind.EPISODE_REOPENED, current[key], now)
                self._answer(connection, current[key], now, on="firing")
            case Change.REFRESH:
                current[key] = episodes.refresh(connection, current[key], stored)
                self._answer(connection, current[key], now, on="firing")
            case Change.CLOSE:
                last[key] = self._close(connection, current.pop(key), now, stored.alert.end, Closing.RESOLVED)
            case Change.REMEMBER:
                last[key] = episodes.remember(connection, stored, last.get(key))
            case Change.STALE if stored.alert.firing:
                self.log.append(
                    connection,
                    Kind.ALERT_STALE,
                    at=now,
                    data={"labels": stored.alert.labels, "starts_at": stored.alert.starts_at.isoformat()},
                )
            case _:
                pass

    def close_orphan(self, connection: sa.Connection, episode: Episode, now: datetime) -> None:
        """End an episode that nobody speaks of any more."""
        self._close(connection, episode, now, None, Closing.ORPHANED)  # nobody said that it ended

    def _lose(self, connection: sa.Connection, episode: Episode, now: datetime) -> Episode:
        return self._close(connection, episode, now, episode.last_seen_at, Closing.LOST)

    def _close(
        self, connection: sa.Connection, episode: Episode, now: datetime, ends_at: datetime | None, closing: Closing
    ) -> Episode:
        closed = episodes.close(connection, episode, at=now, ends_at=ends_at, closing=closing)
        self._tell(connection, Kind.EPISODE_CLOSED, closed, now)
        newest = runs.newest(connection, episode.id)
        hurry = [run.id for run in newest.values() if run.status in (*WAITING, Status.VERIFYING)]
        runs.wake(connection, hurry, at=now)
        runs.rest(connection, [run.id for run in newest.values() if run.status is Status.SKIPPED])
        for run in newest.values():
            if run.status is Status.SKIPPED and run.asked:  # a yes was for the alert as it was
                approvals.revoke(connection, run.id, at=now)
        self._answer(connection, closed, now, on="resolved", newest=newest)
        return closed

    def _answer(
        self,
        connection: sa.Connection,
        episode: Episode,
        now: datetime,
        *,
        on: str,
        fresh: bool = False,
        newest: Mapping[str, Run] | None = None,
    ) -> None:
        """Begin a run of each playbook that fits, or have the one there is decided again."""
        fitting = [each for each in self.playbooks() if all_match(each.matchers, episode.labels)]
        if fresh and not fitting:
            metrics.SKIPS.labels(playbook="", reason=Reason.NO_MATCH).inc()
            self._tell(connection, Kind.NO_MATCH, episode, now)
        known = {} if fresh else newest if newest is not None else runs.newest(connection, episode.id)
        for playbook in fitting:
            run = known.get(playbook.name)
            if playbook.on != on:
                if run and run.status is Status.WAITING:  # what people are asked about is no more
                    runs.wake(connection, [run.id], at=now)
            elif run is None:
                self._begin(connection, episode, playbook, 1, now)
            elif run.status is Status.SKIPPED and (run.reason in PASSING or run.reason is OVERTAKEN[on]):
                runs.wake(connection, [run.id], at=now)
            elif run.status is Status.DONE and (on == "resolved" or _came_back(episode, run)):
                # it ended once more, or came back: a further attempt, if the playbook allows one
                self._begin(connection, episode, playbook, run.attempt + 1, now)

    def _begin(
        self, connection: sa.Connection, episode: Episode, playbook: Playbook, attempt: int, now: datetime
    ) -> None:
        runs.create(
            connection,
            episode_id=episode.id,
            playbook=playbook.name,
            attempt=attempt,
            mode=playbook.mode,
            at=now,
            wake_at=episode.last_seen_at if episode.open else now,
        )

    def _tell(self, connection: sa.Connection, kind: Kind, episode: Episode, now: datetime) -> None:
        data: dict[str, Any] = {
            "alertname": episode.alertname,
            "labels": dict(episode.labels),
            "starts_at": episode.starts_at.isoformat(),
        }
        if not episode.open:
            data |= {"ends_at": episode.ends_at and episode.ends_at.isoformat(), "closing": episode.closing}
        self.log.append(connection, kind, at=now, data=data, episode_id=episode.id)


def _came_back(episode: Episode, run: Run) -> bool:
    """A new start since it was fixed; an alert that `keep_firing_for` holds up is told again with its old one."""
    if run.outcome is not Outcome.FIXED or run.finished_at is None:
        return False
    return episode.last_starts_at > run.finished_at
