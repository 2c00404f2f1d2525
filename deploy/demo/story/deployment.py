"""Deployments as a pipeline makes them: containers of a version of their own, and a marker that tells Amend.

The stage tells of the version that the shop opened with, and a scenario deploys another one.
"""

from datetime import UTC, datetime, timedelta

import httpx

from story import compose
from story.part import Broken
from story.parts import Place
from story.versions import tag


def deploy(client: compose.Client, place: Place, service: str, version: str, *, port: int, places: int) -> None:
    """Replaces the service's containers; told when they are healthy, since only that is a deployment that succeeded."""
    compose.replace(client, service, image=tag(version), port=port, places=places)
    tell(place, service, version)


def tell(place: Place, service: str, version: str, *, ago: timedelta = timedelta()) -> None:
    answer = httpx.post(
        f"http://{place.amend}/api/v1/deployments",
        headers={"Authorization": f"Bearer {place.key('demo')}"},
        json={"service": service, "version": version, "timestamp": (datetime.now(UTC) - ago).isoformat()},
        timeout=30,
        trust_env=False,
    )
    if not answer.is_success:
        raise Broken(f"Amend does not take the marker of {service} {version}: {answer.text}")
