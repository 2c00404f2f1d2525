"""Where `amend serve` listens: a socket that is ours before anything starts, and a server that stops when told."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from receiver import settings
from receiver.errors import ConfigError
from receiver.web.protocol import PunctualProtocol

GRACE = 5  #: seconds that requests in progress get
BACKLOG = 2048
MOST_CONNECTIONS = 1000


def bind(server: settings.Server) -> socket.socket:
    """The socket; ConfigError when somebody else has it."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((server.host, server.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            server.listen, None, f"cannot listen there: {error.strerror}; choose another server.listen in amend.yml"
        ) from error
    listening.setblocking(False)  # noqa: FBT003 - the name says it
    return listening


def configuration(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=75,
        limit_concurrency=MOST_CONNECTIONS,
        backlog=BACKLOG,
        http=PunctualProtocol,
        ws="none",
        lifespan="off",
    )


class Server(uvicorn.Server):
    """Leaves it to us what follows upon a signal."""

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again when it is done, which ends the process before the worker has drained
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        yield
