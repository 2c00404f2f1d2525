"""What every platform promises, whatever it is."""

import asyncio
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason, Refusal
from receiver.targets.docker.host import PATIENCE
from receiver.workload import Selector
from tests.bed.processes import until
from tests.bed.proxy import Fault
from tests.targets.conftest import Subject, run

WITHIN = timedelta(seconds=90)
BRIEFLY = timedelta(seconds=4)

HOSTILE = [
    "",
    ".",
    "..",
    ".*",
    "*",
    "^",
    "cart|orders",
    "../images/prune?x=",
    "..%2Fimages%2Fprune",
    "a/b",
    "a\\b",
    "a?b=c",
    "a#b",
    "a b",
    "a\nb",
    "cart\n",
    "orders\x00",
    "a\u202eb",
    "ｃａｒｔ",
    "заказы",
    "x" * 300,
]

STALLS = [
    Fault.STALL_AFTER_CONNECT,
    Fault.STALL_BEFORE_ANSWER,
    Fault.STALL_IN_HEADERS,
    Fault.STALL_IN_BODY,
    Fault.DRIP,
]


def named(subject: Subject, *, name: str | None = None, scope: str | None = None, kind: str | None = None) -> Selector:
    like = subject.selector
    return Selector(
        platform=like.platform,
        instance=None,
        kind=like.kind if kind is None else kind,
        name=like.name if name is None else name,
        scope=like.scope if scope is None else scope,
    )


def test_a_workload_that_is_well_is_found_and_told_by_its_key(subject: Subject) -> None:
    workload = run(subject.platform.resolve(subject.selector))
    assert workload.key == subject.key
    assert (workload.replicas, workload.ready, workload.healthy, workload.why) == (2, 2, True, "")
    assert workload.uid
    assert workload.version
    assert subject.proxy.changes == []


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(name=st.sampled_from(HOSTILE) | st.text(max_size=20), in_scope=st.booleans())
def test_no_name_finds_what_it_does_not_spell_out_or_changes_anything(
    subject: Subject, name: str, in_scope: bool
) -> None:
    selector = named(subject, scope=name) if in_scope else named(subject, name=name)
    with pytest.raises(Refusal) as refused:
        run(subject.platform.resolve(selector))
    assert refused.value.reason in (Reason.NO_TARGET, Reason.TARGET_NOT_ALLOWED)
    assert str(refused.value).isprintable()
    assert subject.proxy.changes == []


def test_a_hostile_name_is_not_even_sent(subject: Subject) -> None:
    for name in HOSTILE:
        with pytest.raises(Refusal):
            run(subject.platform.resolve(named(subject, name=name)))
    assert subject.proxy.requests == []


def test_a_kind_that_the_platform_does_not_have_is_no_target(subject: Subject) -> None:
    with pytest.raises(Refusal) as refused:
        run(subject.platform.resolve(named(subject, kind="Everything")))
    assert refused.value.reason is Reason.NO_TARGET


def test_a_missing_scope_is_no_target(subject: Subject) -> None:
    with pytest.raises(Refusal) as refused:
        run(subject.platform.resolve(named(subject, scope="")))
    assert refused.value.reason is Reason.NO_TARGET


def test_what_does_not_exist_is_no_target(subject: Subject) -> None:
    with pytest.raises(Refusal) as refused:
        run(subject.platform.resolve(named(subject, name="nobody")))
    assert refused.value.reason is Reason.NO_TARGET


def test_what_is_not_on_the_allow_list_is_refused(subject: Subject) -> None:
    with pytest.raises(Refusal) as refused:
        run(subject.platform.resolve(subject.forbidden))
    assert refused.value.reason is Reason.TARGET_NOT_ALLOWED
    assert subject.proxy.changes == []


def test_a_restart_waits_until_it_runs_and_tells_what_was_before(subject: Subject) -> None:
    async def restart() -> None:
        workload = await subject.platform.resolve(subject.selector)
        result = await subject.platform.restart(workload, within=WITHIN)
        assert result, "a result tells before and after"
        assert (await subject.platform.resolve(subject.selector)).healthy

    run(restart())
    assert len(subject.proxy.changes) == subject.changes_per_restart


def test_what_was_replaced_since_it_was_resolved_is_left_alone(subject: Subject) -> None:
    workload = run(subject.platform.resolve(subject.selector))
    subject.replace()
    with pytest.raises(Permanent, match="replaced since it was looked up"):
        run(subject.platform.restart(workload, within=WITHIN))
    with pytest.raises(Permanent, match="replaced since it was looked up"):
        run(subject.platform.scale(workload, 3, within=WITHIN))
    assert subject.proxy.changes == []


def test_scaling_waits_for_the_new_replicas_and_goes_back_again(subject: Subject) -> None:
    async def scale(replicas: int) -> None:
        workload = await subject.platform.resolve(subject.selector)
        result = await subject.platform.scale(workload, replicas, within=WITHIN)
        assert (result["before"]["replicas"], result["after"]["replicas"]) == (workload.replicas, replicas)
        after = await subject.platform.resolve(subject.selector)
        assert (after.replicas, after.ready, after.healthy) == (replicas, replicas, True)

    run(scale(3))
    run(scale(2))


def test_scaling_to_what_is_there_changes_nothing(subject: Subject) -> None:
    workload = run(subject.platform.resolve(subject.selector))
    run(subject.platform.scale(workload, 2, within=WITHIN))
    assert subject.proxy.changes == []


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.STALL_BEFORE_ANSWER, Fault.STALL_IN_HEADERS, Fault.DRIP])
def test_a_restart_whose_answer_is_lost_is_uncertain_and_sent_once(subject: Subject, fault: Fault) -> None:
    workload = run(subject.platform.resolve(subject.selector))
    subject.proxy.fail(fault, "POST", "PATCH")
    with pytest.raises(Uncertain):
        run(subject.platform.restart(workload, within=BRIEFLY))
    assert len(subject.proxy.changes) == 1


def test_silence_after_the_restart_is_uncertain(subject: Subject) -> None:
    workload = run(subject.platform.resolve(subject.selector))

    async def restart() -> None:
        acting = asyncio.create_task(subject.platform.restart(workload, within=BRIEFLY))
        await asyncio.to_thread(until, lambda: subject.proxy.changes, every=0.001, why="the restart is sent")
        subject.proxy.fail(Fault.STALL_BEFORE_ANSWER, "GET")
        await acting

    with pytest.raises(Uncertain):
        run(restart())


def test_nobody_listening_is_temporary_and_nothing_was_sent(subject: Subject) -> None:
    workload = run(subject.platform.resolve(subject.selector))
    with pytest.raises(Temporary):
        run(subject.unreachable.resolve(subject.selector))
    with pytest.raises(Temporary):
        run(subject.unreachable.restart(workload, within=BRIEFLY))
    with pytest.raises(Temporary):
        run(subject.unreachable.scale(workload, 3, within=BRIEFLY))


@pytest.mark.parametrize("fault", STALLS)
def test_a_platform_that_stalls_is_given_up_on_in_time(subject: Subject, fault: Fault) -> None:
    run(subject.platform.resolve(subject.selector))  # what a platform loads at first is loaded
    subject.proxy.fail(fault)
    began = time.monotonic()
    with pytest.raises(Temporary):
        run(subject.hasty.resolve(subject.selector))
    assert time.monotonic() - began < PATIENCE.total_seconds(), "it has waited as if it were in no haste"


def test_a_platform_that_drips_takes_no_more_threads_than_its_pool_and_then_fails_fast(subject: Subject) -> None:
    run(subject.platform.resolve(subject.selector))
    subject.proxy.fail(Fault.DRIP)

    async def ask_often() -> None:
        asked = [subject.hasty.resolve(subject.selector) for _ in range(30)]
        assert all(isinstance(said, Temporary) for said in await asyncio.gather(*asked, return_exceptions=True))
        hanging = [thread for thread in threading.enumerate() if thread.name.startswith("amend-")]
        assert len(hanging) == 8
        assert all(thread.daemon for thread in hanging), "the interpreter would wait for it"
        with pytest.raises(Temporary, match="all 8 calls at once hang"):  # and not: busy, after having waited
            await subject.hasty.resolve(subject.selector)
        await subject.hasty.close()  # which would wait for ever, if it waited for them

    run(ask_often())


@pytest.mark.parametrize("module", ["receiver.targets", "receiver.targets.kubernetes.cluster"])
def test_the_heavy_clients_are_not_loaded_before_they_are_needed(module: str) -> None:
    code = f"import sys, {module}; print([name for name in ('docker', 'kubernetes') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
