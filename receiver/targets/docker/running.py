"""Waiting until a container runs, and what a verb over several of them says when one fails; Docker's verbs ask.

What was sent is done: silence afterwards is Uncertain, and a container that does not get well in time is Permanent.
"""

import asyncio

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.docker.container import Container
from receiver.targets.docker.engine import Engine

LOOK_EVERY = 0.25  #: seconds between two looks at what is starting
SILENT = 1.0  #: seconds without an answer after which nobody knows how it ended
FOR_ANSWER = 2.0  #: seconds kept for the engine to say that it has stopped
SETTLED = 1.0  #: seconds that a container without a health check must stay up to count as running


async def running(engine: Engine, container: str, *, since: str = "") -> Container:
    """The container in a life that began after `since`, once it is well; Permanent when that takes too long."""
    lives: dict[str, float] = {}
    answered = engine.remaining
    silence: Temporary | None = None
    why = "has not started"
    while engine.remaining:
        try:
            now, silence = await engine.inspect(container), None
            answered = engine.remaining
        except Temporary as error:  # what was sent is done; only this look at it has failed
            now, silence = None, error
        if not now and not silence:
            raise Permanent(f"container {container[:12]} has gone while it was starting")
        if now and now.started_at != since:
            seen = lives.setdefault(now.started_at, engine.remaining)
            why = now.ailment or "does not stay up"
            if not now.ailment and (now.health or seen - engine.remaining >= SETTLED):
                return now
            if now.ended:
                break
        await asyncio.sleep(min(LOOK_EVERY, engine.remaining))
    if silence and answered > SILENT:
        raise Uncertain(f"container {container[:12]} was told to start, and then not seen to run: {silence}")
    raise Permanent(f"container {container[:12]} {why}, and was given up on")


def grace(member: Container, engine: Engine) -> int:
    """Its own time to stop, but never more than half of what is left: it must start again, too."""
    half = int(engine.remaining / 2)
    return max(1, half if member.grace < 0 else min(member.grace, half))


def own_grace(member: Container, engine: Engine) -> int:
    """All of its own time to stop; Permanent when there is less of it, for then it would be killed."""
    if member.grace + FOR_ANSWER > engine.remaining:
        raise Permanent(f"{member.name} may take {member.grace}s to stop; give the step a longer timeout")
    return member.grace


def in_part(error: Temporary | Permanent | Uncertain, done: str) -> Permanent | Uncertain:
    """An error after something was done is Temporary no more."""
    kind = Uncertain if isinstance(error, Uncertain) else Permanent
    return kind(f"{done}, then: {error}")
