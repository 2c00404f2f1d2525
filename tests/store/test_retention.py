"""What is too old goes, and nothing that something rests on."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from receiver.audit import Broken, Kind, verify
from receiver.marker import Marker, MarkerStatus
from receiver.run import Closing, Status
from receiver.store import deliveries, deployments, episodes, log, retention, runs, steps
from receiver.store.log import Log
from receiver.store.tables import alerts, audit, metadata
from receiver.store.tables import deliveries as table
from tests.store.conftest import Begin, alert, at, deliver, stored

DAY = 24 * 60


def count(connection: sa.Connection, what: sa.Table) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(what)).scalar_one()


def test_old_deliveries_go_with_their_alerts_but_for_those_that_nobody_looked_at(connection: sa.Connection) -> None:
    first = deliver(connection, alert(service="a"), alert(service="b"), received=0)
    unread = deliver(connection, alert(service="c"), received=1)
    young = deliver(connection, alert(service="d"), received=DAY)
    ids = [each.id for each in deliveries.waiting(connection, limit=9) if each.delivery_id != unread]
    deliveries.settle(connection, ids, state="applied")

    assert retention.prune_deliveries(connection, before=at(DAY)) == 1
    assert retention.prune_deliveries(connection, before=at(DAY)) == 0
    assert set(connection.execute(sa.select(table.c.id)).scalars()) == {unread, young}
    assert first not in connection.execute(sa.select(alerts.c.delivery_id)).scalars().all()


@pytest.mark.parametrize(
    ("status", "closed", "goes"),
    [
        (Status.DONE, True, True),
        (Status.SKIPPED, True, True),
        (Status.VERIFYING, True, False),
        (Status.ACTING, True, False),
        (Status.DONE, False, False),
    ],
)
def test_an_episode_goes_with_its_runs_when_all_of_it_is_over(
    connection: sa.Connection, begin: Begin, status: Status, *, closed: bool, goes: bool
) -> None:
    run = begin()
    steps.intend(connection, run, phase="steps", position=0, verb="restart", arguments={}, at=at(0))
    runs.change(connection, run, at=at(1), status=status)
    if closed:
        episode = episodes.get(connection, run.episode_id)
        assert episode
        episodes.close(connection, episode, at=at(2), ends_at=at(2), closing=Closing.RESOLVED)
    young = episodes.open_(connection, stored(alert(service="young")))
    episodes.close(connection, young, at=at(DAY), ends_at=at(DAY), closing=Closing.RESOLVED)

    assert retention.prune_episodes(connection, before=at(DAY)) == goes
    assert (runs.get(connection, run.id) is None) == goes
    assert (episodes.get(connection, run.episode_id) is None) == goes
    assert episodes.get(connection, young.id)


def written(connection: sa.Connection, days: int, *, key: bytes | None = None) -> Log:
    """A log with ten rows a day."""
    books = Log(actor="amend/a", key=key)
    for number in range(days * 10):
        books.append(connection, Kind.SKIPPED, at=at(number * DAY / 10), data={"n": number})
    return books


def prune(connection: sa.Connection, books: Log, *, day: int) -> int:
    prefix = retention.old_entries(connection, before=at(day * DAY))
    if prefix is None:
        return 0
    told = {"entries": prefix.entries, "through": prefix.through, "hash": prefix.hash}
    books.append(connection, Kind.PRUNED, at=at(10 * DAY), data=told)
    retention.remove_entries(connection, prefix)
    return prefix.entries


@pytest.mark.parametrize("key", [None, b"a key"])
def test_what_stays_of_a_pruned_log_verifies_and_says_where_it_begins(
    connection: sa.Connection, key: bytes | None
) -> None:
    books = written(connection, 5, key=key)
    assert prune(connection, books, day=1) == 10
    assert prune(connection, books, day=1) == 0
    assert prune(connection, books, day=3) == 20
    verdict = verify(log.entries(connection), key)
    assert (verdict.pruned, verdict.entries) == (30, 22)
    assert "after row 30, up to which they were removed by age" in str(verdict)


def test_more_than_retention_removed_is_named(connection: sa.Connection) -> None:
    prune(connection, written(connection, 5), day=2)
    connection.execute(audit.delete().where(audit.c.seq == 21))
    with pytest.raises(Broken, match="the log starts with row 22: the rows before it are missing, and no row says why"):
        verify(log.entries(connection), None)


def test_a_clock_that_went_back_keeps_the_rows_behind_it(connection: sa.Connection) -> None:
    books = Log(actor="amend/a", key=None)
    for day in (0, 3, 1, 4):
        books.append(connection, Kind.SKIPPED, at=at(day * DAY), data={})
    assert prune(connection, books, day=2) == 1, "a beginning goes, not a row from between others"
    assert verify(log.entries(connection), None).entries == 4


def test_a_long_past_goes_in_batches(connection: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ENTRIES", 8)
    books = written(connection, 3)
    assert [prune(connection, books, day=2) for _ in range(4)] == [8, 8, 4, 0]
    assert verify(log.entries(connection), None).pruned == 20


def test_nothing_goes_from_an_empty_store(connection: sa.Connection) -> None:
    before = at(0) + timedelta(days=9999)
    assert retention.prune_deliveries(connection, before=before) == 0
    assert retention.prune_episodes(connection, before=before) == 0
    assert retention.old_entries(connection, before=before) is None
    assert {name for name, each in metadata.tables.items() if count(connection, each)} == set()


def test_old_markers_go_but_for_the_latest_of_each_service(connection: sa.Connection) -> None:
    for service, many in (("a", retention.MARKERS + 3), ("b", 2)):
        for number in range(many):
            succeeded = MarkerStatus.SUCCEEDED
            marker = Marker(service=service, version=str(number), status=succeeded, at=at(number), by="ci")
            deployments.add(connection, marker)
    assert retention.prune_deployments(connection, before=at(DAY)) == 3
    assert retention.prune_deployments(connection, before=at(DAY)) == 0
    assert [each.version for each in deployments.newest(connection, ["a"])][-1] == "3"
    assert len(deployments.newest(connection, ["b"])) == 2
