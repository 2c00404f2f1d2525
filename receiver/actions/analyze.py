"""`analyze: {receiver: team-shop}`: what may be behind the alert, as advice that is recorded, told, and never followed.

A local model is asked where amend.yml has one; without an answer in time there are rules of thumb.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.errors import AmendError
from receiver.template import Template

SPARE = 0.8  #: of the step's time: telling people takes some, too


class Arguments(Part):
    EXAMPLE = "{receiver: team-shop}"

    receiver: str | None = None  #: who is told of it; nobody where nothing is said
    logs: dict[str, Template] = Field(default={})  #: labels of Loki's streams
    lines: int = Field(default=50, ge=1, le=500)


class Analyze(Verb):
    arguments = Arguments
    intervenes = False
    counts = False
    idempotent = True

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        analysis = await scene.analyst.analyze(
            scene.episode,
            scene.workload,
            run_id=scene.run_id,
            logs=arguments.logs,
            lines=arguments.lines,
            within=scene.within.total_seconds() * SPARE,
        )
        told: Mapping[str, Any] = {}
        if arguments.receiver:
            about = f"{scene.episode.alertname}: {analysis.advice.told(by=analysis.by)}"
            try:
                told = {"told": await scene.notify(arguments.receiver, about)}
            except AmendError as error:  # the advice stands in the record all the same
                told = {"not_told": f"{arguments.receiver}: {error}"}
        return {**analysis.as_json(), **told}
