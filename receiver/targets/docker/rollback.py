"""One container after the other of a Compose service back to an image that the engine has; host.py asks.

Each old container is kept until the new one in its place is well; when it does not get well the old one is put back,
and the error says so.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.docker.blueprint import Blueprint
from receiver.targets.docker.container import Container
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.image import Image
from receiver.targets.docker.leftovers import aside
from receiver.targets.docker.replacement import replacement
from receiver.targets.docker.running import LOOK_EVERY, grace, in_part, running

REFERENCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_:@/-]*(\.[a-zA-Z0-9_:@/-]+)*", re.ASCII)
"""What an image can be called, loosely: it becomes part of a path, so that there are no two dots in a row."""

ID = 12  #: what docker shows of an id
ID_SHOWN = len("sha256:") + ID

PUT_BACK = 30.0  #: seconds kept to put an old container back, or a third of what there is


async def way_back(engine: Engine, members: Sequence[Container], to: str) -> str:
    """By the image's id as well: a tag may be moved meanwhile."""
    image, stale = await _stale(engine, members, to)
    now = sorted({f"{member.tag} ({member.image[:ID_SHOWN]})".lstrip() for member in stale})
    return f"{to} ({image.id[:ID_SHOWN]}) in place of {', '.join(now)}"


async def roll_back(engine: Engine, members: Sequence[Container], to: str) -> Sequence[Mapping[str, Any]]:
    """Before and after of each that was not on the image already."""
    image, stale = await _stale(engine, members, to)
    await _refuse_shared_networks(engine, stale)
    plans = [(member, replacement(member, await _brought(engine, member), image=image, called=to)) for member in stale]
    done: list[Mapping[str, Any]] = []
    for member, blueprint in plans:
        try:
            new = await _swap(engine, member, blueprint, image)
        except (Temporary, Permanent, Uncertain) as error:
            if not done:
                raise
            raise in_part(error, f"{len(done)} of {len(stale)} containers rolled back to {to}") from error
        done.append({"before": member.summary(), "after": new.summary()})
    return done


async def _stale(engine: Engine, members: Sequence[Container], to: str) -> tuple[Image, Sequence[Container]]:
    """The image, and those that are not on it; Permanent when there is none of either."""
    image = await _image(engine, to)
    stale = [member for member in members if member.image != image.id]
    if not stale:
        raise Permanent(f"{', '.join(member.name for member in members)}: on the image {to} already")
    return image, stale


async def _image(engine: Engine, to: str) -> Image:
    found = await engine.image(to) if REFERENCE.fullmatch(to) else None
    if not found or _is_a_guess(found, to):
        raise Permanent(f"the engine has no image {ascii(to)[:200]}, and none is pulled here: docker pull it there")
    return found


def _is_a_guess(found: Image, to: str) -> bool:
    """Engines take any beginning of an id that fits one image alone: a `to: 3` would be found, and be anything."""
    start = to.removeprefix("sha256:")
    return len(start) < ID and found.id.removeprefix("sha256:").startswith(start)


async def _brought(engine: Engine, member: Container) -> Image:
    """The image that the container was made of."""
    found = await engine.image(member.image)
    if not found:
        raise Permanent(f"{member.name}: its image is gone, and with it what tells the image's settings from its own")
    return found


async def _refuse_shared_networks(engine: Engine, members: Sequence[Container]) -> None:
    """Containers that live in the network of another one would be left without any."""
    hosts = {f"container:{member.id}": member.name for member in members}
    for guest in await engine.containers({}):
        host = hosts.get((guest.get("HostConfig") or {}).get("NetworkMode", ""))
        if host:
            name = guest["Names"][0].removeprefix("/")
            raise Permanent(f"{name} uses the network of {host} and would lose it; roll back with docker compose up")


async def _swap(engine: Engine, old: Container, new: Blueprint, image: Image) -> Container:
    """The new container, well, in the place of the old one; or the old one as it was, and an error."""
    kept = min(PUT_BACK, engine.remaining / 3)
    try:
        with engine.sparing(kept):
            await engine.rename(old.id, aside(old.id, old.name))
    except Uncertain as error:
        raise await _put_back(engine, old, image, error) from error
    try:
        with engine.sparing(kept):
            well = await _replace(engine, old, new, image)
    except (Temporary, Permanent, Uncertain) as error:
        raise await _put_back(engine, old, image, error) from error
    try:
        await engine.remove(old.id)
    except (Temporary, Permanent, Uncertain) as error:
        raise in_part(
            error, f"{new.name} runs {well.tag or image.id}, and {aside(old.id, old.name)} is left to be removed"
        ) from error
    return well


async def _replace(engine: Engine, old: Container, new: Blueprint, image: Image) -> Container:
    container = await engine.create(new.config, new.name)
    made = await engine.inspect(container)
    if not made or made.image != image.id:
        raise Permanent(f"{new.config['Image']} is another image than it was a moment ago")
    for network, endpoint in new.networks.items():
        await engine.join(container, network, endpoint)
    await _stop(engine, old)
    await engine.start(container)
    return await running(engine, container)


async def _stop(engine: Engine, old: Container) -> None:
    """When its answer is lost, not before it has stopped or had its time to: it would look as if it ran on."""
    within = grace(old, engine)
    try:
        await engine.stop(old.id, grace=within)
    except Uncertain:
        until = engine.remaining - within - LOOK_EVERY
        with suppress(Temporary):
            while engine.remaining > max(0.0, until):
                now = await engine.inspect(old.id)
                if not now or now.status != "running":
                    break
                await asyncio.sleep(LOOK_EVERY)
        raise


async def _put_back(
    engine: Engine, old: Container, image: Image, error: Temporary | Permanent | Uncertain
) -> Permanent | Uncertain:
    """What to raise, once the old container is back in its place as far as that can be done."""
    try:
        await _undo(engine, old, image)
    except (Temporary, Permanent, Uncertain) as second:
        kind = Permanent if isinstance(second, Permanent) else Uncertain
        return kind(f"{old.name}: {error}; the container from before, {old.id[:12]}, was not put back: {second}")
    return Permanent(f"{old.name}: {error}; the container from before was put back")


async def _undo(engine: Engine, old: Container, image: Image) -> None:
    """Only what is to be undone by the look of it: an answer that was lost tells nothing."""
    now = await engine.inspect(old.id)
    if not now:
        raise Permanent("it is gone")
    if now.name != old.name:
        await _clear(engine, old.name, image)
        await engine.rename(old.id, old.name)
    if old.status in ("running", "restarting") and now.status != "running":
        await engine.start(old.id)


async def _clear(engine: Engine, name: str, image: Image) -> None:
    """Take away the new container, if there is one by now."""
    new = await engine.inspect(name)
    if not new:
        return
    if new.image != image.id:
        raise Permanent(f"somebody else has made a container {name} meanwhile")
    if new.status in ("running", "restarting"):
        await engine.stop(new.id, grace=grace(new, engine))
    await engine.remove(new.id)
