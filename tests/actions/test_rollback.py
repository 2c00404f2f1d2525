"""`rollback` with approvals: people see where it leads, and it leads nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.approval import Answer, Approval
from receiver.errors import Permanent, Temporary
from receiver.run import Outcome, Status
from receiver.store import approvals
from tests.workbench import Bench, workload

ROLLBACK = """
- name: undo
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {service: "{{ labels.service }}"}}
  approval: {required: always}
  steps:
  - rollback: {}
"""
WAY = "revision 1 in place of shop/orders:2"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, ROLLBACK) as bench:
        bench.platform.workloads["orders"] = workload("orders", replicas=1, ready=1, version="shop/orders:2")
        bench.platform.before = "revision 1"
        yield bench


def asked(bench: Bench) -> Approval:
    run_id = bench.run().id
    found = bench.read(lambda c: approvals.latest(c, run_id))
    assert found
    return found


def agree(bench: Bench) -> None:
    bench.do(bench.approvals.answer(bench.run().id, Answer.APPROVED, by="anna"))
    bench.work()


def test_people_are_shown_where_it_leads(bench: Bench) -> None:
    bench.fire()
    assert asked(bench).shown["steps"] == [{"verb": "rollback", "arguments": {"leads_to": WAY}}]
    agree(bench)
    assert bench.calls == [("rollback to None", "orders")]
    assert bench.run().steps[0].arguments == {"leads_to": WAY}


def test_what_leads_somewhere_else_by_now_is_another_question(bench: Bench) -> None:
    bench.fire()
    bench.platform.before = "revision 2"
    agree(bench)
    assert bench.run().status is Status.WAITING
    assert asked(bench).shown["steps"][0]["arguments"]["leads_to"].startswith("revision 2 ")
    assert bench.calls == []


def test_what_is_deployed_between_two_tries_is_not_taken_back(bench: Bench) -> None:
    async def somebody_deploys() -> None:
        bench.platform.before = "revision 2"

    bench.platform.failing, bench.platform.meanwhile = Temporary("changed at the same moment"), somebody_deploys
    bench.fire()
    agree(bench)
    assert len(bench.calls) == 1
    assert bench.run().outcome is Outcome.FAILED
    assert "would go to revision 2 in place of shop/orders:2 by now; it was to go to revision 1" in bench.run().detail


def test_in_on_failure_it_leads_where_people_were_shown_or_nowhere(bench: Bench) -> None:
    steps = "  steps:\n  - restart: {}\n  on_failure:\n  - rollback: {}\n"
    bench.write_playbooks(ROLLBACK.replace("  steps:\n  - rollback: {}\n", steps))
    bench.fire()
    assert asked(bench).shown["on_failure"] == [{"verb": "rollback", "arguments": {"leads_to": WAY}}]

    async def somebody_deploys() -> None:
        bench.platform.before = "revision 2"

    bench.platform.failing, bench.platform.meanwhile = Permanent("broken"), somebody_deploys
    agree(bench)
    assert bench.calls == [("restart", "orders")]


def test_one_that_leads_nowhere_says_so_and_keeps_nobody_from_being_told(bench: Bench) -> None:
    bench.platform.nowhere = Permanent("its history has only what runs now")
    bench.fire()
    assert asked(bench).shown["steps"][0]["arguments"] == {"leads_to": "nothing: its history has only what runs now"}
    agree(bench)
    assert (bench.run().outcome, bench.calls) == (Outcome.FAILED, [])
