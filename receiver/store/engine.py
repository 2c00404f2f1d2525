"""How a database is opened and brought to the newest schema; what differs between the two kinds is in a file of each.

The store and the offline commands call it. A database that cannot be opened is a ConfigError that names its URL
without its password.
"""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from receiver.errors import ConfigError
from receiver.store import postgresql, sqlite
from receiver.store.writer import plain

MIGRATIONS = Path(__file__).parent / "migrations"


class Backend(Protocol):
    """A kind of database."""

    READING: dict[str, Any]

    def open_engine(self, url: sa.URL, /, *, pool_size: int) -> sa.Engine: ...

    def open_to_read(self, engine: sa.Engine, /) -> sa.Engine: ...

    def lock_books(self, connection: sa.Connection, /) -> None: ...

    def lease_clock(self, connection: sa.Connection, at: datetime, /) -> datetime: ...


BACKENDS: dict[str, Backend] = {"sqlite": sqlite, "postgresql": postgresql}


def backend(of: sa.Engine | sa.Connection) -> Backend:
    return BACKENDS[of.dialect.name]


def open_engine(url: str, *, pool_size: int = 5) -> sa.Engine:
    """An engine whose transactions may write from their first statement on."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        # not shown: it may hold a password, and cannot be told apart
        raise ConfigError("store.url", None, "is not a database URL; write for example sqlite:///amend.db") from error
    kind = BACKENDS.get(parsed.get_backend_name())
    if kind is None:
        raise ConfigError(_shown(parsed), None, "store.url must be sqlite:///FILE or postgresql+psycopg://HOST/NAME")
    return kind.open_engine(parsed, pool_size=pool_size)


def open_to_read(url: str) -> sa.Engine:
    """An engine that changes nothing, not even the journal mode of a SQLite file; for looking at copies."""
    engine = open_engine(url)
    return backend(engine).open_to_read(engine)


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest schema; ConfigError when it cannot be reached or is newer than we are."""
    try:
        with engine.begin() as connection:
            if _version(connection) != _newest():
                backend(connection).lock_books(connection)  # several replicas start at once
                _upgrade(connection)
    except sa.exc.DatabaseError as error:
        raise ConfigError(_shown(engine.url), None, f"the store cannot be opened: {plain(error)}") from error


def _upgrade(connection: sa.Connection) -> None:
    # here, because a third of the time to start would be spent on what is needed once per release
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        place = _shown(connection.engine.url)
        raise ConfigError(place, None, f"the store was made by a newer amend: {error}") from error


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(sa.text("select version_num from alembic_version"))
    return version


def _newest() -> str:
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _shown(url: sa.URL) -> str:
    return url.render_as_string(hide_password=True)
