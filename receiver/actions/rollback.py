"""`rollback: {}`: back to what ran before the last deployment; waits until it runs.

A Kubernetes workload goes back to a revision, a Swarm service to its previous specification, and a Compose service to
an image.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.deployments import Deployments
from receiver.documents import Part
from receiver.targets import Platform
from receiver.workload import Workload


class Arguments(Part):
    EXAMPLE = "{}"

    # no template: what runs is never chosen by a label
    to: Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)] | None = None


class Rollback(Verb):
    arguments = Arguments
    kinds = ("compose", "service", "Deployment", "StatefulSet", "DaemonSet")
    replaces = True
    chooses = True

    async def leads_to(
        self, arguments: Arguments, *, platform: Platform, workload: Workload, deployments: Deployments
    ) -> str:
        return await platform.way_back(workload, to=await _to(arguments, workload, deployments))

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        platform, workload = scene.target()
        to = await _to(arguments, workload, scene.deployments)
        done = await platform.rollback(workload, to=to, foreseen=scene.leads_to, within=scene.within)
        await scene.deployments.rolled_back(workload, run_id=scene.run_id, playbook=scene.playbook)
        return done


async def _to(arguments: Arguments, workload: Workload, deployments: Deployments) -> str | None:
    if arguments.to is None and workload.selector.kind == "compose":
        return await deployments.good_image(workload)
    return arguments.to
