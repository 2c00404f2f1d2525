"""Deployment markers: who deploys something says so, and playbooks may ask whether that was just before the alert.

The web doors take them in, the store keeps them, and a rollback looks among them for the last version that was good.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class MarkerStatus(StrEnum):
    """What a marker tells."""

    STARTED = "started"  #: a deployment begins
    SUCCEEDED = "succeeded"  #: it is done
    FAILED = "failed"  #: it did not come to its end
    ROLLED_BACK = "rolled_back"  #: this version was taken away again


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A deployment of a version of a service."""

    id: int = 0  #: 0 before it is stored
    service: str  #: `orders`, or with its project or namespace: `shop/orders`
    version: str
    status: MarkerStatus
    at: datetime
    by: str
    metadata: Mapping[str, str] = field(default_factory=dict)  #: `image` is what a Compose service goes back to
