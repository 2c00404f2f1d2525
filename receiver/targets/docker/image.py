"""One image as the engine described it; engine.py fetches it, replacement.py tells from it what a container brought.

It only answers questions about a description that was already fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Image:
    """What `docker image inspect` shows, as far as it is looked at."""

    description: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.description["Id"])

    @property
    def config(self) -> Mapping[str, Any]:
        """What its containers get unless they say otherwise."""
        return self.description.get("Config") or {}
