"""What a notification tells, whichever way it goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is told: a message, and what it is about."""

    message: str
    link: str  #: to the run's page; empty without an external_url
    run: Mapping[str, Any]
    labels: Mapping[str, str]
