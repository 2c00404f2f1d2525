"""`stop: {}`: a container, which then stays stopped until something starts it."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import NoArguments, Verb
from receiver.targets import Containers


class Stop(Verb):
    kinds = ("container",)

    async def __call__(self, arguments: NoArguments, scene: Scene) -> Mapping[str, Any]:  # noqa: ARG002
        platform, workload = scene.target()
        assert isinstance(platform, Containers), "its kind says so"
        return await platform.stop(workload, within=scene.within)
