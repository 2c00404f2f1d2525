"""`start: {}`: a container that has stopped; waits until it runs."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import NoArguments, Verb
from receiver.targets import Containers


class Start(Verb):
    kinds = ("container",)

    async def __call__(self, arguments: NoArguments, scene: Scene) -> Mapping[str, Any]:  # noqa: ARG002
        platform, workload = scene.target()
        assert isinstance(platform, Containers), "its kind says so"
        return await platform.start(workload, within=scene.within)
