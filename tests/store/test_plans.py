"""What every alert asks of the store is found by an index, however many records there are."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from receiver.store import deliveries, episodes, limits, runs
from receiver.store.statement import Compiled
from tests.store.conftest import at

WHOLE = ("SCAN runs", "SCAN steps", "SCAN episodes", "SCAN alerts", "SCAN deliveries")

QUESTIONS: dict[str, Callable[[sa.Connection], Any]] = {
    "lock": lambda c: limits.holder(c, "x", besides=1),
    "cooldown": lambda c: limits.last_end(c, workload="x", playbook="p", mode="enforce"),
    "attempts": lambda c: limits.attempts(c, playbook="p", since=at(0), workload="x", episode_id=1),
    "attempts without a target": lambda c: limits.attempts(c, playbook="p", since=at(0), workload=None, episode_id=1),
    "targets": lambda c: limits.touched(c, since=at(0)),
    "targets of one playbook": lambda c: limits.touched(c, since=at(0), playbook="p"),
    "actions": lambda c: limits.acted(c, since=at(0), verbs=["http"], allowed=3),
    "actions to come": lambda c: limits.coming(c, verbs=["http"], besides=1),
    "breaker": lambda c: limits.unhelpful(c, since=at(0)),
    "due": lambda c: runs.claim_due(c, owner="a", at=at(0), lease=timedelta(seconds=1), limit=9, busy=[1]),
    "next": runs.next_wake,
    "waiting for a lock": lambda c: runs.wake_locked(c, "x", at=at(0)),
    "of an episode": lambda c: runs.newest(c, 1),
    "waiting alerts": lambda c: deliveries.waiting(c, limit=9),
    "episodes": lambda c: episodes.newest(c, ["a"]),
}


@pytest.fixture
def url(database: Path) -> str:
    """SQLite alone: PostgreSQL decides by its statistics, and reads an empty table whole in any case."""
    return f"sqlite:///{database}"


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_reads_a_whole_table(name: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    execute = Compiled.execute

    def note(self: Compiled, connection: sa.Connection, bound: Any) -> Any:
        asked.append((self.text, bound))
        return execute(self, connection, bound)

    monkeypatch.setattr(Compiled, "execute", note)
    with engine.begin() as connection:
        QUESTIONS[name](connection)
        assert asked
        for text, values in asked:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple(values))]
            whole = [step for step in plan if step.startswith(WHOLE) and "ix_alerts_new" not in step]
            assert whole == [], f"{text}\n{plan}"
