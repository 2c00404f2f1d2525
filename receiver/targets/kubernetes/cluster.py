"""A Kubernetes cluster as a platform: what is in the configured namespaces, and the nodes with a configured label.

What is acted on is read by its exact name, which must be a DNS name (so that no name can leave its place in a path, and
the client percent-encodes it besides); every change carries the uid that was read just before.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings import platforms
from receiver.targets.foreseen import hold_to
from receiver.targets.kubernetes import eviction, names, nodes, precondition, revisions, scaling, view
from receiver.targets.kubernetes.answers import Rejected
from receiver.targets.kubernetes.drain import Drain, losses, to_go
from receiver.targets.kubernetes.revisions import RESTARTED_AT, Revision
from receiver.targets.kubernetes.rollout import Object, Rollout, cannot_restart, cannot_roll, judge
from receiver.targets.threads import Threads
from receiver.workload import Selector, Workload

if TYPE_CHECKING:
    from receiver.targets.kubernetes.apiserver import ApiServer
    from receiver.targets.kubernetes.client import Connection

LOADING = 60.0  #: seconds for the client to load; it takes three on an idle machine
PATIENCE = timedelta(seconds=10)  #: for looking something up
TRIES = 5  #: to change what moves meanwhile
LOOK_EVERY = 0.5  #: seconds between two looks at what has been changed


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
        names.refuse_odd(selector)
        self._refuse_strange_place(selector)
        server = await self._server(selector, within=self._patience)
        found = await server.found(selector.kind, selector.name)
        if found is None:
            raise Refusal(Reason.NO_TARGET, f"{self._threads.name} has no {selector}")
        if selector.kind == "Node":
            self._refuse_strange_node(found)
        return view.workload(self.name, selector, found)

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        """As `kubectl rollout restart`, and then as `kubectl rollout status`."""
        server = await self._server(workload.selector, within=within)
        before = await self._unchanged(server, workload)
        obstacle = cannot_restart(before)
        if obstacle:
            raise Permanent(f"{workload} cannot be restarted: {obstacle}")
        annotations = {RESTARTED_AT: self._clock().isoformat(timespec="seconds")}
        template = {"metadata": {"annotations": annotations}}
        change = {"metadata": precondition.of(before), "spec": {"template": template}}
        await server.patch(workload.selector.kind, workload.name, change)
        after = await self._until(server, workload, judge)
        return {"before": view.summary(before), "after": view.summary(after)}

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        """By its scale; by its autoscaler's minimum where it has one, which would undo anything else."""
        if workload.selector.kind == "DaemonSet":
            raise Permanent(f"{workload} has one pod for each node and cannot be scaled")
        server = await self._server(workload.selector, within=within)
        before = await self._unchanged(server, workload)
        scaler = await scaling.scaler_of(server, workload)
        if scaler:
            by = await scaling.raise_minimum(server, scaler, before, replicas)
        else:
            by = await scaling.set_replicas(server, workload, replicas)
        after = await self._until(server, workload, lambda now: scaling.scaled(now, replicas, owned=bool(scaler)))
        return {"before": view.summary(before), "after": view.summary(after), "by": by}

    async def way_back(self, workload: Workload, *, to: str | None) -> str:
        server = await self._server(workload.selector, within=self._patience)
        return revisions.told(*await self._way_back(server, workload, to=to))

    async def rollback(
        self, workload: Workload, *, to: str | None, within: timedelta, foreseen: str = ""
    ) -> Mapping[str, Any]:
        """As `kubectl rollout undo`, but never forth again by itself; and then as `kubectl rollout status`."""
        server = await self._server(workload.selector, within=within)
        before, revision = await self._way_back(server, workload, to=to)
        hold_to(foreseen, revisions.told(before, revision), workload)
        await self._undo(server, workload, before, revision)
        # A rollout that its controller had given up on stays so in its status until the next one gets anywhere.
        had_failed = judge(before).failed
        after = await self._until(
            server, workload, lambda now: replace(judge(now), failed=False) if had_failed else judge(now)
        )
        back_to = {"revision": str(revision.number), "images": revision.images, "cause": revision.cause}
        return {"before": view.summary(before), "after": view.summary(after), "back_to": back_to}

    async def rolled_out_at(self, workload: Workload) -> datetime | None:
        if workload.selector.kind not in names.ROLLED:
            return None
        server = await self._server(workload.selector, within=self._patience)
        found = await self._unchanged(server, workload)
        return revisions.deployed_at(found, await _history(server, found))

    async def delete_pod(
        self, workload: Workload, *, grace: int | None, force: bool, within: timedelta
    ) -> Mapping[str, Any]:
        """By an eviction; `force` just for one that was told to end, had its time, and is still there."""
        server = await self._server(workload.selector, within=within)
        pod = await self._unchanged(server, workload)
        obstacle = eviction.cannot_force(pod, self._clock()) if force else eviction.cannot_evict(pod)
        if obstacle:
            raise Permanent(f"{workload} is not {'taken off the list' if force else 'evicted'}: {obstacle}")
        if force:
            await server.delete_at_once(pod)
        else:
            await eviction.evict(server, pod, grace=grace)
        await eviction.until_gone(server, pod, every=LOOK_EVERY)
        return {"before": view.pod_summary(pod), "after": {"gone": True}, "by": "force" if force else "eviction"}

    async def cordon(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        return await self._set_cordoned(workload, wanted=True, within=within)

    async def uncordon(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        return await self._set_cordoned(workload, wanted=False, within=within)

    async def drain(self, workload: Workload, *, delete_emptydir_data: bool, within: timedelta) -> Mapping[str, Any]:
        """As `kubectl drain --ignore-daemonsets`, but what cannot be undone is refused before anything is done."""
        server = await self._server(workload.selector, within=within)
        before = await self._unchanged(server, workload)
        there = await server.pods_on(workload.name)
        if lost := losses(there, takes_data=delete_emptydir_data):
            raise Permanent(f"{workload} is not drained, and nothing was done to it: {lost}")
        if not nodes.is_cordoned(before):
            await server.patch("Node", workload.name, nodes.cordoning(before, wanted=True))
        evicted = await Drain(server, workload, takes_data=delete_emptydir_data).until_empty()
        return {
            "before": {**nodes.summary(before), "pods": len(to_go(there))},
            "after": {"cordoned": True, "pods": 0},
            "evicted": evicted,
        }

    async def close(self) -> None:
        """Idle connections go; a thread that hangs is not waited for."""
        if self._connection:
            self._connection.close()

    def _refuse_strange_place(self, selector: Selector) -> None:
        if selector.kind == "Node" and not self._settings.allow_nodes:
            why = (
                f"allow_nodes: of kubernetes {self.name} is empty; write a label there, KEY=VALUE, that {selector} has"
            )
            raise Refusal(Reason.TARGET_NOT_ALLOWED, why)
        if selector.kind != "Node" and selector.scope not in self._settings.namespaces:
            why = f"namespace {selector.scope} is not in namespaces: of kubernetes {self.name}"
            raise Refusal(Reason.TARGET_NOT_ALLOWED, why)

    def _refuse_strange_node(self, node: Object) -> None:
        allowed = self._settings.allow_nodes
        if not platforms.selected(node["metadata"].get("labels") or {}, allowed):
            why = f"it has none of the labels in allow_nodes: of kubernetes {self.name}: {' or '.join(allowed)}"
            raise Refusal(Reason.TARGET_NOT_ALLOWED, f"Node/{node['metadata']['name']}: {why}")

    async def _server(self, selector: Selector, *, within: timedelta) -> "ApiServer":
        if self._connection is None:
            try:
                self._connection = await self._threads.call(self._connect, within=LOADING)
            except TimeoutError:
                raise Temporary(f"{self._threads.name}: the client is still loading") from None
        from receiver.targets.kubernetes.apiserver import (
            ApiServer,  # loaded by now, and not before a cluster is connected
        )

        return ApiServer(self._connection, self._threads, namespace=selector.scope or "", within=within)

    def _connect(self) -> "Connection":
        from receiver.targets.kubernetes import apiserver  # noqa: F401 - in this thread too, since loading takes seconds
        from receiver.targets.kubernetes.client import Connection

        return Connection(self._settings)

    async def _unchanged(self, server: "ApiServer", workload: Workload) -> Object:
        """The object as it is now, if it still is the one that was resolved."""
        return precondition.check(await server.found(workload.selector.kind, workload.name), workload)

    async def _way_back(self, server: "ApiServer", workload: Workload, *, to: str | None) -> tuple[Object, Revision]:
        """What is there now, and the revision that it goes back to."""
        before = await self._unchanged(server, workload)
        obstacle = cannot_roll(before, "a rollback")
        if obstacle:
            raise Permanent(f"{workload} cannot be rolled back: {obstacle}")
        return before, revisions.way_back(before, await _history(server, before), to=to)

    async def _undo(self, server: "ApiServer", workload: Workload, before: Object, revision: Revision) -> None:
        """A rollout that hangs moves its status all the time, which changes nothing of what was decided."""
        for _ in range(TRIES):
            try:
                await server.patch(workload.selector.kind, workload.name, revisions.undo(before, revision))
                return
            except Rejected:  # the server does not say what it was that did not fit
                now = await self._unchanged(server, workload)
                if precondition.of(now) == precondition.of(before):
                    raise
            if now["metadata"]["generation"] != before["metadata"]["generation"]:
                break
            before = now
        raise Temporary(f"{workload} changed at the same moment, and nothing was done")

    async def _set_cordoned(self, workload: Workload, *, wanted: bool, within: timedelta) -> Mapping[str, Any]:
        server = await self._server(workload.selector, within=within)
        before = await self._unchanged(server, workload)
        if nodes.is_cordoned(before) == wanted:
            raise Permanent(f"{workload} is {'cordoned already' if wanted else 'not cordoned'}; there is nothing to do")
        after = await server.patch("Node", workload.name, nodes.cordoning(before, wanted=wanted))
        return {"before": nodes.summary(before), "after": nodes.summary(after)}

    async def _until(self, server: "ApiServer", workload: Workload, judged: Callable[[Object], Rollout]) -> Object:
        """The object, once it is judged done; Permanent, with how far it got, when that takes too long."""
        kind, name = workload.selector.kind, workload.name
        answered = server.remaining
        silence: Temporary | None = None
        why = "nothing was seen of it"
        while server.remaining:
            try:
                now, silence = await server.found(kind, name), None
                answered = server.remaining
            except Temporary as error:  # the change is made; only this look at it has failed
                now, silence = None, error
            if now:
                precondition.check(now, workload)
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
        if silence and answered > eviction.SILENT:
            raise Uncertain(f"{workload} has been changed, and then not seen to get ready: {silence}")
        raise Permanent(f"{workload} has been changed, but did not get ready: {why}")


async def _history(server: "ApiServer", found: Object) -> list[Revision]:
    return revisions.history(found, await server.revisions(found["kind"], labels=revisions.labels(found)))
