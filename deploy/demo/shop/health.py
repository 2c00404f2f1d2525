"""The image's health check: exits 0 when this container's own service answers `/health`.

The Docker Engine runs it every few seconds, so it imports next to nothing.
"""

import http.client
import sys

from shop.addresses import PORT

if __name__ == "__main__":
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=8)
    connection.request("GET", "/health")
    sys.exit(connection.getresponse().status != http.HTTPStatus.OK)
