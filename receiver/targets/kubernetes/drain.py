"""A node is emptied of its pods, all at once but as their PodDisruptionBudgets allow; cluster.py's drain asks.

Each pod is told to end once, by its uid. What an answer that was lost has done is seen at the next look.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.kubernetes import eviction, nodes, pods, precondition
from receiver.targets.kubernetes.answers import Gone
from receiver.targets.kubernetes.rollout import Object
from receiver.workload import Workload

if TYPE_CHECKING:
    from receiver.targets.kubernetes.apiserver import ApiServer

LOOK_EVERY = 2.0  #: seconds between two lists of all pods on a node
AT_ONCE = 4  #: evictions; the platform has twice as many threads, and others want to look at it meanwhile
NAMED = 20  #: pods in a message
CORDONED = "the node stays cordoned"


def to_go(found: Iterable[Object]) -> list[Object]:
    """Those that `kubectl drain --ignore-daemonsets` evicts; what has ended is in nobody's way."""
    return [pod for pod in found if not (pods.is_daemon(pod) or pods.is_mirror(pod) or pods.is_finished(pod))]


def losses(found: Iterable[Object], *, takes_data: bool) -> str:
    """What would be lost if these pods went, in words."""
    going = [pod for pod in to_go(found) if not pods.told_to_end(pod)]
    without_owner = [pod for pod in going if pods.controller(pod) is None]
    with_data = [pod for pod in going if pods.keeps_data(pod) and not takes_data]
    ourselves = [pod for pod in going if eviction.is_ourselves(pod)]
    reasons = {
        "nobody would make these again: they have no controller": without_owner,
        "the data in the emptyDir of these would go with them, unless delete_emptydir_data says that it may": with_data,
        "Amend itself runs in this one, and would cut off its own run": ourselves,
    }
    return "; ".join(f"{reason}: {_names(lost)}" for reason, lost in reasons.items() if lost)


class Drain:
    """One node, once."""

    def __init__(self, server: "ApiServer", node: Workload, *, takes_data: bool) -> None:
        self._server = server
        self._node = node
        self._takes_data = takes_data
        self._several = asyncio.Semaphore(AT_ONCE)
        self._seen: dict[str, str] = {}  #: by uid, as all that follow: every pod that is to go
        self._told: dict[str, str] = {}
        self._unanswered: dict[str, str] = {}  #: told, perhaps; and never again
        self._refused: dict[str, str] = {}
        self._waiting: dict[str, tuple[float, str]] = {}  #: until when, and what for

    async def until_empty(self) -> Sequence[str]:
        """The pods that it has evicted; Permanent, with what is left and why, when that takes too long."""
        left: list[Object] = []
        silence: Temporary | None = None
        answered = self._server.remaining
        while self._server.remaining:
            try:
                left, silence = await self._look(), None
                answered = self._server.remaining
            except Temporary as error:  # only this look has failed
                silence = error
            except Permanent as error:
                raise Permanent(f"{self._progress(left)}; {error}") from error
            if not silence:
                self._seen |= {_uid(pod): pods.label(pod) for pod in left}
                if not left:
                    return sorted([*self._told.values(), *self._unanswered.values()])
                if lost := losses(left, takes_data=self._takes_data):
                    raise Permanent(
                        f"{self._progress(left)}; {CORDONED}; since it was looked at, others have come: {lost}"
                    )
                await asyncio.gather(*(self._evict(pod) for pod in left if self._is_due(pod)))
                if all(_uid(pod) in self._refused for pod in left):
                    break
            await asyncio.sleep(min(max(LOOK_EVERY, (silence and silence.delay) or 0), self._server.remaining))
        if silence and answered > eviction.SILENT:
            raise Uncertain(f"{self._progress(left)}; {CORDONED}; and then nothing was seen of them: {silence}")
        if any(_uid(pod) in self._unanswered and not pods.told_to_end(pod) for pod in left):
            raise Uncertain(f"{self._progress(left)}; {CORDONED}")
        raise Permanent(f"{self._progress(left)}; {CORDONED}")

    async def _look(self) -> list[Object]:
        """What is to go; Permanent when that is no longer ours to see to."""
        node = await self._server.found("Node", self._node.name)
        # one that has been taken out of the cluster meanwhile has its pods ended all the same
        if node and not nodes.is_cordoned(precondition.check(node, self._node)):
            raise Permanent("somebody has opened it again, and no more is evicted")
        return to_go(await self._server.pods_on(self._node.name))

    def _is_due(self, pod: Object) -> bool:
        uid = _uid(pod)
        until, _ = self._waiting.get(uid, (0.0, ""))
        told = pods.told_to_end(pod) or uid in self._told or uid in self._unanswered
        return not told and uid not in self._refused and until <= asyncio.get_running_loop().time()

    async def _evict(self, pod: Object) -> None:
        uid, label = _uid(pod), pods.label(pod)
        async with self._several:
            if self._server.remaining <= eviction.FOR_ANSWER:
                return
            try:
                await self._server.evict(pod)
            except Gone:
                return
            except Uncertain:
                self._unanswered[uid] = label
            except Permanent as error:
                self._refused[uid] = str(error)
            except Temporary as error:
                pause = max(eviction.ASK_AGAIN, error.delay or 0)
                self._waiting[uid] = asyncio.get_running_loop().time() + pause, str(error)
            else:
                self._told[uid] = label

    def _progress(self, left: Sequence[Object]) -> str:
        reasons: dict[str, list[Object]] = {}
        for pod in left:
            reasons.setdefault(self._why(pod), []).append(pod)
        rest = "; ".join(f"{_names(those)} ({why})" for why, those in reasons.items()) or "nothing that was seen"
        gone = len(self._seen) - len(left)
        return f"{self._node}: {gone} of {len(self._seen)} pods are gone; left: {rest}"

    def _why(self, pod: Object) -> str:
        uid = _uid(pod)
        if pods.told_to_end(pod):
            return pods.lingers(pod)
        if uid in self._unanswered:
            return "told to end, perhaps: the answer was lost"
        if uid in self._told:
            return "told to end, and not looked at since"
        _, waiting = self._waiting.get(uid, (0.0, ""))
        return self._refused.get(uid) or waiting or pods.lingers(pod)


def _uid(pod: Object) -> str:
    return str(pod["metadata"]["uid"])


def _names(found: Sequence[Object]) -> str:
    names = ", ".join(pods.label(pod) for pod in found[:NAMED])
    return names if len(found) <= NAMED else f"{names} and {len(found) - NAMED} more"
