"""From deliveries to episodes and runs, in a real ledger, whatever order the deliveries come in."""

import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.run import Closing, Reason, Status
from tests.bed.receiver import alert
from tests.workbench import RESTART, START, Answers, Bench

OFTEN = RESTART + "  cooldown: 1s\n  max_attempts: {count: 1000, within: 1h}\n"
GAP_ASKED = 'count_over_time(ALERTS{alertstate="firing",alertname="Slow"}'


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers() as answers:
        yield answers


# ── one alert ──


def test_a_repeated_firing_is_one_episode_and_one_action(bench: Bench) -> None:
    for _ in range(5):
        bench.fire(started=START)
        bench.wait(minutes=9)
    assert (len(bench.episodes()), bench.calls) == (1, [("restart", "orders")])
    assert bench.kinds().count("episode_opened") == 1


def test_copies_from_both_of_a_pair_are_one_episode(bench: Bench) -> None:
    for replica in ("a", "b"):
        bench.fire(started=START, replica=replica)
    assert (len(bench.episodes()), len(bench.calls)) == (1, 1)


def test_a_late_firing_of_what_is_over_is_stale_and_told_so(bench: Bench) -> None:
    bench.now += timedelta(minutes=1)
    bench.resolve(started=START)
    bench.fire(started=START)
    bench.fire(started=START + timedelta(minutes=1))
    assert (bench.calls, bench.runs()) == ([], [])
    assert bench.kinds() == ["alert_stale", "alert_stale"]


def test_a_re_fire_within_the_window_goes_on_with_the_episode(bench: Bench) -> None:
    bench.write_playbooks(OFTEN)
    bench.fire()
    bench.now += timedelta(minutes=1)
    bench.resolve()
    bench.now += timedelta(minutes=9)
    bench.fire()
    (episode,) = bench.episodes()
    assert episode.open
    assert bench.kinds()[-1] == "episode_reopened"


def test_a_re_fire_after_the_window_is_another_episode(bench: Bench) -> None:
    bench.write_playbooks(OFTEN)
    bench.fire()
    bench.now += timedelta(minutes=1)
    bench.resolve()
    bench.now += timedelta(minutes=11)
    bench.fire()
    assert [episode.open for episode in bench.episodes()] == [False, True]
    assert len(bench.calls) == 2


def test_what_was_refused_because_it_had_ended_is_decided_again_when_it_goes_on(bench: Bench) -> None:
    bench.deliver(
        alert("Slow", service="orders", started=START),
        alert("Slow", service="orders", started=START, ended=START + timedelta(seconds=1)),
    )
    assert bench.run().reason is Reason.RESOLVED
    bench.now += timedelta(minutes=1)
    bench.fire()
    assert bench.calls == [("restart", "orders")]


def test_the_end_of_an_episode_lets_its_waiting_runs_rest(bench: Bench) -> None:
    bench.write_playbooks(RESTART + "  condition: z_score > 3\n" + OFTEN.replace("name: restart", "name: other"))
    bench.fire()
    bench.fire(severity="high")
    assert bench.run(playbook="other").reason is Reason.COOLDOWN
    bench.deliver(alert("Slow", service="orders", severity="high", started=START, ended=bench.now))
    assert bench.run(playbook="other").wake_at is None
    bench.wait(minutes=1)
    assert len(bench.calls) == 1


# ── which playbooks answer ──


def test_an_alert_that_nobody_answers_is_in_the_books_once(bench: Bench) -> None:
    bench.fire("Unknown")
    bench.fire("Unknown", started=START)
    assert (bench.kinds(), bench.runs()) == (["episode_opened", "no_match"], [])


def test_every_playbook_whose_matchers_all_fit_answers(bench: Bench) -> None:
    bench.write_playbooks(
        RESTART
        + RESTART.replace("name: restart", "name: other").replace('"Slow"', '"Slow"\', \'service=~"orders|users"')
        + RESTART.replace("name: restart", "name: none").replace('"Slow"', '"Slow"\', \'service!~"orders|users"')
    )
    bench.fire()
    assert sorted(run.playbook for run in bench.runs()) == ["other", "restart"]


def test_a_playbook_that_is_new_answers_an_open_episode_with_the_next_delivery(bench: Bench) -> None:
    bench.fire("Leaky")
    bench.write_playbooks(RESTART.replace("Slow", "Leaky"))
    bench.fire("Leaky", started=START)
    assert bench.calls == [("restart", "orders")]


# ── was there a gap? ──


def refire(bench: Bench) -> None:
    """A firing with a new start, long after the last delivery: its `resolved` may have been lost, or silenced."""
    bench.write_playbooks(OFTEN)
    bench.fire()
    bench.now += timedelta(minutes=30)
    bench.fire(started=START + timedelta(minutes=20))


def test_without_anybody_to_ask_a_new_start_is_a_new_episode(bench: Bench) -> None:
    refire(bench)
    first, second = bench.episodes()
    assert (first.closing, first.ends_at, second.open) == (Closing.LOST, START, True)
    assert len(bench.calls) == 2


@pytest.mark.parametrize(("seen", "episodes"), [(600, 1), (599, 1), (300, 2), (None, 2)])
def test_prometheus_knows_whether_there_was_a_gap(
    tmp_path: Path, answers: Answers, seen: float | None, episodes: int
) -> None:
    with Bench(tmp_path, prometheus=answers.url) as bench:
        span = 1800  # seconds from the last delivery to now; asked in steps of 3
        if seen is not None:
            answers.values[f"{GAP_ASKED}[{span}s:3s])"] = seen
        refire(bench)
        assert len(answers.asked) == 1
        assert len(bench.episodes()) == episodes


def test_a_prometheus_that_does_not_answer_counts_as_a_gap(tmp_path: Path, answers: Answers) -> None:
    answers.status = 503
    with Bench(tmp_path, prometheus=answers.url) as bench:
        refire(bench)
        assert [episode.closing for episode in bench.episodes()] == [Closing.LOST, None]


def test_what_comes_after_a_question_waits_for_its_answer(tmp_path: Path, answers: Answers) -> None:
    with Bench(tmp_path, prometheus=answers.url) as bench:
        bench.write_playbooks(OFTEN)
        bench.fire()
        bench.now += timedelta(minutes=30)
        again = START + timedelta(minutes=20)
        bench.deliver(
            alert("Slow", service="orders", started=again),
            alert("Slow", service="orders", started=again, ended=bench.now),
        )
        assert len(answers.asked) == 1
        assert [episode.closing for episode in bench.episodes()] == [Closing.LOST, Closing.RESOLVED]
        assert len(bench.calls) == 1


# ── any order ──


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What is told of an alert that fires and ends a few times, in any order, some of it twice; and its last end."""
    told: list[dict[str, Any]] = []
    moment = 0
    for _ in range(draw(st.integers(1, 3))):
        began = moment + draw(st.integers(1, 1500))
        moment = began + draw(st.integers(0, 1500))
        told.append(_told(began))
        told.append(_told(began, moment))
    last = told.pop()
    copies = draw(st.lists(st.sampled_from([*told, last]), max_size=4))
    return draw(st.permutations([*told, *copies])), last


def _told(began: int, ended: int | None = None) -> dict[str, Any]:
    moments = [START + timedelta(seconds=each) if each is not None else None for each in (began, ended)]
    return alert("Slow", service="orders", started=moments[0], ended=moments[1])


@settings(max_examples=25, deadline=None)
@given(story=stories(), later=st.lists(st.integers(0, 1000), min_size=20, max_size=20), together=st.integers(1, 4))
def test_nothing_begins_after_the_last_end_in_whatever_order_it_is_told(
    story: tuple[Sequence[dict[str, Any]], dict[str, Any]], later: Sequence[int], together: int
) -> None:
    told, last = story
    with tempfile.TemporaryDirectory() as directory, Bench(Path(directory), OFTEN) as bench:
        bench.now += timedelta(hours=3)  # all of it has happened when the first is told
        steps = iter(later)
        for position in range(0, len(told), together):
            bench.deliver(*told[position : position + together])
            bench.now += timedelta(seconds=next(steps))
            assert sum(episode.open for episode in bench.episodes()) <= 1
        bench.deliver(last)
        done = len(bench.calls)
        for each in told:
            bench.deliver(each)
            bench.wait(seconds=2)
        assert len(bench.calls) == done
        assert not any(episode.open for episode in bench.episodes())
        assert {run.status for run in bench.runs()} <= {Status.DONE, Status.SKIPPED}
        runs = [(run.episode_id, run.playbook, run.attempt) for run in bench.runs()]
        assert len(runs) == len(set(runs))


def test_an_alert_that_the_database_refuses_is_set_aside_and_the_others_are_answered(bench: Bench) -> None:
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON episodes WHEN NEW.labels LIKE '%users%'"
    bench.write(lambda c: c.exec_driver_sql(f"{refuse} BEGIN SELECT RAISE(ABORT, 'not this one'); END"))
    bench.deliver(*(alert("Slow", service=service, started=START) for service in ("orders", "users", "payments")))
    assert sorted(bench.calls) == [("restart", "orders"), ("restart", "payments")]
    states = bench.read(lambda c: c.exec_driver_sql("SELECT state, why FROM alerts ORDER BY id").all())
    assert [state for state, _ in states] == ["applied", "quarantined", "applied"]
    assert "not this one" in states[1][1]
    assert bench.kinds().count("episode_opened") == 2
