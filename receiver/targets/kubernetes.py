"""A Kubernetes cluster as a platform: Deployments, StatefulSets and DaemonSets of the configured namespaces.

A workload is read by its exact name, which must be a DNS name (so that no name can leave its place in a path, and the
client percent-encodes it besides); every change carries the uid and resourceVersion that were read just before.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.rollout import Object, Rollout, cannot_restart, judge
from receiver.targets.threads import Threads
from receiver.workload import Selector, Workload

if TYPE_CHECKING:
    from receiver.targets.apiserver import ApiServer, Connection

KINDS = ("Deployment", "StatefulSet", "DaemonSet")

# RFC 1123, as the API server checks it: a name is labels with dots between, a namespace is one label.
LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*")
NAMESPACE = re.compile(LABEL)

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"  #: what `kubectl rollout restart` writes: one history for both

LOADING = 60.0  #: seconds for the client to load; it takes three on an idle machine
PATIENCE = timedelta(seconds=10)  #: for looking something up
LOOK_EVERY = 0.5  #: seconds between two looks at a rollout
SILENT = 1.0  #: seconds without an answer after which nobody knows how it ended


def _now() -> datetime:
    return datetime.now(UTC)


class Cluster:
    """One cluster, by its kubeconfig context, or the one that we run in."""

    def __init__(
        self, kubernetes: platforms.Kubernetes, *, patience: timedelta = PATIENCE, clock: Callable[[], datetime] = _now
    ) -> None:
        self.name = kubernetes.name
        self._patience = patience
        self._settings = kubernetes
        self._clock = clock
        self._threads = Threads(f"kubernetes {kubernetes.name}")
        self._connection: Connection | None = None

    async def resolve(self, selector: Selector) -> Workload:
        _refuse_odd_names(selector)
        if selector.scope not in self._settings.namespaces:
            why = f"namespace {selector.scope} is not in namespaces: of kubernetes {self.name}"
            raise Refusal(Reason.TARGET_NOT_ALLOWED, why)
        server = await self._server(selector, within=self._patience)
        found = await server.workload(selector.kind, selector.name)
        if found is None:
            raise Refusal(Reason.NO_TARGET, f"{self._threads.name} has no {selector}")
        return self._workload(selector, found)

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """As `kubectl rollout restart`, and then as `kubectl rollout status`."""
        server = await self._server(workload.selector, within=within)
        before = await self._unchanged(server, workload)
        obstacle = cannot_restart(before)
        if obstacle:
            raise Permanent(f"{workload} cannot be restarted: {obstacle}")
        annotations = {RESTARTED_AT: self._clock().isoformat(timespec="seconds")}
        template = {"metadata": {"annotations": annotations}}
        change = {"metadata": _precondition(before), "spec": {"template": template}}
        await server.patch(workload.selector.kind, workload.name, change)
        after = await self._until(server, workload, judge)
        return {"before": _summary(before), "after": _summary(after)}

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        """By its scale; by its autoscaler's minimum where it has one, which would undo anything else."""
        if workload.selector.kind == "DaemonSet":
            raise Permanent(f"{workload} has one pod for each node and cannot be scaled")
        server = await self._server(workload.selector, within=within)
        before = await self._unchanged(server, workload)
        scalers = await server.scalers_of(workload.selector.kind, workload.name)
        if len(scalers) > 1:
            names = ", ".join(scaler["metadata"]["name"] for scaler in scalers)
            raise Permanent(f"{workload} is owned by several HorizontalPodAutoscalers: {names}; leave it just one")
        if scalers:
            by = await self._raise_minimum(server, scalers[0], before, replicas)
        else:
            by = await self._set_replicas(server, workload, replicas)
        after = await self._until(server, workload, lambda now: _scaled(now, replicas, owned=bool(scalers)))
        return {"before": _summary(before), "after": _summary(after), "by": by}

    async def rollback(self, workload: Workload, *, to: str | None, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        raise Permanent(f"{workload} cannot be rolled back yet")

    async def rolled_out_at(self, workload: Workload) -> datetime | None:  # noqa: ARG002
        return None

    async def close(self) -> None:
        """Idle connections go; a thread that hangs is not waited for."""
        if self._connection:
            self._connection.close()

    async def _server(self, selector: Selector, *, within: timedelta) -> "ApiServer":
        if self._connection is None:
            try:
                self._connection = await self._threads.call(self._connect, within=LOADING)
            except TimeoutError:
                raise Temporary(f"{self._threads.name}: the client is still loading") from None
        return self._connection.talk(self._threads, namespace=selector.scope or "", within=within)

    def _connect(self) -> "Connection":
        from receiver.targets.apiserver import Connection

        return Connection(self._settings)

    async def _unchanged(self, server: "ApiServer", workload: Workload) -> Object:
        """The object as it is now, if it still is the one that was resolved."""
        found = await server.workload(workload.selector.kind, workload.name)
        if found is None:
            raise Permanent(f"{workload} has gone since it was looked up")
        self._same(found, workload)
        return found

    def _same(self, found: Object, workload: Workload) -> None:
        uid = found["metadata"]["uid"]
        if uid != workload.uid:
            raise Permanent(
                f"{workload} has been replaced since it was looked up: it was {workload.uid}, now it is {uid}"
            )

    async def _set_replicas(self, server: "ApiServer", workload: Workload, replicas: int) -> str:
        kind, name = workload.selector.kind, workload.name
        scale = await server.scale(kind, name)
        if scale is None:
            raise Permanent(f"{workload} has gone since it was looked up")
        self._same(scale, workload)
        before = scale["spec"].get("replicas") or 0  # the server leaves a zero out
        if before != replicas:
            await server.replace_scale(kind, name, {**scale, "spec": {"replicas": replicas}})
        return f"its scale, from {before} to {replicas}"

    async def _raise_minimum(self, server: "ApiServer", scaler: Object, before: Object, replicas: int) -> str:
        name, spec = scaler["metadata"]["name"], scaler["spec"]
        owner = f"HorizontalPodAutoscaler {name} owns the replicas of {before['kind']} {before['metadata']['name']}"
        lowest, highest, now = spec.get("minReplicas") or 1, spec["maxReplicas"], judge(before).wanted
        if replicas > highest:
            raise Permanent(f"{owner} and allows {highest} at most, not {replicas}; raise its maxReplicas first")
        if replicas < now:
            raise Permanent(f"{owner}, {now} now; only it may lower them to {replicas}")
        if replicas > lowest:
            await server.patch_scaler(name, {"metadata": _precondition(scaler), "spec": {"minReplicas": replicas}})
        return f"minReplicas of HorizontalPodAutoscaler {name}, from {lowest} to {max(lowest, replicas)}"

    async def _until(self, server: "ApiServer", workload: Workload, judged: Callable[[Object], Rollout]) -> Object:
        """The object, once it is judged done; Permanent, with how far it got, when that takes too long."""
        kind, name = workload.selector.kind, workload.name
        answered = server.remaining
        silence: Temporary | None = None
        why = "nothing was seen of it"
        while server.remaining:
            try:
                now, silence = await server.workload(kind, name), None
                answered = server.remaining
            except Temporary as error:  # the change is made; only this look at it has failed
                now, silence = None, error
            if now:
                self._same(now, workload)
                rollout = judged(now)
                if rollout.done:
                    return now
                why = rollout.why
                if rollout.failed:
                    break
            elif not silence:
                raise Permanent(f"{workload} has been changed, and then deleted by somebody else")
            pause = max(LOOK_EVERY, (silence and silence.delay) or 0)
            await asyncio.sleep(min(pause, server.remaining))
        if silence and answered > SILENT:
            raise Uncertain(f"{workload} has been changed, and then not seen to get ready: {silence}")
        raise Permanent(f"{workload} has been changed, but did not get ready: {why}")

    def _workload(self, selector: Selector, found: Object) -> Workload:
        rollout = judge(found)
        return Workload(
            key=f"kubernetes/{self.name}/{selector.scope}/{selector.kind}/{selector.name}",
            selector=selector,
            uid=found["metadata"]["uid"],
            replicas=rollout.wanted,
            ready=rollout.ready,
            version=_images(found),
            healthy=rollout.done,
            why=rollout.why,
            detail={"revision": _revision(found), "generation": str(found["metadata"]["generation"])},
        )


def _refuse_odd_names(selector: Selector) -> None:
    if selector.kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise Refusal(
            Reason.NO_TARGET, f"{ascii(selector.kind)[:80]} is not a kind that can be acted on; write {kinds}"
        )
    if not NAMESPACE.fullmatch(selector.scope or ""):
        raise Refusal(Reason.NO_TARGET, f"{ascii(selector.scope)[:80]} is not the name of a namespace")
    if not NAME.fullmatch(selector.name):
        raise Refusal(Reason.NO_TARGET, f"{ascii(selector.name)[:80]} is not the name of a {selector.kind}")


def _precondition(found: Object) -> Object:
    """The server answers 409 when either has changed."""
    return {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]}


def _scaled(found: Object, replicas: int, *, owned: bool) -> Rollout:
    """Done when that many are ready; an autoscaler may want more. A rollout that hangs for other reasons is let be."""
    now = judge(found)
    enough = now.ready >= replicas if owned else now.ready == replicas == now.wanted
    why = "" if enough else f"{now.ready} replicas are ready, {replicas} were asked for"
    return Rollout(wanted=now.wanted, ready=now.ready, why=why)


def _summary(found: Object) -> Mapping[str, Any]:
    """What an audit row says of it."""
    rollout = judge(found)
    annotations = found["spec"]["template"]["metadata"].get("annotations") or {}
    return {
        "replicas": rollout.wanted,
        "ready": rollout.ready,
        "images": _images(found),
        "revision": _revision(found),
        "generation": found["metadata"]["generation"],
        "restarted_at": annotations.get(RESTARTED_AT, ""),
    }


def _images(found: Object) -> str:
    return ", ".join(container["image"] for container in found["spec"]["template"]["spec"]["containers"])


def _revision(found: Object) -> str:
    """A Deployment's number, a StatefulSet's hash; a DaemonSet has neither."""
    annotations = found["metadata"].get("annotations") or {}
    status = found.get("status") or {}
    return str(annotations.get("deployment.kubernetes.io/revision") or status.get("updateRevision") or "")
