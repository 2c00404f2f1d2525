"""A real PostgreSQL with a cluster of the test run's own, and a database for whoever asks.

It syncs as in production. PostgreSQL refuses to run as root; there it runs as the user that its package made.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg

from tests.bed.parts import program
from tests.bed.processes import Process, free_port

USER = "postgres"


class PostgreSql(Process):
    """A server at `address`; `database()` makes a new database and gives its URL."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="amend-postgresql-"))
        self.data = self.directory / "data"
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self._databases = 0
        if os.geteuid() == 0:
            shutil.chown(self.directory, USER, USER)
        super().__init__(
            [
                *_as_its_user(),
                program("postgres"),
                f"-D{self.data}",
                f"-p{self.port}",
                "-clisten_addresses=127.0.0.1",
                "-cunix_socket_directories=",
                "-cmax_connections=300",
            ],
            log=self.directory / "log",
        )

    def __enter__(self) -> Self:
        made = subprocess.run(
            [*_as_its_user(), program("initdb"), "--auth=trust", f"--username={USER}", "--encoding=UTF8", self.data],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.sql("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        super().__exit__(*_)
        shutil.rmtree(self.directory)

    def ready(self) -> bool:
        try:
            self.sql("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def freeze(self) -> None:
        """Have it hang: connections stay, and nothing is answered until `thaw`."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """The server's, and that of each session."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def database(self) -> str:
        """The URL of a database that nobody else uses."""
        self._databases += 1
        name = f"amend{os.getpid()}_{self._databases}"
        self.sql(f"create database {name}")
        return self.url(name)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """As store.url has it; `port` is that of a proxy before it."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{port or self.port}/{database}"

    def sql(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a statement gives, run by itself."""
        conninfo = self.url(database).replace("+psycopg", "")
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def _as_its_user() -> list[str]:
    # setpriv becomes what it starts, so that the process' id is the server's
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
