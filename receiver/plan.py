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
    leads_to: str = ""  #: what it comes to, where its arguments leave that open

    def shown(self) -> dict[str, Any]:
        arguments = self.arguments.model_dump(mode="json", exclude_unset=True, by_alias=True)
        found = {"leads_to": self.leads_to} if self.leads_to else {}
        return {"verb": self.step.verb, "arguments": {**arguments, **found}}


def plan(case: Case, steps: Sequence[Step], *, phase: Phase) -> list[Planned]:
    """Every step's arguments, filled in before the first is carried out; Refusal when one cannot be."""
    context = case.context
    try:
        filled = [(step, step.arguments(context)) for step in steps]
    except Unrenderable as error:
        raise case.refuse(Reason.GUARD_ERROR, f"a step cannot be filled in: {error}", retry_in=LATER) from error
    return [
        Planned(step, arguments, phase, position, case.foreseen.get((step.verb, arguments.model_dump_json()), ""))
        for position, (step, arguments) in enumerate(filled)
    ]
