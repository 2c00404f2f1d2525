"""The image's health check: exits 0 when this container's own service answers `/health`.

The Docker Engine runs it every few seconds, so it imports next to nothing: an HTTP client would cost as much as all
of the shop.
"""

import socket
import sys

from shop.addresses import PORT

if __name__ == "__main__":
    with socket.create_connection(("127.0.0.1", PORT), timeout=8) as service:
        service.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        sys.exit(not service.recv(64).startswith(b"HTTP/1.1 200 "))
