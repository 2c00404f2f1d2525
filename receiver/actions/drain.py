"""`drain: {}`: a node is cordoned, and its pods are evicted as their PodDisruptionBudgets allow."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.targets import Nodes


class Arguments(Part):
    EXAMPLE = "{}"

    delete_emptydir_data: bool = False  #: of pods that keep data in an emptyDir, which goes with them


class Drain(Verb):
    arguments = Arguments
    kinds = ("Node",)

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        platform, workload = scene.target()
        assert isinstance(platform, Nodes), "its kind says so"
        return await platform.drain(workload, delete_emptydir_data=arguments.delete_emptydir_data, within=scene.within)
