"""Where a service listens, and where its neighbours are.

The services and the load ask here. A container has a network and DNS of its own and needs no answer; a child process
of the demo's engine has neither, so the engine tells it both in the environment.
"""

import os
import random
from pathlib import Path

PORT = int(os.environ.get("SHOP_PORT", "8000"))
HOST = os.environ.get("ENGINE_ADDRESS", "0.0.0.0")  # noqa: S104 — inside a container's own network


def url(service: str) -> str:
    """The base URL of one instance of `service`; which one is drawn anew at each call, as round-robin DNS would."""
    return f"http://{_host(service)}:{PORT}"


def _host(service: str) -> str:
    hosts = os.environ.get("ENGINE_HOSTS")
    if hosts is None:
        return service
    known = [line.split() for line in Path(hosts).read_text().splitlines()]
    # Nobody there: the plain name fails to resolve, as it would in DNS when the last container has stopped.
    return random.choice([address for address, name in known if name == service] or [service])
