"""`cordon: {}`: no new pod is put on a node; those that are there stay."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import NoArguments, Verb
from receiver.targets import Nodes


class Cordon(Verb):
    kinds = ("Node",)

    async def __call__(self, arguments: NoArguments, scene: Scene) -> Mapping[str, Any]:  # noqa: ARG002
        platform, workload = scene.target()
        assert isinstance(platform, Nodes), "its kind says so"
        return await platform.cordon(workload, within=scene.within)
