"""`delete_pod: {}`: evicted, so that a PodDisruptionBudget is honoured; its owner makes another one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.durations import Duration
from receiver.targets import Nodes


class Arguments(Part):
    EXAMPLE = "{}"

    grace: Duration | None = None  #: the pod's own, where nothing is said
    force: bool = False  #: take a pod off the list that was told to end and did not, although its node may still run it


class DeletePod(Verb):
    arguments = Arguments
    kinds = ("Pod",)

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        platform, workload = scene.target()
        assert isinstance(platform, Nodes), "its kind says so"
        return await platform.delete_pod(
            workload, grace=_seconds(arguments.grace), force=arguments.force, within=scene.within
        )


def _seconds(grace: timedelta | None) -> int | None:
    return None if grace is None else int(grace.total_seconds())
