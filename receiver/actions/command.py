"""`command: {name: flush-cache, args: ["{{ labels.service }}"]}`: a program that amend.yml declares, without a shell.

The playbook chooses among the declared names; an alert fills in arguments, and can never add one or make one an option.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from receiver import render
from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part


def _argument(text: str, info: ValidationInfo) -> str:
    if info.context is None:
        render.check(text)
        return text
    filled = render.render(text, info.context)
    if filled.startswith("-") and not text.startswith("-"):
        raise ValueError(f"an argument that an alert fills in would be an option: {filled[:40]!a}")
    if "\x00" in filled:
        raise ValueError("an argument would hold a NUL")
    return filled


class Arguments(Part):
    EXAMPLE = "{name: flush-cache}"

    name: str
    args: tuple[Annotated[str, AfterValidator(_argument)], ...] = Field(default=(), max_length=50)


class Command(Verb):
    arguments = Arguments

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        said = await scene.programs.run(
            arguments.name, arguments.args, within=scene.within.total_seconds(), run_id=scene.run_id
        )
        return {"output": said.output}
