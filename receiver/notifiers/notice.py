"""What a notification tells, whichever way it goes: a message, and the facts that a good one shows beside it.

telling.py makes it of a run, whoever else tells something makes it of a message; each notifier shows what it can.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a notice is for."""

    TOLD = "told"  #: that something happened
    OVER = "over"  #: that something that was told is over
    ASKED = "asked"  #: a question, which somebody is to answer
    GATHERED = "gathered"  #: what a receiver was spared for a while, in one


@dataclass(frozen=True)
class Deed:
    """One step that was done, or tried."""

    verb: str
    status: str
    said: str = ""  #: the result, or the error, in words

    def __str__(self) -> str:
        return f"{self.verb}: {self.status}{f' – {self.said}' if self.said else ''}"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, and until when."""

    steps: tuple[str, ...]  #: what would be done
    on_failure: tuple[str, ...]  #: what follows if that does not help
    why: str  #: why people are asked
    until: datetime
    digest: str  #: of all that is shown
    token: str  #: what a button answers with; empty where no click would reach us


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is told: a message, and what it is about."""

    message: str
    link: str  #: to the run's page, or where one answers; empty without an external_url
    run: Mapping[str, Any]
    labels: Mapping[str, str]
    kind: Kind = Kind.TOLD
    title: str = ""  #: what happened, in a few words
    alert: str = ""  #: its name
    severity: str = ""
    summary: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)  #: what the alert measured
    done: tuple[Deed, ...] = ()
    outcome: str = ""
    key: str = ""  #: what makes two notices be about the same thing
    question: Question | None = None
    gathered: tuple[str, ...] = ()  #: the messages of those that were gathered, the oldest first
    count: int = 1  #: how many messages it stands for

    @property
    def headline(self) -> str:
        """The title, or the beginning of the message."""
        return self.title or " ".join(self.message.split())

    @property
    def about(self) -> dict[str, str]:
        """The run in words that people read."""
        return {"run" if name == "id" else name: str(value) for name, value in self.run.items()}
