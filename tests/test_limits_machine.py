"""No interleaving of alerts, replicas, failures and the clock exceeds a limit: counted at the target, not asked of us.

Two workers on one ledger, a clock that moves as it likes, alerts that come and go; after each step all calls so far are
held against what the playbooks and amend.yml allow.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from receiver.errors import Permanent, Uncertain
from receiver.run import Reason, Refusal
from receiver.settings.limits import Breaker, Limits
from receiver.workload import Selector, Workload
from tests.workbench import START, Bench, Platform, workload

SERVICES = ("a", "b", "c", "d")
COOLDOWN = timedelta(minutes=5)
ATTEMPTS, ATTEMPTS_WITHIN = 2, timedelta(hours=1)
TARGETS, TARGETS_WITHIN = 2, timedelta(minutes=10)
PER_MINUTE, PER_TEN_MINUTES = 3, 3

PLAYBOOKS = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  cooldown: 5m
  max_attempts: {count: 2, within: 1h}
  max_targets: {count: 2, within: 10m}
  steps:
  - restart: {}
- name: grow
  mode: enforce
  matchers: ['alertname="Full"']
  target: {docker: {container: "{{ labels.service }}"}}
  cooldown: 5m
  max_attempts: {count: 2, within: 1h}
  max_targets: {count: 2, within: 10m}
  steps:
  - scale: {by: 1, max: 1000}
  - restart: {}
"""
ALERTS = {"Slow": "restart", "Full": "grow"}


class Counting(Platform):
    """Writes down when it was told to do what, on what."""

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock = clock
        self.workloads = {name: workload(name, replicas=2, ready=2, healthy=True) for name in SERVICES}
        self.at: list[tuple[datetime, str, str]] = []

    async def resolve(self, selector: Selector) -> Workload:
        if selector.name not in self.workloads:
            raise Refusal(Reason.NO_TARGET, "there is none")
        return await super().resolve(selector)

    async def _do(self, what: str, workload: Workload) -> Any:
        self.at.append((self.clock(), what.split(maxsplit=1)[0], workload.name))
        await asyncio.sleep(0)  # the other worker gets its turn in the middle of a call
        return await super()._do(what, workload)


class Interleaving(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        breaker = Breaker(failures=1000)
        limits = Limits(actions_per_minute=PER_MINUTE, targets_per_10m=PER_TEN_MINUTES, breaker=breaker)
        self.bench = Bench(Path(self.directory.name), PLAYBOOKS, limits=limits).__enter__()
        self.platform = self.bench.platform = Counting(lambda: self.bench.now)
        self.workers = [self.bench.another_worker(name) for name in ("first", "second")]
        self.firing: dict[tuple[str, str], datetime] = {}

    @rule(alert=st.sampled_from(sorted(ALERTS)), service=st.sampled_from(SERVICES), storm=st.integers(1, 3))
    def fires(self, alert: str, service: str, storm: int) -> None:
        began = self.firing.setdefault((alert, service), self.bench.now)
        for _ in range(storm):
            self.bench.store(self._alert(alert, service, began))

    @precondition(lambda self: self.firing)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        alert, service = data.draw(st.sampled_from(sorted(self.firing)))
        began = self.firing.pop((alert, service))
        self.bench.store({**self._alert(alert, service, began), "status": "resolved", "endsAt": self._now()})

    @rule(seconds=st.sampled_from([0, 1, 20, 59, 61, 299, 301, 600, 1800, 3601]))
    def time_passes(self, seconds: int) -> None:
        self.bench.now += timedelta(seconds=seconds)

    @rule(how=st.sampled_from([None, Permanent("no"), Uncertain("who knows")]))
    def calls_end_so(self, how: Exception | None) -> None:
        self.platform.failing = how

    @rule()
    def both_work(self) -> None:
        async def together() -> None:
            await asyncio.gather(*(worker.settle() for worker in self.workers))

        self.bench.do(together())

    @rule()
    def one_works(self) -> None:
        self.bench.work(self.workers[0])

    @rule()
    def a_replica_is_replaced(self) -> None:
        self.workers[1] = self.bench.another_worker("third")

    @invariant()
    def no_more_than_so_many_actions_in_a_minute(self) -> None:
        if hasattr(self, "platform"):
            assert most((at for at, *_ in self.platform.at), timedelta(minutes=1)) <= PER_MINUTE

    @invariant()
    def no_more_than_so_many_targets_in_ten_minutes(self) -> None:
        if hasattr(self, "platform"):
            for at, *_ in self.platform.at:
                touched = {name for when, _, name in self.platform.at if at <= when < at + timedelta(minutes=10)}
                assert len(touched) <= PER_TEN_MINUTES

    @invariant()
    def each_playbook_keeps_its_own_limits(self) -> None:
        if not hasattr(self, "platform"):
            return
        acted = [run for run in self.bench.runs() if run.acted_at]
        for playbook in ALERTS.values():
            mine = [run for run in acted if run.playbook == playbook]
            for run in mine:
                assert run.acted_at
                since = run.acted_at
                touched = {each.workload for each in mine if since <= (each.acted_at or START) < since + TARGETS_WITHIN}
                assert len(touched) <= TARGETS
            for service in SERVICES:
                on_it = sorted(run.acted_at for run in mine if run.acted_at and (run.workload or "").endswith(service))
                assert most(on_it, ATTEMPTS_WITHIN) <= ATTEMPTS
                assert all(later - earlier >= COOLDOWN for earlier, later in itertools.pairwise(on_it))

    @invariant()
    def one_at_a_time_acts_on_a_workload(self) -> None:
        if hasattr(self, "platform"):
            steps = [(run.id, step) for run in self.bench.runs() for step in run.steps]
            assert len(self.platform.at) <= len(steps)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.__exit__()
            self.directory.cleanup()

    def _alert(self, name: str, service: str, began: datetime) -> dict[str, Any]:
        labels = {"alertname": name, "service": service}
        ended = "0001-01-01T00:00:00Z"
        return {
            "status": "firing",
            "labels": labels,
            "startsAt": began.isoformat(),
            "endsAt": ended,
            "fingerprint": name,
        }

    def _now(self) -> str:
        return self.bench.now.isoformat()


def most(moments: Iterable[datetime], within: timedelta) -> int:
    """So many fall into the fullest stretch of this length."""
    known = sorted(moments)
    return max((sum(begin <= at < begin + within for at in known) for begin in known), default=0)


def test_no_interleaving_of_alerts_replicas_and_clock_exceeds_a_limit() -> None:
    run_state_machine_as_test(Interleaving, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))
