"""Advice about an alert: its form is the same whoever gives it, and what a model says is held to it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST = 1000  #: characters of one text


def _brief(text: str) -> str:
    # what a model writes goes into records and messages: one line, and no more of it than people read
    line = " ".join(text.replace("\x00", "").split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


Text = Annotated[str, AfterValidator(_brief)]
Level = Literal["low", "medium", "high", "critical"]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class RootCause(_Form):
    description: Text
    confidence: float = Field(ge=0, le=1)
    reasoning: Text


class RecommendedAction(_Form):
    action: Text
    reasoning: Text
    risk: Literal["low", "medium", "high"]
    priority: int = Field(ge=1, le=10)  #: 1 first


class Advice(_Form):
    """What somebody makes of an alert."""

    root_cause: RootCause
    recommended_actions: tuple[RecommendedAction, ...] = Field(max_length=10)
    severity: Level
    estimated_customer_impact: Text

    def told(self, *, by: str) -> str:
        """In a few lines, for people."""
        cause = self.root_cause
        lines = [
            f"Probable cause ({cause.confidence:.0%}, by {by}): {cause.description}",
            *(
                f"{place}. {each.action} ({each.risk} risk): {each.reasoning}"
                for place, each in enumerate(sorted(self.recommended_actions, key=lambda each: each.priority), 1)
            ),
            f"Severity {self.severity}. Customers: {self.estimated_customer_impact}",
            "Advice alone: nothing of it was carried out.",
        ]
        return "\n".join(lines)
