"""Each guard says no with its own reason, and tells when it is worth asking again."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.guards import GUARDS
from receiver.run import Outcome, Reason, Refusal, Run, Status
from receiver.settings.limits import Limits
from tests.bed.processes import free_port
from tests.bed.receiver import alert
from tests.workbench import RESTART, START, Answers, Bench, workload

NEVER = None  #: final for the episode


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers() as answers:
        yield answers


def playbook(**settings: str) -> str:
    """The usual playbook with more in it."""
    return RESTART + "".join(f"  {name}: {text}\n" for name, text in settings.items())


def refused(run: Run, reason: Reason, *, retry_in: float | None) -> None:
    """It did not act, for this reason, and will be asked again after so many seconds."""
    assert (run.status, run.reason) == (Status.SKIPPED, reason), run
    assert run.wake_at == (None if retry_in is None else START + timedelta(seconds=retry_in)), run


def test_the_order_of_the_guards_is_the_documented_one() -> None:
    assert [guard.name for guard in GUARDS] == [
        "enabled",
        "episode",
        "age",
        "pause",
        "time_intervals",
        "condition",
        "target",
        "also_firing",
        "deployed_within",
        "silence",
        "lock",
        "cooldown",
        "max_attempts",
        "max_targets",
        "rate_limit",
        "min_healthy",
        "breaker",
        "approval",
        "only_if",
    ]


def test_every_guard_that_let_a_run_pass_is_written_down(bench: Bench) -> None:
    bench.fire()
    assert bench.run().state["guards"] == [guard.name for guard in GUARDS]
    assert bench.calls == [("restart", "orders")]


def test_a_refusal_is_told_with_its_reason_and_what_let_it_pass_before(bench: Bench) -> None:
    bench.write_playbooks(playbook(condition="z_score > 3"))
    bench.fire(annotations={"z_score": "2"})
    (entry,) = [entry for entry in bench.audit() if entry.kind == "skipped"]
    assert entry.data["reason"] == "condition_false"
    assert entry.data["guards"] == ["enabled", "episode", "age", "pause", "time_intervals"]
    assert "z_score > 3" in entry.data["detail"]


# ── a second sign ──


def test_a_second_alert_about_the_same_workload_is_waited_for(bench: Bench) -> None:
    bench.write_playbooks(playbook(also_firing="""['alertname="Failing"', 'severity!="low"']"""))
    bench.fire()
    refused(bench.run(), Reason.CONDITION_FALSE, retry_in=30)
    assert (
        bench.run().detail
        == 'no alert fires with alertname="Failing", severity!="low" for docker/local/container/orders'
    )
    bench.fire("Failing", service="users")
    bench.fire("Failing", service="orders", severity="low")
    bench.deliver(alert("Failing", started=START, instance="a"))
    bench.wait(seconds=30)
    assert bench.calls == []
    bench.fire("Failing", service="orders", severity="high")
    bench.wait(seconds=30)
    assert bench.calls == [("restart", "orders")]


def test_a_second_alert_that_is_over_is_no_sign(bench: Bench) -> None:
    bench.write_playbooks(playbook(also_firing="""['alertname="Failing"']"""))
    bench.fire("Failing")
    bench.now += timedelta(seconds=1)
    bench.resolve("Failing")
    bench.fire()
    assert (bench.run().reason, bench.calls) == (Reason.CONDITION_FALSE, [])


# ── before the target is known ──


def test_a_disabled_playbook_does_nothing(bench: Bench) -> None:
    bench.write_playbooks(playbook(enabled="false"))
    bench.fire()
    refused(bench.run(), Reason.DISABLED, retry_in=NEVER)
    assert bench.calls == []


def test_what_is_over_before_its_turn_is_left_alone(bench: Bench) -> None:
    bench.deliver(
        alert("Slow", service="orders", started=START),
        alert("Slow", service="orders", started=START, ended=START + timedelta(seconds=1)),
    )
    refused(bench.run(), Reason.RESOLVED, retry_in=NEVER)
    assert bench.calls == []


def test_a_playbook_on_resolved_runs_when_the_episode_closes_and_not_before(bench: Bench) -> None:
    bench.write_playbooks(playbook(on="resolved"))
    bench.fire()
    assert bench.runs() == []
    bench.now += timedelta(minutes=1)
    bench.resolve()
    assert bench.run().status is Status.DONE
    assert bench.calls == [("restart", "orders")]


def test_a_playbook_on_resolved_that_was_overtaken_by_a_re_fire_runs_at_the_next_end(bench: Bench) -> None:
    bench.write_playbooks(playbook(on="resolved"))
    bench.fire()
    bench.deliver(
        alert("Slow", service="orders", started=START, ended=START + timedelta(seconds=1)),
        alert("Slow", service="orders", started=START + timedelta(seconds=2)),
    )
    assert (bench.run().reason, bench.calls) == (Reason.STALE, [])
    bench.now += timedelta(minutes=1)
    bench.resolve(started=START + timedelta(seconds=2))
    assert bench.calls == [("restart", "orders")]


def test_what_waited_longer_than_max_age_is_stale(bench: Bench) -> None:
    bench.write_playbooks(playbook(max_age="10m"))
    bench.store(alert("Slow", service="orders", started=START))
    bench.now += timedelta(minutes=10, seconds=1)
    bench.work()
    refused(bench.run(), Reason.STALE, retry_in=NEVER)
    assert "601s late" in bench.run().detail


def test_waits_that_a_guard_asked_for_do_not_make_a_run_stale(bench: Bench) -> None:
    bench.write_playbooks(playbook(max_age="1m", cooldown="20m", max_attempts="{count: 2}"))
    bench.fire()
    bench.fire("Slow", service="orders", severity="high")
    assert bench.run().reason is Reason.COOLDOWN
    bench.wait(minutes=21)
    assert [call for call, _ in bench.calls] == ["restart", "restart"]


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [({"z_score": "2.9"}, Reason.CONDITION_FALSE), ({}, Reason.NO_DATA), ({"z_score": "NaN"}, Reason.NO_DATA)],
)
def test_a_condition_needs_its_number(bench: Bench, annotations: dict[str, str], reason: Reason) -> None:
    bench.write_playbooks(playbook(condition="z_score > 3"))
    bench.fire(annotations=annotations)
    refused(bench.run(), reason, retry_in=NEVER)


def test_a_condition_is_asked_again_with_the_next_delivery(bench: Bench) -> None:
    bench.write_playbooks(playbook(condition="z_score > 3"))
    bench.fire(annotations={"z_score": "2"}, started=START)
    bench.fire(annotations={"z_score": "4"}, started=START)
    assert bench.calls == [("restart", "orders")]


# ── the target ──


def test_a_label_that_the_target_needs_and_the_alert_lacks_is_no_target(bench: Bench) -> None:
    bench.deliver(alert("Slow", started=START))
    refused(bench.run(), Reason.NO_TARGET, retry_in=NEVER)
    assert bench.calls == []


@pytest.mark.parametrize("service", ["", " "])
def test_an_empty_name_is_no_target(bench: Bench, service: str) -> None:
    bench.fire(service=service)
    refused(bench.run(), Reason.NO_TARGET, retry_in=NEVER)


@pytest.mark.parametrize("reason", [Reason.NO_TARGET, Reason.TARGET_NOT_ALLOWED, Reason.AMBIGUOUS_TARGET])
def test_what_the_platform_refuses_is_final(bench: Bench, reason: Reason) -> None:
    bench.platform.silent = Refusal(reason, "says the platform")
    bench.fire()
    refused(bench.run(), reason, retry_in=NEVER)


@pytest.mark.parametrize("error", [Temporary("no answer"), Permanent("no right to list"), Uncertain("cut off")])
def test_a_platform_that_does_not_say_is_a_no(bench: Bench, error: Exception) -> None:
    bench.platform.silent = error
    bench.fire()
    refused(bench.run(), Reason.GUARD_ERROR, retry_in=30)
    assert bench.run().detail == f"target: {error}"
    bench.platform.silent = None
    bench.wait(seconds=30)
    assert bench.calls == [("restart", "orders")]


def test_a_platform_that_nobody_configured_is_no_target(bench: Bench) -> None:
    bench.write_playbooks(RESTART.replace("{docker:", "{kubernetes: {kind: Deployment, namespace: a, name: b}} #"))
    bench.fire()
    refused(bench.run(), Reason.NO_TARGET, retry_in=NEVER)


def test_a_host_that_nobody_configured_is_no_target(bench: Bench) -> None:
    bench.write_playbooks(RESTART.replace('service }}"', 'service }}", host: "{{ labels.host }}"'))
    bench.fire(host="remote")
    refused(bench.run(), Reason.NO_TARGET, retry_in=NEVER)


# ── the lock, and what counts by workload ──


def test_two_playbooks_do_not_act_on_one_workload_at_once(bench: Bench) -> None:
    verified = playbook(verify='{query: "up == 1", absent_for: 10s}')
    bench.write_playbooks(verified + verified.replace("name: restart", "name: other"))
    bench.fire()
    (holder,) = bench.runs(status="verifying")
    (waiting,) = bench.runs(status="skipped")
    assert waiting.reason is Reason.LOCKED
    assert f"run {holder.id} of {holder.playbook} has docker/local/container/orders" in waiting.detail
    assert bench.calls == [("restart", "orders")]


def test_what_waits_for_a_lock_goes_on_as_soon_as_it_is_free(tmp_path: Path, answers: Answers) -> None:
    answers.values["up == 1"] = answers.values["up"] = answers.values["count(up{})"] = 1
    with Bench(tmp_path, prometheus=answers.url) as bench:
        verified = playbook(verify='{query: "up == 1", absent_for: 2s}')
        bench.write_playbooks(verified + verified.replace("name: restart", "name: other"))
        bench.fire()
        bench.wait(seconds=3)
        first, second = sorted(bench.runs(), key=lambda run: run.acted_at or bench.now)
        assert first.finished_at == second.acted_at
        assert bench.calls == [("restart", "orders"), ("restart", "orders")]


def test_a_cooldown_counts_from_the_end_of_the_last_run_and_over_all_alerts(tmp_path: Path, answers: Answers) -> None:
    answers.values["up == 1"] = answers.values["up"] = answers.values["count(up{})"] = 1
    with Bench(tmp_path, prometheus=answers.url) as bench:
        bench.write_playbooks(
            playbook(cooldown="5m", max_attempts="{count: 5, within: 1h}", verify='{query: "up == 1", absent_for: 30s}')
        )
        bench.fire()
        bench.wait(minutes=1)
        ended = bench.run().finished_at
        assert ended
        assert ended >= START + timedelta(seconds=30)
        bench.fire(severity="high")
        run = bench.run()
        assert (run.reason, run.wake_at) == (Reason.COOLDOWN, ended + timedelta(minutes=5))
        bench.wait(minutes=5)
        assert len(bench.calls) == 2


def test_a_cooldown_is_of_its_workload_and_its_playbook_alone(bench: Bench) -> None:
    bench.write_playbooks(RESTART + RESTART.replace("name: restart", "name: other").replace("Slow", "Leaky"))
    bench.fire(service="orders")
    bench.fire(service="users")
    bench.fire("Leaky", service="orders")
    assert [name for _, name in bench.calls] == ["orders", "users", "orders"]


def test_a_cooldown_holds_though_the_playbook_was_only_observing_when_the_run_matched(bench: Bench) -> None:
    bench.write_playbooks(playbook(condition="z_score > 3", max_attempts="{count: 5}").replace("enforce", "observe"))
    bench.fire()
    assert bench.run().reason is Reason.NO_DATA
    bench.write_playbooks(playbook(max_attempts="{count: 5}"))
    bench.fire(started=START)
    bench.fire(severity="high")
    assert bench.run().reason is Reason.COOLDOWN
    assert bench.calls == [("restart", "orders")]


def test_attempts_are_counted_by_workload_over_all_alerts(bench: Bench) -> None:
    bench.write_playbooks(playbook(cooldown="1s", max_attempts="{count: 2, within: 1h}"))
    for number in range(3):
        bench.fire(severity=f"tier-{number}")
        bench.now += timedelta(seconds=2)
    assert len(bench.calls) == 2
    assert (bench.run().reason, bench.run().wake_at) == (Reason.MAX_ATTEMPTS, None)
    bench.fire(service="users")
    assert bench.calls[2:] == [("restart", "users")]
    bench.now = START + timedelta(hours=1, seconds=3)
    bench.fire(severity="tier-3")
    assert bench.calls[3:] == [("restart", "orders")]


def test_a_playbook_touches_only_so_many_workloads(bench: Bench) -> None:
    bench.write_playbooks(playbook(max_targets="{count: 2, within: 10m}"))
    bench.fire(service="orders")
    bench.now += timedelta(minutes=1)
    bench.fire(service="users")
    bench.fire(service="payments")
    refused(bench.run(), Reason.MAX_TARGETS, retry_in=600)
    bench.wait(minutes=10)
    assert [name for _, name in bench.calls] == ["orders", "users", "payments"]


def test_actions_per_minute_are_limited_over_all_playbooks(tmp_path: Path) -> None:
    with Bench(tmp_path, limits=Limits(actions_per_minute=2)) as bench:
        bench.write_playbooks(RESTART + RESTART.replace("name: restart", "name: other").replace("Slow", "Leaky"))
        bench.fire(service="orders")
        bench.now += timedelta(seconds=10)
        bench.fire("Leaky", service="users")
        bench.fire(service="payments")
        refused(bench.run(), Reason.RATE_LIMITED, retry_in=60)
        bench.wait(seconds=50)
        assert [name for _, name in bench.calls] == ["orders", "users", "payments"]


def test_workloads_in_ten_minutes_are_limited_over_all_playbooks(tmp_path: Path) -> None:
    with Bench(tmp_path, limits=Limits(targets_per_10m=2)) as bench:
        bench.write_playbooks(RESTART + RESTART.replace("name: restart", "name: other").replace("Slow", "Leaky"))
        bench.fire(service="orders")
        bench.fire("Leaky", service="users")
        bench.fire(service="payments")
        refused(bench.run(), Reason.RATE_LIMITED, retry_in=600)
        bench.fire("Leaky", service="orders")  # one of the two already touched
        assert [name for _, name in bench.calls] == ["orders", "users", "orders"]


def test_limits_hold_for_a_whole_storm_in_one_delivery(tmp_path: Path) -> None:
    with Bench(tmp_path, limits=Limits(actions_per_minute=3, targets_per_10m=100)) as bench:
        bench.platform.workloads |= {f"pod-{number}": workload(f"pod-{number}") for number in range(40)}
        bench.deliver(*(alert("Slow", service=f"pod-{number}", started=START) for number in range(40)))
        assert len(bench.calls) == 3
        assert sum(run.reason is Reason.RATE_LIMITED for run in bench.runs()) == 37


def test_steps_that_are_still_to_come_count_as_actions(tmp_path: Path) -> None:
    twice = RESTART + "  - restart: {}\n"
    with Bench(tmp_path, twice, limits=Limits(actions_per_minute=3, targets_per_10m=100)) as bench:
        bench.platform.workloads |= {f"pod-{number}": workload(f"pod-{number}") for number in range(9)}
        bench.deliver(*(alert("Slow", service=f"pod-{number}", started=START) for number in range(9)))
        assert len(bench.calls) == 2  # the third action in this minute would be followed by a fourth
        bench.wait(seconds=60)
        assert len(bench.calls) == 4


@pytest.mark.parametrize(("ready", "replicas"), [(1, 2), (0, 0)])
def test_too_few_healthy_replicas_hold_it_back(bench: Bench, ready: int, replicas: int) -> None:
    bench.write_playbooks(playbook(min_healthy="51%"))
    bench.platform.workloads["orders"] = workload("orders", ready=ready, replicas=replicas)
    bench.fire()
    refused(bench.run(), Reason.MIN_HEALTHY, retry_in=30)
    bench.platform.workloads["orders"] = workload("orders", ready=2, replicas=2)
    bench.wait(seconds=30)
    assert bench.calls == [("restart", "orders")]


# ── only_if ──

ONLY_IF = 'sum(up{job="shop"}) > 2'
WATCHED = 'sum(up{job="shop"})'


def test_only_if_lets_pass_what_is_true(tmp_path: Path, answers: Answers) -> None:
    answers.values[ONLY_IF] = 3
    with Bench(tmp_path, playbook(only_if=ONLY_IF), prometheus=answers.url) as bench:
        bench.fire()
        assert bench.calls == [("restart", "orders")]
        assert answers.asked == [ONLY_IF]


def test_only_if_tells_false_from_no_data(tmp_path: Path, answers: Answers) -> None:
    with Bench(tmp_path, playbook(only_if=ONLY_IF), prometheus=answers.url) as bench:
        bench.fire()
        refused(bench.run(), Reason.NO_DATA, retry_in=30)
        answers.values[WATCHED] = 2
        bench.wait(seconds=30)
        assert bench.run().reason is Reason.CONDITION_FALSE
        answers.values[ONLY_IF] = 3
        bench.wait(seconds=30)
        assert bench.calls == [("restart", "orders")]


def test_only_if_of_nothing_by_nothing_is_no_data(tmp_path: Path, answers: Answers) -> None:
    answers.values[WATCHED] = float("nan")
    with Bench(tmp_path, playbook(only_if=ONLY_IF), prometheus=answers.url) as bench:
        bench.fire()
        refused(bench.run(), Reason.NO_DATA, retry_in=30)


@pytest.mark.parametrize("status", [400, 503])
def test_only_if_that_is_refused_an_answer_is_a_no(tmp_path: Path, answers: Answers, status: int) -> None:
    answers.status = status
    with Bench(tmp_path, playbook(only_if=ONLY_IF), prometheus=answers.url) as bench:
        bench.fire()
        refused(bench.run(), Reason.GUARD_ERROR, retry_in=30)


def test_only_if_without_prometheus_is_a_no(tmp_path: Path, running: ExitStack) -> None:
    for url in (None, f"http://127.0.0.1:{free_port()}"):
        directory = tmp_path / str(url is None)
        directory.mkdir()
        with Bench(directory, playbook(only_if=ONLY_IF), prometheus=url) as bench:
            bench.fire()
            refused(bench.run(), Reason.GUARD_ERROR, retry_in=30)
            assert bench.calls == []


# ── observe ──


def test_observing_touches_nothing_and_says_what_it_would_have_done(bench: Bench) -> None:
    bench.write_playbooks(RESTART.replace("mode: enforce", "mode: observe"))
    bench.fire()
    run = bench.run()
    assert (run.status, run.outcome, run.detail) == (Status.DONE, Outcome.OBSERVED, "would have done: restart")
    assert bench.calls == []
    assert bench.kinds() == ["episode_opened", "observed"]


def test_observing_holds_no_lock_and_starts_no_cooldown_of_the_playbook_that_acts(bench: Bench) -> None:
    bench.write_playbooks(RESTART.replace("mode: enforce", "mode: observe"))
    bench.fire()
    bench.write_playbooks(RESTART)
    bench.fire(severity="high")
    assert bench.calls == [("restart", "orders")]


def test_a_wait_that_goes_on_is_told_once(bench: Bench) -> None:
    bench.write_playbooks(playbook(min_healthy="51%"))
    bench.fire()
    bench.wait(minutes=5)
    assert bench.kinds() == ["episode_opened", "skipped"]


def test_a_lock_that_was_let_go_before_the_refusal_was_written_down_is_asked_for_again_at_once(bench: Bench) -> None:
    bench.platform.failing = Temporary("not now")
    bench.fire()
    run = bench.run()
    late = Refusal(Reason.LOCKED, "another run has it", retry_at=bench.now + timedelta(seconds=30))
    refused = bench.do(bench.worker.pipeline.judgement.refuse(run, late))
    assert refused.wake_at == bench.now, "who had it has woken those that waited, and this one was not among them yet"
