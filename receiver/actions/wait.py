"""`wait: {for: 30s}`: give something time before the next step."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.durations import Duration, at_most, format_duration

LONGEST = timedelta(hours=1)  #: a run that waits holds its workload


class Arguments(Part):
    EXAMPLE = "{for: 30s}"

    span: Annotated[Duration, at_most(LONGEST)] = Field(alias="for", examples=["30s"])


class Wait(Verb):
    arguments = Arguments
    intervenes = False
    counts = False
    idempotent = True

    def takes(self, arguments: Arguments) -> timedelta:
        return arguments.span

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        await scene.sleep(arguments.span)
        return {"waited": format_duration(arguments.span)}
