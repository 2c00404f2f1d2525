"""How a Deployment or StatefulSet gets another number of replicas; cluster.py's scale asks.

By its scale; by its autoscaler's minimum where it has one, which would undo anything else.
"""

from typing import TYPE_CHECKING

from receiver.errors import Permanent
from receiver.targets.kubernetes import precondition
from receiver.targets.kubernetes.rollout import Object, Rollout, judge
from receiver.workload import Workload

if TYPE_CHECKING:
    from receiver.targets.kubernetes.apiserver import ApiServer


async def scaler_of(server: "ApiServer", workload: Workload) -> Object | None:
    """The HorizontalPodAutoscaler that owns its replicas."""
    scalers = await server.scalers_of(workload.selector.kind, workload.name)
    if len(scalers) > 1:
        names = ", ".join(scaler["metadata"]["name"] for scaler in scalers)
        raise Permanent(f"{workload} is owned by several HorizontalPodAutoscalers: {names}; leave it just one")
    return scalers[0] if scalers else None


async def set_replicas(server: "ApiServer", workload: Workload, replicas: int) -> str:
    kind, name = workload.selector.kind, workload.name
    scale = precondition.check(await server.scale(kind, name), workload)
    before = scale["spec"].get("replicas") or 0  # the server leaves a zero out
    if before != replicas:
        await server.replace_scale(kind, name, {**scale, "spec": {"replicas": replicas}})
    return f"its scale, from {before} to {replicas}"


async def raise_minimum(server: "ApiServer", scaler: Object, before: Object, replicas: int) -> str:
    name, spec = scaler["metadata"]["name"], scaler["spec"]
    owner = f"HorizontalPodAutoscaler {name} owns the replicas of {before['kind']} {before['metadata']['name']}"
    lowest, highest, now = spec.get("minReplicas") or 1, spec["maxReplicas"], judge(before).wanted
    if replicas > highest:
        raise Permanent(f"{owner} and allows {highest} at most, not {replicas}; raise its maxReplicas first")
    if replicas < now:
        raise Permanent(f"{owner}, {now} now; only it may lower them to {replicas}")
    if replicas > lowest:
        await server.patch_scaler(name, {"metadata": precondition.of(scaler), "spec": {"minReplicas": replicas}})
    return f"minReplicas of HorizontalPodAutoscaler {name}, from {lowest} to {max(lowest, replicas)}"


def scaled(found: Object, replicas: int, *, owned: bool) -> Rollout:
    """Done when that many are ready; an autoscaler may want more. A rollout that hangs for other reasons is let be."""
    now = judge(found)
    enough = now.ready >= replicas if owned else now.ready == replicas == now.wanted
    why = "" if enough else f"{now.ready} replicas are ready, {replicas} were asked for"
    return Rollout(wanted=now.wanted, ready=now.ready, why=why)
