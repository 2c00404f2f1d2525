"""What one process tells all others, and the pause switch, which is such a signal."""

import sqlalchemy as sa

from receiver.store import pause, signals
from receiver.store.signals import Signal
from tests.store.conftest import at


def test_a_signal_is_changed_by_the_first_who_asks(connection: sa.Connection) -> None:
    assert signals.get(connection, "x") == Signal(number=0)
    assert not signals.change(connection, "x", 0, actor="a", at=at(0))
    assert signals.change(connection, "x", 1, actor="a", at=at(0), note="why")
    assert not signals.change(connection, "x", 1, actor="b", at=at(1))
    assert signals.get(connection, "x") == Signal(number=1, actor="a", at=at(0), note="why")
    assert signals.change(connection, "x", 0, actor="b", at=at(1))
    assert signals.get(connection, "y").number == 0


def test_a_pause_lasts_until_somebody_resumes_and_names_who_began_it(connection: sa.Connection) -> None:
    assert pause.current(connection) is None
    assert pause.turn(connection, on=True, by="anna", at=at(0), why="deploying")
    assert not pause.turn(connection, on=True, by="ben", at=at(1), why="")
    assert str(pause.current(connection)) == "paused by anna since 2026-03-02 00:00:00 UTC: deploying"
    assert pause.resumed_at(connection) is None
    assert pause.turn(connection, on=False, by="ben", at=at(2))
    assert (pause.current(connection), pause.resumed_at(connection)) == (None, at(2))
    assert pause.turn(connection, on=True, by="ben", at=at(3))
    assert pause.resumed_at(connection) == at(2)


def test_resuming_what_goes_on_counts_as_resuming(connection: sa.Connection) -> None:
    assert not pause.turn(connection, on=False, by="anna", at=at(3))
    assert pause.resumed_at(connection) == at(3)
