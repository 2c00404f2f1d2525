"""How a database is opened: durable, in the newest shape, or told in one line why not."""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from receiver.errors import ConfigError
from receiver.store.engine import MIGRATIONS, migrate, open_engine, open_to_read
from receiver.store.tables import metadata
from tests.bed.postgresql import PostgreSql
from tests.bed.processes import free_port


@pytest.fixture
def engine(database: Path) -> Iterator[sa.Engine]:
    """On SQLite: what is asked here is asked of a file."""
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine)
    yield engine
    engine.dispose()


def refused(url: str) -> str:
    with pytest.raises(ConfigError) as raised:
        migrate(open_engine(url))
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_every_connection_syncs_each_commit_of_a_write_ahead_log(engine: sa.Engine) -> None:
    for _ in range(3):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000
        engine.dispose()  # and the next connection is a new one


def test_the_migrations_make_exactly_the_tables(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_exactly_the_indexes_with_their_conditions(engine: sa.Engine, tmp_path: Path) -> None:
    """Alembic does not compare an index' WHERE, on which the locks rest."""
    plain = sa.create_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    metadata.create_all(plain)
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
    with engine.connect() as migrated, plain.connect() as made:
        assert migrated.exec_driver_sql(query).all() == made.exec_driver_sql(query).all()
    plain.dispose()


def test_migrating_twice_changes_nothing(engine: sa.Engine, database: Path) -> None:
    engine.dispose()
    before = database.read_bytes()
    again = open_engine(f"sqlite:///{database}")
    migrate(again)
    again.dispose()
    assert database.read_bytes() == before


def test_each_migration_has_a_number_of_its_own() -> None:
    numbers = [path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")]
    assert len(numbers) == len(set(numbers)) > 0


def test_a_store_of_a_newer_amend_is_left_alone(engine: sa.Engine, database: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "the store was made by a newer amend" in refused(f"sqlite:///{database}")


def test_a_store_that_cannot_be_opened_is_told_with_its_url(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and much longer than a header would be\n" * 10)
    for name in ("no/such/folder.db", ".", "text.db"):
        said = refused(f"sqlite:///{tmp_path / name}")
        assert said.startswith(f"sqlite:///{tmp_path / name}: the store cannot be opened: ")


def test_a_url_that_names_no_store_is_refused_without_its_password() -> None:
    assert "must be sqlite:///FILE or postgresql+psycopg://HOST/NAME" in refused("mysql://me:hunter2@db/x")
    assert "hunter2" not in refused("mysql://me:hunter2@db/x")
    assert "is not a database URL" in refused("amend.db")
    assert "hunter2" not in refused("me:hunter2@db/x")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql+nothing://me:hunter2@db/amend", "no such driver"),
        ("postgresql+psycopg://me:hunter2@db:port/amend", "is not a database URL"),
    ],
)
def test_a_url_that_could_never_be_opened_is_refused_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        open_engine(url)
    assert "hunter2" not in str(refused.value)


def test_to_read_opens_a_copy_and_changes_nothing(engine: sa.Engine, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with sqlite3.connect(database) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
    target.close()
    os.chmod(copy, 0o400)
    before = copy.read_bytes()
    reading = open_to_read(f"sqlite:///{copy}")
    with reading.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit").scalar() == 0
        with pytest.raises(sa.exc.OperationalError, match="readonly"):
            connection.exec_driver_sql("DELETE FROM audit")
    assert copy.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("copy.db*")) == ["copy.db"]


def test_to_read_makes_no_file_where_there_is_none(tmp_path: Path) -> None:
    reading = open_to_read(f"sqlite:///{tmp_path / 'nowhere.db'}")
    with pytest.raises(sa.exc.OperationalError):
        reading.connect()
    assert list(tmp_path.iterdir()) == []


# ── PostgreSQL ──


def test_the_migrations_make_exactly_the_tables_and_indexes_on_postgresql(postgresql: PostgreSql) -> None:
    migrated, made = open_engine(postgresql.database()), open_engine(postgresql.database())
    migrate(migrated)
    metadata.create_all(made)
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename <> 'alembic_version' ORDER BY 1"
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"
    )
    with migrated.connect() as one, made.connect() as other:
        for query in (indexes, columns):
            assert one.exec_driver_sql(query).all() == other.exec_driver_sql(query).all()
    migrated.dispose()
    made.dispose()


def test_replicas_that_start_at_once_make_the_tables_once(postgresql: PostgreSql) -> None:
    engines = [open_engine(url) for url in [postgresql.database()] * 6]
    with ThreadPoolExecutor(len(engines)) as pool:
        list(pool.map(migrate, engines))
    for engine in engines:
        engine.dispose()


def test_a_short_postgresql_url_takes_the_driver_that_we_bring(postgresql: PostgreSql) -> None:
    engine = open_engine(postgresql.url().replace("+psycopg", ""))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
    engine.dispose()


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password() -> None:
    said = refused(f"postgresql+psycopg://me:hunter2@127.0.0.1:{free_port()}/amend")
    assert "the store cannot be opened" in said
    assert "refused" in said
    assert "hunter2" not in said
