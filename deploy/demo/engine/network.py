"""A network: one block of loopback addresses, and the names that its containers answer to.

Loopback has 127.0.0.0/8 to give, so each child gets an address of its own, as on a bridge, and all of a service's
instances can use the same port. Names are written to a hosts file, which is all the DNS there is.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from engine.refusal import Refusal


@dataclass
class Endpoint:
    aliases: list[str]
    address: str = ""  #: empty while the container does not run, as in Docker


@dataclass
class Network:
    name: str
    block: str  #: "127.83.12": the first three numbers
    labels: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        return hashlib.sha256(f"{self.name} {self.block}".encode()).hexdigest()

    def join(self, endpoint: Endpoint) -> None:
        for number in range(2, 255):
            address = f"{self.block}.{number}"
            if address not in self.taken:
                self.taken.add(address)
                endpoint.address = address
                return
        raise Refusal(500, f"no available IPv4 addresses on this network's address pools: {self.name}")

    def leave(self, endpoint: Endpoint) -> None:
        self.taken.discard(endpoint.address)
        endpoint.address = ""

    def inspect(self) -> dict[str, Any]:
        return {
            "Name": self.name,
            "Id": self.id,
            "Scope": "local",
            "Driver": "bridge",
            "Internal": False,
            "Ingress": False,
            "IPAM": {
                "Driver": "default",
                "Config": [{"Subnet": f"{self.block}.0/24", "Gateway": f"{self.block}.1"}],
            },
            "Containers": {},
            "Options": {},
            "Labels": self.labels,
        }

    def inspect_endpoint(self, endpoint: Endpoint) -> dict[str, Any]:
        return {
            "IPAMConfig": None,
            "Links": None,
            "Aliases": endpoint.aliases,
            "NetworkID": self.id,
            "EndpointID": self.id if endpoint.address else "",
            "Gateway": f"{self.block}.1" if endpoint.address else "",
            "IPAddress": endpoint.address,
            "IPPrefixLen": 24 if endpoint.address else 0,
            "MacAddress": "",
        }
