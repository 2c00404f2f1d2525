"""More or fewer containers of a Compose service, one after the other; host.py asks.

What fails after the first one says how far it got.
"""

from collections.abc import Sequence

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.docker.blueprint import Blueprint
from receiver.targets.docker.container import Container
from receiver.targets.docker.engine import Engine
from receiver.targets.docker.running import grace, in_part, running


async def grow(engine: Engine, additions: Sequence[Blueprint]) -> list[str]:
    added: list[str] = []
    for sibling in additions:
        try:
            await _add(engine, sibling)
        except (Temporary, Permanent, Uncertain) as error:
            if not added:
                raise
            raise in_part(error, f"{len(added)} of {len(additions)} containers added") from error
        added.append(sibling.name)
    return added


async def _add(engine: Engine, sibling: Blueprint) -> None:
    container = await engine.create(sibling.config, sibling.name)
    try:
        await _start(engine, container, sibling)
    except Temporary as error:
        raise Permanent(f"{sibling.name} has been created, but not started: {error}") from error
    await running(engine, container)


async def _start(engine: Engine, container: str, sibling: Blueprint) -> None:
    try:
        for network, aliases in sibling.networks.items():
            await engine.join(container, network, aliases)
        await engine.start(container)
    except Permanent:
        await engine.remove(container)  # it has never run, and would count as a replica
        raise


async def shrink(engine: Engine, surplus: Sequence[Container]) -> None:
    for gone, member in enumerate(reversed(surplus)):
        try:
            await engine.stop(member.id, grace=grace(member, engine))
            await _remove(engine, member)
        except (Temporary, Permanent, Uncertain) as error:
            if not gone:
                raise
            raise in_part(error, f"{gone} of {len(surplus)} containers removed") from error


async def _remove(engine: Engine, member: Container) -> None:
    try:
        await engine.remove(member.id)
    except Temporary as error:
        raise Permanent(f"{member.name} is stopped, but not removed: {error}") from error
