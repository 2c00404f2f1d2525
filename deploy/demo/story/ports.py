"""Free ports on loopback, so that the demo runs beside whatever else uses Prometheus' and Alertmanager's.

The stage draws one for each part that listens.
"""

import socket
from contextlib import ExitStack


def free(count: int) -> list[str]:
    """So many different addresses that nobody listens on."""
    with ExitStack() as held:
        # All held until all are drawn: a port given back at once might be drawn again.
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
