"""Asking people first: what a playbook says about it, and one request with its answer.

playbook.py reads the rules; approvals.py asks, and takes the answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from receiver.documents import Part
from receiver.durations import Duration


def percent(value: object) -> object:
    """`80%` as 80."""
    if isinstance(value, float) and 0 < value < 1:  # a share, most likely: as a percentage it would ask for nothing
        raise ValueError(f"{value} is less than one percent; write for example 51%")
    if isinstance(value, str) and value.endswith("%"):
        return value.removesuffix("%")
    return value


Percent = Annotated[
    float,
    BeforeValidator(percent),
    Field(ge=0, le=100),
    WithJsonSchema({"type": ["string", "number"], "pattern": "^[0-9.]+%?$", "examples": ["51%"]}),
]


class Autonomy(Part):
    """How well a playbook must have done to act without being asked about."""

    EXAMPLE = "{min_success: 80%}"

    min_success: Annotated[Percent, Field(le=99)] = 80.0  #: least share that helped, of which one can be confident
    min_runs: int = Field(default=5, ge=1)  #: before which it is asked about in any case


class ApprovalRule(Part):
    """When a person must agree before a playbook acts."""

    EXAMPLE = "{}"

    required: Literal["always", "never", "when_active", "low_confidence"] = "always"
    active_time_intervals: tuple[str, ...] = ()  #: for `when_active`
    approvers: tuple[str, ...] = ()  #: teams of amend.yml; anybody with the role approver when empty
    timeout: Duration = timedelta(minutes=10)
    on_timeout: Literal["escalate", "skip"] = "escalate"

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.timeout <= timedelta():
            raise ValueError("timeout must be longer than 0s")
        if (self.required == "when_active") != bool(self.active_time_intervals):
            raise ValueError("required: when_active and active_time_intervals go together; write both, or neither")
        return self


class Answer(StrEnum):
    """What became of a request."""

    APPROVED = "approved"  #: a person agreed
    REJECTED = "rejected"  #: a person said no
    EXPIRED = "expired"  #: nobody said anything in time
    WITHDRAWN = "withdrawn"  #: there is nothing to decide any more, or it is another question by now


@dataclass(frozen=True)
class SlackUser:
    """Somebody who answers in Slack, as Slack says; `str` is how the audit log calls them."""

    id: str  #: never changes, and is what teams list
    name: str

    def __str__(self) -> str:
        return f"slack:{self.id} ({self.name})" if self.name else f"slack:{self.id}"


@dataclass(frozen=True, kw_only=True)
class Approval:
    """One request to people, and what they said."""

    id: int
    run_id: int
    nonce: str  #: part of what its link is signed over
    digest: str  #: of what was shown
    shown: Mapping[str, Any]  #: what is to be done, on what
    approvers: tuple[str, ...]  #: the teams that were asked; when empty, anybody with the role, or in Slack of any team
    asked_at: datetime
    expires_at: datetime
    decision: Answer | None = None
    decided_at: datetime | None = None
    decided_by: str = ""
    comment: str = ""
    used_at: datetime | None = None  #: when a run acted on it: it counts once
