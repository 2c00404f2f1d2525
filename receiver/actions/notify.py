"""`notify: {receiver: team-shop, message: "…"}`: tell people, through a receiver that amend.yml names."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.template import Template

DEFAULT = "{{ playbook.name }} answers {{ labels.alertname }} on {{ target.name }}: {{ run.outcome }}"


class Arguments(Part):
    EXAMPLE = "{receiver: team-shop}"

    receiver: str
    message: Template = DEFAULT


class Notify(Verb):
    arguments = Arguments
    intervenes = False
    counts = False  # telling people is no intervention
    idempotent = True  # a message told twice is better than one not told

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        return await scene.notify(arguments.receiver, arguments.message)
