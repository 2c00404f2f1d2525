"""Rules of thumb: what a situation suggests by itself, where no model is asked or none answers.

They look at what on-call people look at first: what was deployed just before, and what helped the last time.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from receiver.analysis.advice import Advice, Level, RecommendedAction, RootCause
from receiver.analysis.situation import Deployed, Past, Situation
from receiver.conventions import SEVERITY
from receiver.marker import MarkerStatus
from receiver.run import Outcome

JUST_BEFORE = 60  #: minutes
LEVELS: Mapping[str, Level] = {
    "critical": "critical",
    "page": "critical",
    "high": "high",
    "error": "high",
    "warning": "medium",
    "medium": "medium",
    "low": "low",
    "info": "low",
}
RISKS: Mapping[str, Literal["low", "medium", "high"]] = {
    "restart": "low",
    "scale": "low",
    "delete_pod": "low",
    "start": "low",
    "rollback": "medium",
}


def advise(situation: Situation) -> Advice:
    """What the rules make of it; with little confidence where nothing stands out."""
    deployed = next((each for each in situation.deployments if _came_before(each)), None)
    helped = Counter(_verb(run) for run in situation.runs if run.outcome == Outcome.FIXED)
    tried = Counter(_verb(run) for run in situation.runs)
    actions = []
    if deployed:
        cause = RootCause(
            description=f"the deployment of {deployed.version} of {deployed.service}",
            confidence=0.6,
            reasoning=f"it came {deployed.minutes_before_the_alert} minutes before the alert began",
        )
        actions.append(("rollback", "it takes back what changed last"))
    elif helped:
        verb, times = helped.most_common(1)[0]
        cause = RootCause(
            description=f"the same as before, when {verb} helped",
            confidence=round(0.5 * times / tried[verb], 2),
            reasoning=f"{verb} fixed this alert {times} of {tried[verb]} times lately",
        )
    else:
        cause = RootCause(
            description="unknown",
            confidence=0.1,
            reasoning="no deployment came just before, and nothing helped against this alert lately",
        )
    actions += [
        (verb, f"it fixed this alert {times} of {tried[verb]} times lately") for verb, times in helped.most_common(3)
    ]
    actions.append(("look at the service", _numbers(situation)))
    return Advice(
        root_cause=cause,
        recommended_actions=tuple(
            RecommendedAction(action=action, reasoning=why, risk=RISKS.get(action, "low"), priority=place)
            for place, (action, why) in enumerate(actions, 1)
        ),
        severity=LEVELS.get(situation.labels.get(SEVERITY, ""), "medium"),
        estimated_customer_impact="not known: rules of thumb see no customers",
    )


def _came_before(each: Deployed) -> bool:
    harmful = each.status != MarkerStatus.ROLLED_BACK
    return harmful and -5 <= each.minutes_before_the_alert <= JUST_BEFORE


def _verb(run: Past) -> str:
    """The first thing that a run did to a workload, if it did any."""
    return next((verb for verb in run.did if verb in RISKS), run.did[0])


def _numbers(situation: Situation) -> str:
    told = ", ".join(f"{name} {value}" for name, value in situation.numbers.items())
    return f"its numbers: {told}" if told else "the alert tells no numbers"
