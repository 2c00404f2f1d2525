"""Free ports on loopback, so that the demo runs beside whatever else uses Prometheus' and Alertmanager's.

The stage draws one for each part that listens.
"""

import random
import socket
from collections.abc import Iterator
from itertools import islice

PORTS = range(10_000, 32_000)
"""Below those that Linux gives out by itself: what is drawn here is nobody's until its part listens."""


def free(count: int) -> list[str]:
    """So many different addresses that nobody listens on."""
    return list(islice(_free(), count))


def _free() -> Iterator[str]:
    for port in random.sample(PORTS, len(PORTS)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue  # somebody listens there
        yield f"127.0.0.1:{port}"
