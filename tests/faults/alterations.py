"""`amend` with something altered around it: `python alterations.py '{"lease": 1}' serve --config amend.yml`.

altered.py starts it as a process of its own. Nothing of this is in the product: where it dies, how long its leases
last, how its clock goes, and a platform on which every workload exists.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from receiver import cli, execution, pipeline, serve, worker
from receiver.case import World
from receiver.decision import Judgement
from receiver.run import Phase
from receiver.store import runs
from receiver.targets import PLATFORMS
from receiver.workload import Selector, Workload


def lease(seconds: float) -> None:
    """Leases that last so long."""
    worker.LEASE = timedelta(seconds=seconds)
    worker.RENEW = seconds / 4


def clock(seconds: float) -> None:
    """A clock that is so far ahead of the real one."""
    serve.now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)


def crowd(name: str) -> None:
    """A Docker host of that name on which every container exists."""
    PLATFORMS["docker"] = lambda _: Crowd(name)  # type: ignore[index]


class Crowd:
    """Finds whatever it is asked for; nothing can be done to it but by steps of the verb http."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def resolve(self, selector: Selector) -> Workload:
        key = f"docker/{self.name}/container/{selector.name}"
        return Workload(key=key, selector=selector, uid=f"id of {selector.name}", ready=1, healthy=True)

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:
        raise NotImplementedError

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


# ── failpoints ──

Point = Callable[[], None]


def dies_at(point: str) -> None:
    """SIGKILL at a point, when a run of the playbook that is called like the point comes there."""
    POINTS[point]()


def _die_of(point: str, playbook: str) -> None:
    if playbook == point:
        os.kill(os.getpid(), signal.SIGKILL)


def _in_matching() -> None:
    """The run is begun, and nothing is committed."""
    create = runs.create

    def begun(*positional: Any, **named: Any) -> Any:
        run = create(*positional, **named)
        _die_of("in-matching", named["playbook"])
        return run

    runs.create = begun


def _in_taking() -> None:
    """The lease is taken, and nothing is committed."""
    claim_due = runs.claim_due

    def claimed(*positional: Any, **named: Any) -> Any:
        found = claim_due(*positional, **named)
        for run in found:
            _die_of("in-taking", run.playbook)
        return found

    runs.claim_due = claimed


def _before_claim() -> None:
    """The guards have allowed it."""
    claim = Judgement._claim

    def before(self: Any, connection: Any, decision: Any) -> Any:
        _die_of("before-claim", decision.case.playbook.name)
        return claim(self, connection, decision)

    Judgement._claim = before  # type: ignore[method-assign]


def _in_claim() -> None:
    """Claim and intent are written, and not committed."""
    claim = Judgement._claim

    def after(self: Any, connection: Any, decision: Any) -> Any:
        acting = claim(self, connection, decision)
        _die_of("in-claim", decision.case.playbook.name)
        return acting

    Judgement._claim = after  # type: ignore[method-assign]


def _after_claim() -> None:
    """Claim and intent are committed, and nothing is sent."""
    do = execution.Execution._do

    async def before(self: Any, case: Any, planned: Any) -> Any:
        _die_of("after-claim", case.playbook.name)
        return await do(self, case, planned)

    execution.Execution._do = before  # type: ignore[method-assign]


def _between_steps() -> None:
    """The first step's result is committed, and the second one's intent is not written."""
    intend = execution.Execution._intend_another

    def before(self: Any, connection: Any, run: Any, **named: Any) -> None:
        _die_of("between-steps", run.playbook)
        intend(self, connection, run, **named)

    execution.Execution._intend_another = before  # type: ignore[method-assign,assignment]


def _before_result() -> None:
    """The target has answered, and nothing of it is written."""
    do = execution.Execution._do

    async def after(self: Any, case: Any, planned: Any) -> Any:
        found = await do(self, case, planned)
        _die_of("before-result", case.playbook.name)
        if planned.phase is Phase.ON_FAILURE:
            _die_of("before-failures-result", case.playbook.name)
        return found

    execution.Execution._do = after  # type: ignore[method-assign]


def _in_result() -> None:
    """The result is written, and not committed."""
    tell = World.tell

    def after(self: Any, connection: Any, run: Any, kind: Any, data: Any) -> None:
        tell(self, connection, run, kind, data)
        if kind in execution.KINDS.values():
            _die_of("in-result", run.playbook)

    World.tell = after  # type: ignore[method-assign]


def _after_result() -> None:
    """The last step's result is committed, and nothing of the verification is written."""
    watch = pipeline.Pipeline._watch

    async def before(self: Any, run: Any, case: Any, verdict: Any) -> None:
        _die_of("after-result", run.playbook)
        await watch(self, run, case, verdict)

    pipeline.Pipeline._watch = before  # type: ignore[method-assign]


POINTS: Mapping[str, Point] = {
    "in-matching": _in_matching,
    "in-taking": _in_taking,
    "before-claim": _before_claim,
    "in-claim": _in_claim,
    "after-claim": _after_claim,
    "between-steps": _between_steps,
    "before-result": _before_result,
    "before-failures-result": _before_result,
    "in-result": _in_result,
    "after-result": _after_result,
}

ALTERATIONS: Mapping[str, Callable[[Any], None]] = {"lease": lease, "clock": clock, "crowd": crowd, "dies_at": dies_at}


if __name__ == "__main__":
    for name, argument in json.loads(sys.argv.pop(1)).items():
        ALTERATIONS[name](argument)
    cli.main()
