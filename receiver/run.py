"""What the ledger is about: episodes of an alert, and the runs of playbooks that answer them.

Everybody above reads these; the states, reasons and outcomes are closed lists, the same words in the audit log, the
metrics, the API and the pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from receiver.errors import AmendError


class Status(StrEnum):
    """Where a run stands."""

    MATCHED = "matched"  #: a playbook's matchers fit; nothing is decided yet
    SKIPPED = "skipped"  #: decided not to act, for a Reason
    WAITING = "waiting_approval"  #: held until a person decides
    QUEUED = "queued"  #: allowed to act, waiting for its turn
    ACTING = "acting"  #: intent is on disk, steps are being carried out
    VERIFYING = "verifying"  #: the steps are done; asking Prometheus whether they helped
    DONE = "done"  #: over, with an Outcome
    CANCELLED = "cancelled"  #: stopped by a person before it acted


OVER = frozenset({Status.SKIPPED, Status.DONE, Status.CANCELLED})
"""Statuses after which nothing follows once the episode is closed."""


class Outcome(StrEnum):
    """What came of a run."""

    FIXED = "fixed"  #: the alert's expression is false, with samples to show it, and the workload is healthy
    NOT_FIXED = "not_fixed"  #: it acted, and the alert is still true
    FAILED = "failed"  #: a step failed
    UNKNOWN = "unknown"  #: cut off in mid-action, or no evidence either way
    OBSERVED = "observed"  #: observe mode: would have acted
    NONE = "none"  #: nothing to tell: not over yet, skipped, or nothing to verify


class Reason(StrEnum):
    """Why not: each decision against acting has exactly one."""

    DISABLED = "disabled"  #: the playbook says `enabled: false`
    RESOLVED = "resolved"  #: the alert was over before its turn came
    STALE = "stale"  #: waited longer than the playbook's `max_age`
    DUPLICATE = "duplicate"  #: another run answers the same thing
    PAUSED = "paused"  #: the kill switch is on
    OUTSIDE_TIME_INTERVAL = "outside_time_interval"  #: not now, says the playbook's calendar
    SILENCED = "silenced"  #: Alertmanager has a silence for it
    CONDITION_FALSE = "condition_false"  #: the playbook's `condition` or `only_if` is false
    NO_DATA = "no_data"  #: `condition` or `only_if` had no number to look at
    NO_TARGET = "no_target"  #: the target names nothing that exists
    TARGET_NOT_ALLOWED = "target_not_allowed"  #: it exists, and is not on the allow-list
    AMBIGUOUS_TARGET = "ambiguous_target"  #: the target names several things
    LOCKED = "locked"  #: another run has the workload
    COOLDOWN = "cooldown"  #: too soon after the last run on this workload
    MAX_ATTEMPTS = "max_attempts"  #: tried as often as the playbook allows
    MAX_TARGETS = "max_targets"  #: the playbook touched as many workloads as it may
    RATE_LIMITED = "rate_limited"  #: a limit over all playbooks is reached
    MIN_HEALTHY = "min_healthy"  #: too few healthy replicas to touch one more
    BREAKER_OPEN = "breaker_open"  #: too many failures lately; everything holds still
    LOW_CONFIDENCE = "low_confidence"  #: this playbook has not earned acting alone
    APPROVAL_REJECTED = "approval_rejected"  #: a person said no
    APPROVAL_TIMEOUT = "approval_timeout"  #: nobody said anything in time
    NO_MATCH = "no_match"  #: no playbook's matchers fit the alert
    GUARD_ERROR = "guard_error"  #: a guard could not be evaluated, and so said no


PASSING = frozenset(
    {
        Reason.LOCKED,
        Reason.COOLDOWN,
        Reason.RATE_LIMITED,
        Reason.MAX_TARGETS,
        Reason.OUTSIDE_TIME_INTERVAL,
        Reason.PAUSED,
        Reason.MIN_HEALTHY,
        Reason.BREAKER_OPEN,
        Reason.SILENCED,
        Reason.CONDITION_FALSE,
        Reason.NO_DATA,
        Reason.GUARD_ERROR,
    }
)
"""Reasons that may pass while the alert lasts: such a run is decided again; the others are final for the episode."""


class Closing(StrEnum):
    """How an episode ended."""

    RESOLVED = "resolved"  #: Alertmanager said so
    LOST = "lost"  #: a later firing shows that the `resolved` in between never arrived
    ORPHANED = "orphaned"  #: nobody has spoken of it for long, and Alertmanager lists it no more


class Phase(StrEnum):
    """Which of a playbook's lists a step is from."""

    STEPS = "steps"  #: to mend it
    ON_FAILURE = "on_failure"  #: when that did not help


class StepStatus(StrEnum):
    """Where one step of a run stands."""

    INTENT = "intent"  #: written down before the call: about to be, or being, carried out
    DONE = "done"  #: the other side confirmed it
    FAILED = "failed"  #: refused, or certainly not done
    UNKNOWN = "unknown"  #: sent, and never heard of again


class Refusal(AmendError):
    """A "no" to a run, with its reason, and what it rests on in words."""

    def __init__(self, reason: Reason, detail: str, *, retry_at: datetime | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.retry_at = retry_at
        super().__init__(f"{reason}: {detail}")


MADE_UP = "trigger"
"""The source of an alert that a person made up: it is never the same alert as one that was delivered."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One stretch of one alert, from its first firing until it closed."""

    id: int
    alert_key: str
    source: str
    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime  #: the earliest start known
    last_starts_at: datetime  #: of the newest delivery
    opened_at: datetime
    last_seen_at: datetime
    ends_at: datetime | None = None  #: the last end we heard of; one that was reopened goes on after it
    closed_at: datetime | None = None
    closing: Closing | None = None

    @property
    def open(self) -> bool:
        return self.closed_at is None

    @property
    def alertname(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One verb of a run, as it was carried out."""

    phase: Phase
    position: int
    verb: str
    status: StepStatus
    arguments: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt of one playbook to answer one episode."""

    id: int
    episode_id: int
    playbook: str
    attempt: int
    mode: str
    status: Status
    created_at: datetime
    updated_at: datetime
    outcome: Outcome = Outcome.NONE
    reason: Reason | None = None
    detail: str = ""
    workload: str | None = None  #: the lock key of what it acts on
    epoch: int = 0  #: counts the claims; only the newest claimant may record
    acted_at: datetime | None = None
    finished_at: datetime | None = None
    wake_at: datetime | None = None  #: when a worker should look at it next
    state: Mapping[str, Any] = field(default_factory=dict)  #: what the next look needs to know
    steps: tuple[Step, ...] = ()

    @property
    def asked(self) -> bool:
        """Whether people were ever asked about it: of most runs nobody need look for an answer."""
        return "asked_since" in self.state
