"""What a run is about to do: the steps of its playbook with their arguments filled in.

The guards show it to people who must agree, and the pipeline carries it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from receiver.case import LATER, Case
from receiver.playbook import Step
from receiver.render import Unrenderable
from receiver.run import Phase, Reason


@dataclass(frozen=True)
class Planned:
    """A step with its arguments filled in, and its place among the others."""

    step: Step
    arguments: BaseModel
    phase: Phase
    position: int

    def shown(self) -> dict[str, Any]:
        return {
            "verb": self.step.verb,
            "arguments": self.arguments.model_dump(mode="json", exclude_unset=True, by_alias=True),
        }


def plan(case: Case, steps: Sequence[Step], *, phase: Phase) -> list[Planned]:
    """Every step's arguments, filled in before the first is carried out; Refusal when one cannot be."""
    context = case.context
    try:
        return [Planned(step, step.arguments(context), phase, position) for position, step in enumerate(steps)]
    except Unrenderable as error:
        raise case.refuse(Reason.GUARD_ERROR, f"a step cannot be filled in: {error}", retry_in=LATER) from error
