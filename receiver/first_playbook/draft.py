"""Everything that is decided about a first playbook, before a word of it is written.

The playbook and its test are both written from it, so that the one fits the other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receiver.first_playbook.aim import Aim, Choice
from receiver.first_playbook.cure import Cure
from receiver.first_playbook.plan import Plan
from receiver.first_playbook.subject import Subject
from receiver.first_playbook.surroundings import Surroundings

SOMEBODY: Final = "team-shop"  #: a receiver's name, where nobody told any


@dataclass(frozen=True, kw_only=True)
class Draft:
    """All that a first playbook and its test are written from."""

    name: str  #: the playbook's
    subject: Subject
    choice: Choice
    cure: Cure
    plan: Plan
    around: Surroundings
    check: str  #: how to check it: `amend check --rules …`
    file: Path
    test: Path

    @property
    def aim(self) -> Aim | None:
        """The target, where something is done to it."""
        return self.choice.aim if self.plan.acts else None

    @property
    def receiver(self) -> str:
        return (*self.around.receivers, SOMEBODY)[0]

    @property
    def other_receiver(self) -> str:
        """Another one where there is one, for what goes wrong."""
        return (*self.around.receivers[1:2], self.receiver)[0]
