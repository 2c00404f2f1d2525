"""Stands in for linuxserver/socket-proxy with CONTAINERS=1, ALLOW_RESTARTS=1, POST=0: it lets through as much.

The Compose test runs it in a container, where nothing but Python's own library is.
"""

import http.client
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOCKET = "/var/run/docker.sock"
VERSION = r"(/v[\d.]+)?"
ALLOWED = {
    "GET": re.compile(rf"{VERSION}/(_ping|version|events|containers)(/|\?|$)"),
    "HEAD": re.compile(rf"{VERSION}/_ping$"),
    "POST": re.compile(rf"{VERSION}/containers/[\w.-]+/(stop|restart|kill)(\?|$)"),
}


class Engine(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


class Proxy(BaseHTTPRequestHandler):
    """Passes on what is allowed and answers 403 to the rest."""

    def do_GET(self) -> None:
        if not ALLOWED[self.command].match(self.path):
            self.send_error(403)
            return
        engine = Engine("docker")
        length = int(self.headers.get("Content-Length", 0))
        engine.request(self.command, self.path, self.rfile.read(length), dict(self.headers))
        answer = engine.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_POST = do_GET  # noqa: N815 — the library's names


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 2375), Proxy).serve_forever()
