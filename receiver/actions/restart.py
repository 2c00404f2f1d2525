"""`restart: {}`: a container, a Compose service one by one, or a rollout restart; waits until it runs again."""

from collections.abc import Mapping
from typing import Any

from receiver.actions.scene import Scene
from receiver.documents import Part


class Arguments(Part):
    """None."""


class Restart:
    arguments = Arguments
    changes_target = True
    idempotent = False

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:  # noqa: ARG002
        platform, workload = scene.target()
        return await platform.restart(workload, within=scene.within)
