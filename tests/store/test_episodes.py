"""Episodes as rows: one open per alert key, whatever happens to it."""

import pytest
import sqlalchemy as sa

from receiver.run import Closing, Episode
from receiver.store import episodes
from tests.store.conftest import alert, at, stored


def test_an_alert_key_has_one_open_episode_at_most(connection: sa.Connection, episode: Episode) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="alert_key"), connection.begin_nested():
        episodes.open_(connection, stored(alert(service="orders"), received=1))
    episodes.open_(connection, stored(alert(service="users")))
    episodes.close(connection, episode, at=at(1), ends_at=at(1), closing=Closing.RESOLVED)
    assert episodes.open_(connection, stored(alert(service="orders"), received=2)).open


def test_a_closed_episode_cannot_go_on_beside_an_open_one(connection: sa.Connection, episode: Episode) -> None:
    closed = episodes.close(connection, episode, at=at(1), ends_at=at(1), closing=Closing.RESOLVED)
    again = stored(alert(service="orders", start=30), received=30)
    episodes.open_(connection, again)
    with pytest.raises(sa.exc.IntegrityError, match="alert_key"), connection.begin_nested():
        episodes.refresh(connection, closed, again)


def test_an_episode_keeps_its_first_start_and_takes_over_what_is_new(
    connection: sa.Connection, episode: Episode
) -> None:
    later = alert(service="orders", start=5)
    refreshed = episodes.refresh(connection, episode, stored(later, received=6))
    assert (refreshed.starts_at, refreshed.last_starts_at, refreshed.last_seen_at) == (at(0), at(5), at(6))
    earlier = episodes.refresh(connection, refreshed, stored(alert(service="orders", start=-5), received=7))
    assert (earlier.starts_at, earlier.last_starts_at, earlier.opened_at) == (at(-5), at(5), at(0))
    assert episodes.get(connection, episode.id) == earlier


def test_an_episode_that_goes_on_knows_its_last_end(connection: sa.Connection, episode: Episode) -> None:
    closed = episodes.close(connection, episode, at=at(2), ends_at=at(1), closing=Closing.RESOLVED)
    assert (closed.open, closed.closing, closed.ends_at) == (False, Closing.RESOLVED, at(1))
    reopened = episodes.refresh(connection, closed, stored(alert(service="orders", start=5), received=5))
    assert (reopened.open, reopened.closing, reopened.ends_at) == (True, None, at(1))
    again = episodes.close(connection, reopened, at=at(9), ends_at=at(0), closing=Closing.LOST)
    assert again.ends_at == at(1)


def test_the_newest_are_the_open_one_and_the_one_that_ended_last(connection: sa.Connection, episode: Episode) -> None:
    key = episode.alert_key
    assert episodes.newest(connection, {key, "other"}) == ({key: episode}, {})
    closed = episodes.close(connection, episode, at=at(2), ends_at=at(1), closing=Closing.RESOLVED)
    assert episodes.newest(connection, {key}) == ({}, {key: closed})
    second = episodes.open_(connection, stored(alert(service="orders", start=20), received=20))
    assert episodes.newest(connection, {key}) == ({key: second}, {key: closed})
    second = episodes.close(connection, second, at=at(30), ends_at=at(25), closing=Closing.RESOLVED)
    assert episodes.newest(connection, {key}) == ({}, {key: second})


def test_an_end_that_was_heard_of_first_is_remembered(connection: sa.Connection) -> None:
    over = stored(alert("resolved", start=0, end=5), received=6)
    remembered = episodes.remember(connection, over, None)
    assert (remembered.open, remembered.ends_at) == (False, at(5))
    later = episodes.remember(connection, stored(alert("resolved", start=7, end=9), received=10), remembered)
    assert (later.id, later.ends_at) == (remembered.id, at(9))


def test_on_failure_belongs_to_one_run_of_an_episode(connection: sa.Connection, episode: Episode) -> None:
    assert episodes.claim_failure(connection, episode.id, 1)
    assert episodes.claim_failure(connection, episode.id, 1)
    assert not episodes.claim_failure(connection, episode.id, 2)


def test_a_page_holds_the_newest_first_and_only_what_was_asked_for(connection: sa.Connection) -> None:
    made = [
        episodes.open_(connection, stored(alert(service=service, quote=quote), received=number))
        for number, (service, quote) in enumerate([("a", "x"), ("b", '"'), ("c", "'; drop table")])
    ]
    episodes.close(connection, made[0], at=at(9), ends_at=at(9), closing=Closing.RESOLVED)
    ids = [episode.id for episode in made]
    assert [each.id for each in episodes.page(connection, limit=2)] == ids[:0:-1]
    assert [each.id for each in episodes.page(connection, limit=9, before=ids[1])] == ids[:1]
    assert [each.id for each in episodes.page(connection, limit=9, open_only=True)] == ids[:0:-1]
    for number, label in enumerate(("x", '"', "'; drop table")):
        found = episodes.page(connection, limit=9, labels={"quote": label, "alertname": "LatencyAnomaly"})
        assert [each.id for each in found] == [ids[number]]
    assert episodes.page(connection, limit=9, labels={"nope": "x"}) == []


def test_an_episode_is_silent_from_its_last_delivery_on(connection: sa.Connection, episode: Episode) -> None:
    assert episodes.silent_since(connection, at(0)) == []
    assert episodes.silent_since(connection, at(1)) == [episode]
    episodes.close(connection, episode, at=at(2), ends_at=at(2), closing=Closing.ORPHANED)
    assert episodes.silent_since(connection, at(9)) == []
