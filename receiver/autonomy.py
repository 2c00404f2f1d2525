"""Whether a playbook has earned acting without being asked about: by what came of the runs that acted.

The approvals ask it. It goes by a lower bound of the share that helped, so that luck with few runs is no proof.
"""

import math

import sqlalchemy as sa

from receiver.approval import Autonomy
from receiver.run import Outcome
from receiver.store import runs

RUNS = 100  #: of a playbook, the newest: what it was long ago says little
DEVIATIONS = 1.0  #: standard errors below what was seen: 84 % confidence, by which five of five earn 80 %


def doubt(connection: sa.Connection, playbook: str, rule: Autonomy) -> str:
    """Why it must not act alone, in words; empty when it may."""
    outcomes = runs.outcomes(connection, playbook, most=RUNS)
    fixed, attempted = outcomes.count(Outcome.FIXED), len(outcomes)
    if attempted < rule.min_runs:
        return f"{attempted} runs acted so far; autonomy.min_runs asks for {rule.min_runs}"
    bound = 100 * lower_bound(fixed, attempted)
    if bound < rule.min_success:
        share = f"{fixed} of {attempted} runs helped: at least {bound:.0f}% do"
        return f"{share}, and autonomy.min_success asks for {rule.min_success:g}%"
    return ""


def lower_bound(fixed: int, attempted: int) -> float:
    """The least share of successes (0 to 1) that one can be confident of: Wilson's score interval.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    if not attempted:
        return 0.0
    share, square = fixed / attempted, DEVIATIONS**2
    middle = share + square / (2 * attempted)
    spread = DEVIATIONS * math.sqrt(share * (1 - share) / attempted + square / (4 * attempted**2))
    return max(0.0, (middle - spread) / (1 + square / attempted))
