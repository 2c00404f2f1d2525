"""What must allow a run before it acts: one small class per guard, in one ordered list.

The pipeline asks them in the order of GUARDS. A guard says no by raising a Refusal, or a Temporary or Permanent when it
cannot be evaluated, which is a no as well. Those of the ledger are asked again in the transaction that claims the run.
"""

from collections.abc import Sequence

from receiver.case import Case, World
from receiver.guards.alert import Age, ConditionHolds, Enabled, EpisodeState, InTime
from receiver.guards.deployed import Deployed
from receiver.guards.guard import Guard, LedgerGuard
from receiver.guards.history import Attempts, Cooldown, Lock
from receiver.guards.limits import BreakerClosed, MaxTargets, RateLimit
from receiver.guards.only_if import OnlyIf
from receiver.guards.people import Agreed, NotPaused, NotSilenced
from receiver.guards.target import AlsoFiring, MinHealthy, TargetResolves

GUARDS: Sequence[Guard | LedgerGuard] = (
    Enabled(),
    EpisodeState(),
    Age(),
    NotPaused(),
    InTime(),
    ConditionHolds(),
    TargetResolves(),
    AlsoFiring(),
    Deployed(),
    NotSilenced(),
    Lock(),
    Cooldown(),
    Attempts(),
    MaxTargets(),
    RateLimit(),
    MinHealthy(),
    BreakerClosed(),
    Agreed(),
    OnlyIf(),
)
"""In the order in which they are asked; the first no ends the decision."""


def look_outside(case: Case, world: World) -> bool:
    """Whether a guard asks a platform, Prometheus or Alertmanager, which takes time and may be in vain."""
    playbook = case.playbook
    return playbook.target != "none" or playbook.only_if is not None or world.alertmanager is not None
