"""`restart: {}`: a container, a service one by one, or a rollout restart; waits until it runs again."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import NoArguments, Verb


class Restart(Verb):
    kinds = ("container", "compose", "service", "Deployment", "StatefulSet", "DaemonSet")

    async def __call__(self, arguments: NoArguments, scene: Scene) -> Mapping[str, Any]:  # noqa: ARG002
        platform, workload = scene.target()
        return await platform.restart(workload, within=scene.within)
