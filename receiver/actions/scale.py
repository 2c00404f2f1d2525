"""`scale: {by: 1, max: 10}`: to a number of replicas, by a difference, or by a factor, within bounds."""

import math
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.errors import Permanent


class Arguments(Part):
    EXAMPLE = "{by: 1}"

    to: int | None = Field(default=None, ge=0)
    by: int | None = None
    factor: float | None = Field(default=None, gt=0)
    min: int = Field(default=1, ge=0)
    max: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.to, self.by, self.factor)) != 1:
            raise ValueError("needs exactly one of to, by or factor")
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self

    def wanted(self, now: int) -> int:
        """Replicas to have, from those there are: within the bounds, rounded up."""
        return max(self.min, min(self.max, self.ideal(now)))

    def ideal(self, now: int) -> int:
        """The same without the bounds."""
        if self.to is not None:
            return self.to
        if self.by is not None:
            return now + self.by
        return math.ceil(now * (self.factor or 1))


class Scale(Verb):
    arguments = Arguments
    kinds = ("compose", "service", "Deployment", "StatefulSet")
    replaces = True

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        platform, workload = scene.target()
        wanted = arguments.wanted(workload.replicas)
        if wanted == workload.replicas:
            ideal = arguments.ideal(wanted)
            held = "" if ideal == wanted else f", and {'max' if ideal > wanted else 'min'} does not allow {ideal}"
            raise Permanent(f"{workload} has {wanted} replicas already{held}")
        return await platform.scale(workload, wanted, within=scene.within)
