"""How much may be done over all playbooks, whatever each of them says."""

from datetime import timedelta

from pydantic import Field

from receiver.documents import Part
from receiver.settings.values import SomeTime


class Breaker(Part):
    """Holds everything still after too many runs that did not help: `failed` or `not_fixed`."""

    failures: int = Field(default=5, gt=0)
    within: SomeTime = timedelta(minutes=30)
    storm_cooldown: SomeTime = timedelta(minutes=30)  #: the least that it lasts


class Limits(Part):
    """Over all playbooks, whatever each of them says."""

    actions_per_minute: int = Field(default=10, gt=0)
    targets_per_10m: int = Field(default=5, gt=0)
    breaker: Breaker = Breaker()
