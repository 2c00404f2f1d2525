"""What is known of deployments: taken in from those who deploy, asked by a guard, and gone back along by a rollback.

A marker is about a workload when it carries the workload's name, alone or behind its project or namespace.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from receiver.audit import Kind
from receiver.errors import Permanent
from receiver.marker import Marker, MarkerStatus
from receiver.store import Ledger, deployments
from receiver.store.log import Log
from receiver.workload import Workload

IMAGE = "image"  #: the key of a marker's metadata that a Compose service goes back by


def names(workload: Workload) -> set[str]:
    """What the markers of a workload may call it."""
    scope, name = workload.selector.scope, workload.name
    return {name, f"{scope}/{name}"} if scope else {name}


def standing(markers: Collection[Marker]) -> list[Marker]:
    """Those of versions that were not rolled back since, the newest first as they were given."""
    gone: set[str] = set()
    left = []
    for marker in markers:
        if marker.status is MarkerStatus.ROLLED_BACK:
            gone.add(marker.version)
        elif marker.version not in gone:
            left.append(marker)
    return left


@dataclass(frozen=True)
class Deployments:
    """The markers in the ledger."""

    ledger: Ledger
    log: Log
    clock: Callable[[], datetime]

    async def mark(self, marker: Marker, *, run_id: int | None = None, playbook: str | None = None) -> int:
        """Write a marker down, with its row in the audit log, under the run that rolled back where one did; its id."""

        def write(connection: sa.Connection) -> int:
            told = {
                "service": marker.service,
                "version": marker.version,
                "status": marker.status,
                "at": marker.at.isoformat(),
                "metadata": dict(marker.metadata),
                **({"playbook": playbook} if playbook else {}),
            }
            self.log.append(connection, Kind.DEPLOYED, at=self.clock(), data=told, actor=marker.by, run_id=run_id)
            return deployments.add(connection, marker)

        return await self.ledger.write(write)

    async def of(self, services: Collection[str]) -> list[Marker]:
        """About any of these names, the newest first."""
        return await self.ledger.read(partial(deployments.newest, services=services))

    async def good_image(self, workload: Workload) -> str:
        """The image of the last deployment that succeeded with another version than the one that runs now.

        Permanent when no marker tells of one.
        """
        known = standing(await self.of(names(workload)))
        now = known[0].version if known else None
        older = [each for each in known if each.version != now]
        good = next((each for each in older if each.status is MarkerStatus.SUCCEEDED), None)
        if good and any(each.version == now for each in known[known.index(good) :]):
            # somebody may have deployed it again to get away from the other
            raise Permanent(
                f"{now} of {workload} was deployed before {good.version} and again after it, and no marker tells which "
                "of them is good; post rolled_back for the other, or write to: IMAGE"
            )
        if good is None:
            raise Permanent(
                f"no deployment marker tells which version of {workload} was good before"
                f"{f' {now}' if now else ''}; post markers to /api/v1/deployments, or write to: IMAGE"
            )
        return good.metadata.get(IMAGE) or _with_tag(workload, good.version)

    async def rolled_back(self, workload: Workload, *, run_id: int, playbook: str) -> None:
        """Write down that the newest version was taken away, where markers told of it at all."""
        if known := standing(await self.of(names(workload))):
            newest = known[0]
            gone = replace(
                newest,
                status=MarkerStatus.ROLLED_BACK,
                at=max(self.clock(), newest.at),
                by=self.log.actor,
                metadata={},
            )
            await self.mark(gone, run_id=run_id, playbook=playbook)


def _with_tag(workload: Workload, tag: str) -> str:
    """The image that runs now, with another tag: `shop/orders:1.1@sha256:…` and `1.0` are `shop/orders:1.0`."""
    image = workload.version.partition("@")[0]
    repository, colon, now = image.rpartition(":")
    if "," in workload.version or not image or image.startswith("sha256:"):
        raise Permanent(
            f"{workload} runs {workload.version}, which has no one name; add metadata: {{image: …}} to markers"
        )
    return f"{repository if colon and '/' not in now else image}:{tag}"
