"""How a database is opened: SQLite in WAL with a sync per commit, or PostgreSQL, and brought to the newest schema.

The store and the offline commands call it. A database that cannot be opened is a ConfigError that names its URL
without its password.
"""

import logging
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from receiver.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str, *, pool_size: int = 5) -> sa.Engine:
    """An engine whose transactions may write from their first statement on."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        # not shown: it may hold a password, and cannot be told apart
        raise ConfigError("store.url", None, "is not a database URL; write for example sqlite:///amend.db") from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigError(_shown(parsed), None, "store.url must be sqlite:///FILE or postgresql+psycopg://HOST/NAME")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError(_shown(parsed), None, "store.url names no file; write for example sqlite:///amend.db")
    try:
        engine = sa.create_engine(parsed, pool_size=pool_size, poolclass=sa.QueuePool, pool_timeout=5)
    except ModuleNotFoundError as error:
        raise ConfigError(_shown(parsed), None, f"needs {error.name}; install amend[postgres]") from error
    except sa.exc.NoSuchModuleError as error:
        raise ConfigError(_shown(parsed), None, "there is no such driver; write postgresql+psycopg://…") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _sqlite_connect)
        sa.event.listen(engine, "begin", _sqlite_begin)
    return engine


def open_to_read(url: str) -> sa.Engine:
    """An engine that changes nothing, not even the journal mode of a SQLite file; for looking at copies."""
    engine = open_engine(url)
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file:
        return engine
    address = f"{Path(file).absolute().as_uri()}?mode=ro"
    return sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=sa.NullPool)


def migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest schema; ConfigError when it cannot be reached or is newer than we are."""
    try:
        with engine.begin() as connection:
            if _version(connection) != _newest():
                _upgrade(connection)
    except sa.exc.DatabaseError as error:
        raise ConfigError(_shown(engine.url), None, f"the store cannot be opened: {error.orig}") from error


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


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, below
    cursor = connection.cursor()
    # FULL: with NORMAL an acknowledged commit can be lost when the power fails
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    # A deferred BEGIN that writes after somebody else's commit fails at once, ignoring busy_timeout.
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
