"""`python -m engine --socket PATH --images FILE --state DIR`: serves the engine until SIGTERM or Ctrl-C.

The demo starts it; its containers end with it, and so does the socket.
"""

import argparse
from pathlib import Path

import uvicorn

from engine import image
from engine.api import application
from engine.engine import Engine


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the unix socket to serve on")
    parser.add_argument("--images", type=Path, required=True, help='JSON: {"TAG": {"Env": [...], …}}')
    parser.add_argument("--state", type=Path, required=True, help="a directory for logs and the hosts file")
    given = parser.parse_args()
    engine = Engine(images=image.read(given.images), state=given.state)
    try:
        uvicorn.run(
            application(engine),
            uds=str(given.socket),
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
    finally:
        given.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
