"""A container that is to be made, as the engine wants it; compose.py and replacement.py draw it.

It is complete before anything is sent: what cannot be made is refused where it is drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from receiver.targets.docker.container import Container

Endpoint = Mapping[str, Any]  #: a container's place in a network, as `docker inspect` has it


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """Its name, what it is created from, and the networks that it joins before it starts."""

    name: str
    config: Mapping[str, Any]
    networks: Mapping[str, Endpoint]  #: by the network's id

    @classmethod
    def like(cls, model: Container, *, name: str, config: Mapping[str, Any], endpoints: Mapping[str, Endpoint]) -> Self:
        """In the networks of the model; `endpoints` go by the networks' names."""
        first = model.network_mode
        if first in endpoints:
            config = {**config, "NetworkingConfig": {"EndpointsConfig": {first: endpoints[first]}}}
        # Engines before 25 take one network at creation, so that the others are joined before the start.
        others = {model.networks[network]["NetworkID"]: endpoints[network] for network in endpoints if network != first}
        return cls(name=name, config=config, networks=others)
