"""One pod is told to end, and waited for until it is gone; cluster.py's delete_pod asks.

A PodDisruptionBudget is honoured: what it does not allow now is asked for again, and never done in another way.
"""

import asyncio
import socket
from datetime import datetime
from typing import TYPE_CHECKING

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.kubernetes import pods
from receiver.targets.kubernetes.answers import Blocked
from receiver.targets.kubernetes.rollout import Object

if TYPE_CHECKING:
    from receiver.targets.kubernetes.apiserver import ApiServer

ASK_AGAIN = 5.0  #: seconds until a PodDisruptionBudget is asked again, as `kubectl drain` does
FOR_ANSWER = 1.0  #: seconds that must be left to send anything: sent, and too late to be answered, is uncertain
SILENT = 1.0  #: seconds without an answer after which nobody knows how it ended


def cannot_evict(pod: Object) -> str:
    """Why it would do harm, or nothing; "" when its owner will make another one."""
    if pods.is_mirror(pod):
        return "its node runs it from a file, and only there it can be ended"
    if pods.controller(pod) is None:
        return "it has no controller: nobody would make another one"
    if is_ourselves(pod):
        return "Amend itself runs in it, and would cut off its own run"
    return ""


def cannot_force(pod: Object, now: datetime) -> str:
    """Why taking it off the list would be wrong; "" when it had its time to end, and did not."""
    if obstacle := cannot_evict(pod):
        return obstacle
    if not pods.told_to_end(pod):
        return "it has not been told to end; evict it first, without force"
    if not pods.is_overdue(pod, now):
        return f"it may take until {pods.told_to_end(pod)} to end"
    return ""


def is_ourselves(pod: Object) -> bool:
    """A pod's host name is its own name, unless somebody has chosen another one."""
    return bool(pod["metadata"]["name"] == socket.gethostname())


async def evict(server: "ApiServer", pod: Object, *, grace: int | None) -> None:
    """As soon as its PodDisruptionBudget allows it; Permanent, in the server's words, when that is not in time."""
    why: Blocked | str = "there was no time left"
    while server.remaining > FOR_ANSWER:
        try:
            return await server.evict(pod, grace=grace)
        except Blocked as error:
            why, pause = error, max(ASK_AGAIN, error.delay or 0)
        await asyncio.sleep(min(pause, server.remaining))
    raise Permanent(f"Pod/{pods.label(pod)} has not been evicted: {why}")


async def until_gone(server: "ApiServer", pod: Object, *, every: float) -> None:
    """Another one of the same name is another pod."""
    now: Object | None = pod
    silence: Temporary | None = None
    answered = server.remaining
    while server.remaining:
        try:
            now, silence = await server.found("Pod", pod["metadata"]["name"]), None
            answered = server.remaining
        except Temporary as error:  # it is told to end; only this look at it has failed
            silence = error
        if now is None or now["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        await asyncio.sleep(min(max(every, (silence and silence.delay) or 0), server.remaining))
    name = f"Pod/{pods.label(pod)}"
    if silence and answered > SILENT:
        raise Uncertain(f"{name} has been told to end, and then not been seen to be gone: {silence}")
    raise Permanent(f"{name} has been told to end, but is not gone: {pods.lingers(now or pod)}")
