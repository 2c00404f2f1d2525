"""Runs under their leases: one claimant, one holder of a workload, one writer per step."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from receiver.run import Episode, Outcome, Reason, Run, Status, StepStatus
from receiver.store import limits, runs, sqlite, steps
from receiver.store import postgresql as postgresql_store
from receiver.store.steps import Superseded
from tests.store.conftest import Begin, at

LEASE = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases end by the tests' clock on PostgreSQL, too; that its own counts there is a test of its own below."""
    monkeypatch.setattr(postgresql_store, "lease_clock", sqlite.lease_clock)


def claim(
    connection: sa.Connection, owner: str = "a", *, minute: float = 0, busy: tuple[int, ...] = (), besides: str = ""
) -> list[Run]:
    return runs.claim_due(connection, owner=owner, at=at(minute), lease=LEASE, limit=10, busy=busy, besides=[besides])


def act(connection: sa.Connection, run: Run, workload: str | None = "docker/local/container/x") -> Run:
    return runs.change(
        connection, run, at=at(0), keep=True, status=Status.ACTING, workload=workload, acted_at=at(0), wake_at=at(0)
    )


def intend(connection: sa.Connection, run: Run, position: int = 0) -> None:
    steps.intend(connection, run, phase="steps", position=position, verb="restart", arguments={"a": 1}, at=at(0))


def conclude(connection: sa.Connection, run: Run, status: StepStatus = StepStatus.DONE) -> None:
    steps.conclude(
        connection, run, phase="steps", position=0, status=status, at=at(1), result={"replicas": 2}, error=""
    )


def test_an_attempt_exists_once(connection: sa.Connection, begin: Begin, episode: Episode) -> None:
    run = begin()
    arguments = {"episode_id": episode.id, "playbook": "restart", "mode": "enforce", "at": at(0), "wake_at": at(0)}
    assert runs.create(connection, attempt=1, **arguments) is None  # type: ignore[arg-type]
    assert begin(attempt=2).id != run.id
    assert begin("other").id != run.id
    assert runs.newest(connection, episode.id).keys() == {"restart", "other"}
    assert runs.newest(connection, episode.id)["restart"].attempt == 2


# ── claims ──


def test_a_claimed_run_is_nobody_elses_until_its_lease_is_over(connection: sa.Connection, begin: Begin) -> None:
    run = begin()
    (claimed,) = claim(connection)
    assert (claimed.id, claimed.epoch) == (run.id, 1)
    assert claim(connection, "b", minute=0.4) == []
    (taken,) = claim(connection, "b", minute=0.5)
    assert taken.epoch == 2


def test_only_what_is_due_is_claimed_the_longest_due_first(connection: sa.Connection, begin: Begin) -> None:
    late, early, later = begin("a", wake=2), begin("b", wake=1), begin("c", wake=9)
    assert [run.id for run in claim(connection, minute=5)] == [early.id, late.id]
    assert runs.next_wake(connection) == at(5.5)  # when the leases end: until then they are in good hands
    runs.rest(connection, [later.id])
    assert claim(connection, minute=60, busy=(early.id, late.id)) == []


def test_a_playbook_that_has_all_that_it_may_is_left_out(connection: sa.Connection, begin: Begin) -> None:
    waits, works = begin("hangs", wake=0), begin("well", wake=1)
    assert [run.id for run in claim(connection, minute=2, besides="hangs")] == [works.id]
    assert runs.next_wake(connection, besides=["hangs"]) == at(2) + LEASE
    assert [run.id for run in claim(connection, minute=2)] == [waits.id]


def test_a_lease_is_renewed_by_its_owner_alone(connection: sa.Connection, begin: Begin) -> None:
    run = begin()
    claim(connection)
    runs.renew(connection, owner="b", ids=[run.id], at=at(0), lease=timedelta(hours=1))
    assert claim(connection, "b", minute=1)
    runs.renew(connection, owner="b", ids=[run.id], at=at(0), lease=timedelta(hours=1))
    assert claim(connection, "a", minute=59) == []


def test_who_lost_the_lease_cannot_write_over_the_successor(connection: sa.Connection, begin: Begin) -> None:
    begin()
    (paused,) = claim(connection, "a")
    (successor,) = claim(connection, "b", minute=5)
    recorded = runs.change(connection, successor, at=at(6), status=Status.DONE, outcome=Outcome.UNKNOWN, wake_at=None)
    for values in ({"status": Status.DONE, "outcome": Outcome.FIXED}, {"detail": "mine"}):
        with pytest.raises(Superseded, match="was taken over by another process"):
            runs.change(connection, paused, at=at(7), **values)
    assert runs.get(connection, paused.id) == recorded


def test_leases_of_several_machines_end_by_the_databases_clock(
    engine: sa.Engine, connection: sa.Connection, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    begin(wake=-1e6)
    early, late = at(-100_000), at(9_000_000)  # a replica that is months behind, and one that is years ahead
    runs.claim_due(connection, owner="a", at=early, lease=LEASE, limit=1, busy=())
    taken = runs.claim_due(connection, owner="b", at=late, lease=LEASE, limit=1, busy=())
    assert bool(taken) == (engine.dialect.name == "sqlite")


def test_a_change_lets_go_of_the_run_unless_it_is_kept(connection: sa.Connection, begin: Begin) -> None:
    begin()
    (run,) = claim(connection)
    kept = runs.change(connection, run, at=at(0), keep=True, detail="still mine")
    assert claim(connection, "b") == []
    runs.change(connection, kept, at=at(0), detail="yours")
    assert [each.detail for each in claim(connection, "b")] == ["yours"]


# ── the lock ──


def test_two_runs_never_act_on_one_workload(connection: sa.Connection, begin: Begin) -> None:
    begin("a")
    begin("b")
    one, other = claim(connection)
    one = act(connection, one)
    with pytest.raises(sa.exc.IntegrityError, match=r"runs\.workload"), connection.begin_nested():
        act(connection, other)
    holder = limits.holder(connection, "docker/local/container/x", besides=other.id)
    assert holder
    assert holder.id == one.id
    assert limits.holder(connection, "docker/local/container/x", besides=one.id) is None


def test_the_lock_lasts_while_it_is_verified_and_no_longer(connection: sa.Connection, begin: Begin) -> None:
    begin("a")
    begin("b")
    one, other = claim(connection)
    one = runs.change(connection, act(connection, one), at=at(1), keep=True, status=Status.VERIFYING)
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        act(connection, other)
    runs.change(connection, one, at=at(2), status=Status.DONE)
    assert act(connection, other).status is Status.ACTING


def test_other_workloads_and_none_at_all_are_not_locked(connection: sa.Connection, begin: Begin) -> None:
    for name in "abcd":
        begin(name)
    one, two, three, four = claim(connection)
    act(connection, one)
    act(connection, two, "docker/local/container/y")
    act(connection, three, None)
    act(connection, four, None)


def test_those_that_waited_longest_for_a_lock_are_woken(connection: sa.Connection, begin: Begin) -> None:
    for name in "abc":
        begin(name)
    for run in claim(connection):
        waits = {"reason": Reason.LOCKED, "workload": "x", "wake_at": at(60)}
        runs.change(connection, run, at=at(0), status=Status.SKIPPED, **waits)  # type: ignore[arg-type]
    runs.wake_locked(connection, "y", at=at(1))
    assert claim(connection, minute=2) == []
    runs.wake_locked(connection, "x", at=at(1))
    assert [run.playbook for run in claim(connection, minute=2)] == ["a", "b"]


# ── steps ──


def test_a_step_of_an_attempt_is_intended_once(connection: sa.Connection, begin: Begin) -> None:
    begin()
    (run,) = claim(connection)
    intend(connection, run)
    with pytest.raises(sa.exc.IntegrityError, match=r"steps[._]run_id"), connection.begin_nested():
        intend(connection, run)
    intend(connection, run, position=1)


def test_a_step_is_concluded_once_by_who_intended_it(connection: sa.Connection, begin: Begin) -> None:
    begin()
    (run,) = claim(connection)
    intend(connection, run)
    (successor,) = claim(connection, "b", minute=5)
    with pytest.raises(Superseded):
        conclude(connection, successor)
    conclude(connection, run)
    with pytest.raises(Superseded):
        conclude(connection, run, StepStatus.FAILED)
    found = runs.get(connection, run.id)
    assert found
    (step,) = found.steps
    assert (step.status, step.arguments, step.result, step.finished_at) == (
        StepStatus.DONE,
        {"a": 1},
        {"replicas": 2},
        at(1),
    )


def test_a_step_left_in_mid_air_is_unknown_and_its_late_result_is_not_taken(
    connection: sa.Connection, begin: Begin
) -> None:
    begin()
    (gone,) = claim(connection)
    intend(connection, act(connection, gone))
    (successor,) = claim(connection, "b", minute=5)
    assert [step.verb for step in runs.cut_off(connection, successor, at=at(5))] == ["restart"]
    with pytest.raises(Superseded):
        conclude(connection, gone)
    found = runs.get(connection, gone.id)
    assert found
    assert found.steps[0].status is StepStatus.UNKNOWN
    assert runs.cut_off(connection, found, at=at(6)) == []


# ── what the limits count ──


def finished(connection: sa.Connection, run: Run, workload: str, *, minute: float) -> None:
    runs.change(
        connection,
        run,
        at=at(minute),
        status=Status.DONE,
        workload=workload,
        acted_at=at(minute),
        finished_at=at(minute + 1),
        wake_at=None,
    )


def test_limits_count_by_workload_and_playbook_not_by_episode(
    connection: sa.Connection, begin: Begin, episode: Episode
) -> None:
    begin("a")
    begin("a", attempt=2)
    begin("b")
    for minute, (run, workload) in enumerate(zip(claim(connection), ("x", "y", "x"), strict=True)):
        finished(connection, run, workload, minute=minute)

    def attempts(playbook: str, workload: str | None, since: float = -1) -> int:
        return limits.attempts(connection, playbook=playbook, since=at(since), workload=workload, episode_id=episode.id)

    assert (attempts("a", "x"), attempts("a", "y"), attempts("b", "x"), attempts("b", "y")) == (1, 1, 1, 0)
    assert attempts("a", None) == 2
    assert attempts("a", "x", since=0) == 0
    assert limits.touched(connection, since=at(-1)) == {"x": at(2), "y": at(1)}
    assert limits.touched(connection, since=at(-1), playbook="a") == {"x": at(0), "y": at(1)}


def test_each_step_counts_as_an_action_but_those_of_other_verbs(connection: sa.Connection, begin: Begin) -> None:
    begin("a")
    (run,) = claim(connection)
    for position, verb in enumerate(("restart", "notify", "scale")):
        steps.intend(connection, run, phase="steps", position=position, verb=verb, arguments={}, at=at(position))

    def earliest(allowed: int, *, since: float) -> datetime | None:
        return limits.acted(connection, since=at(since), verbs=["restart", "scale"], allowed=allowed)

    assert [earliest(allowed, since=-1) for allowed in (1, 2, 3)] == [at(2), at(0), None]
    assert [earliest(allowed, since=0) for allowed in (1, 2)] == [at(2), None]


# ── for people ──


def test_a_page_holds_the_newest_first_and_only_what_was_asked_for(
    connection: sa.Connection, begin: Begin, episode: Episode
) -> None:
    first, second, third = begin("a"), begin("b"), begin("a", attempt=2)
    (run,) = (each for each in claim(connection) if each.id == second.id)
    intend(connection, run)
    runs.change(connection, run, at=at(1), status=Status.SKIPPED, reason=Reason.COOLDOWN)

    def ids(**filters: object) -> list[int]:
        return [each.id for each in runs.page(connection, limit=9, **filters)]  # type: ignore[arg-type]

    assert ids() == [third.id, second.id, first.id]
    assert ids(before=second.id) == [first.id]
    assert ids(playbook="a") == [third.id, first.id]
    assert ids(status="skipped", reason="cooldown", outcome="none") == [second.id]
    assert ids(episode_id=episode.id + 1) == []
    assert ids(labels={"service": "orders"}) == [third.id, second.id, first.id]
    assert ids(labels={"service": "users"}) == []
    assert [len(each.steps) for each in runs.page(connection, limit=2)] == [0, 1]
    assert runs.counts(connection) == {("matched", "none"): 2, ("skipped", "none"): 1}
