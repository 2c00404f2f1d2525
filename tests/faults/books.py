"""The ledger as somebody else finds it: read straight from the database, whether or not a receiver runs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from receiver.audit import Entry, verify
from receiver.store.log import entries


@dataclass(frozen=True)
class Deed:
    """A run with what the alert that began it was about."""

    id: int
    playbook: str
    attempt: int
    status: str
    outcome: str
    reason: str
    detail: str
    service: str
    steps: tuple[str, ...]  #: each step's status


class Books:
    """Of the store at `url`; every question is asked on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def deliveries(self) -> set[int]:
        return {row[0] for row in self._ask("select id from deliveries")}

    def unfinished(self) -> int:
        """Alerts that nobody has looked at, and runs that are neither over nor at rest."""
        waiting = self._ask("select count(*) from alerts where state = 'new'")[0][0]
        return int(waiting + self._ask("select count(*) from runs where wake_at is not null")[0][0])

    def undecided(self) -> int:
        """Alerts that nobody has looked at, and runs that were neither allowed nor refused."""
        waiting = self._ask("select count(*) from alerts where state = 'new'")[0][0]
        return int(waiting + self._ask("select count(*) from runs where status = 'matched'")[0][0])

    def deeds(self) -> list[Deed]:
        """All runs, the oldest first."""
        steps: dict[int, list[str]] = {}
        for run, status in self._ask("select run_id, status from steps order by id"):
            steps.setdefault(run, []).append(status)
        with self._engine.connect() as connection:
            service = sa.literal_column("episodes.labels", sa.JSON)["service"].as_string().label("service")
            columns: list[Any] = [
                sa.literal_column(f"runs.{name}").label(name)
                for name in ("id", "playbook", "attempt", "status", "outcome", "reason", "detail")
            ]
            joined = sa.text("runs join episodes on episodes.id = runs.episode_id")
            query = sa.select(*columns, service).select_from(joined).order_by(sa.text("runs.id"))
            rows = connection.execute(query).mappings().all()
        return [Deed(**{**row, "reason": row["reason"] or ""}, steps=tuple(steps.get(row["id"], ()))) for row in rows]

    def reasons(self) -> Counter[str]:
        """How many runs were last refused for which reason."""
        return Counter(row[0] for row in self._ask("select reason from runs where reason is not null"))

    def audit(self, run: int | None = None) -> list[Entry]:
        """The audit log, or what it says about a run; the oldest first."""
        with self._engine.connect() as connection:
            return [entry for entry in entries(connection) if run in (None, entry.run_id)]

    def insist_on_integrity(self) -> None:
        """The file is whole, the chain of the audit log too, and no alert key has two open episodes."""
        if self._engine.dialect.name == "sqlite":
            assert self._ask("pragma integrity_check") == [("ok",)]
            assert not self._ask("pragma foreign_key_check")
        verify(self.audit(), None)
        twice = "select alert_key from episodes where closed_at is null group by alert_key having count(*) > 1"
        assert not self._ask(twice)

    def _ask(self, statement: str) -> list[Any]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]
