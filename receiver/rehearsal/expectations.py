"""What was expected beside what came of it, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from receiver.rehearsal.script import Expect
from receiver.run import Run, Step


@dataclass(frozen=True)
class Seen:
    """How things stand at a moment."""

    runs: Sequence[Run]  #: the newest first
    told: tuple[str, ...]  #: since the moment before at which something was expected
    since: datetime | None  #: that moment; None at the first

    @property
    def steps(self) -> list[tuple[Run, Step]]:
        """All that was carried out, in order."""
        every = [(run, step) for run in self.runs for step in run.steps]
        return sorted(every, key=lambda each: (each[1].started_at, each[0].id))

    @property
    def newly(self) -> list[tuple[Run, Step]]:
        return [each for each in self.steps if self.since is None or each[1].started_at > self.since]


def differences(expected: Expect, seen: Seen) -> Iterator[str]:
    """Each thing that is not as expected: what was wanted, and what there is."""
    if expected.runs is not None and len(seen.runs) != expected.runs:
        yield f"expected runs: {expected.runs}; there are {len(seen.runs)}: {_listed(seen.runs)}"
    fitting = (each for each in seen.runs if expected.run in (None, each.playbook))
    run = next((each for each in fitting if expected.attempt in (None, each.attempt)), None)
    fields = {name: getattr(expected, name) for name in ("status", "reason", "outcome")}
    wanted = {name: value for name, value in fields.items() if value is not None}
    if expected.target is not None:
        wanted["target"] = expected.target
    if expected.action is None and (wanted or expected.run or expected.attempt):
        yield from _of_run(run, expected, wanted)
    if expected.action is not None:
        yield from _action(expected, seen)
    if expected.actions is not None:
        done = tuple(step.verb for _, step in seen.steps)
        if done != expected.actions:
            yield f"expected actions: {_words(expected.actions)}; there were {_words(done)}"
    if expected.told is not None and not any(expected.told in each for each in seen.told):
        yield f'expected that somebody was told "{expected.told}"; told was {_quoted(seen.told)}'


def _of_run(run: Run | None, expected: Expect, wanted: dict[str, object]) -> Iterator[str]:
    if run is None:
        which = f" of {expected.run}" if expected.run else ""
        which += f", attempt {expected.attempt}" if expected.attempt else ""
        yield f"expected a run{which}; there is none"
        return
    actual = {
        "status": run.status,
        "reason": run.reason,
        "outcome": run.outcome,
        "target": _target(run),
    }
    for name, value in wanted.items():
        if actual[name] != value:
            yield f"expected {name}: {value}; run {_about(run)} has {name}: {actual[name] or 'none'}{_why(run)}"


def _action(expected: Expect, seen: Seen) -> Iterator[str]:
    fitting = [
        run
        for run, step in seen.newly
        if step.verb == expected.action
        and expected.run in (None, run.playbook)
        and expected.target in (None, _target(run))
    ]
    if not fitting:
        on = f" on {expected.target}" if expected.target else ""
        done = ", ".join(f"{step.verb} on {_target(run)}" for run, step in seen.newly) or "nothing"
        since = "since the last expectation" if seen.since else "so far"
        newest = f"; run {_about(seen.runs[0])} is {seen.runs[0].status}{_why(seen.runs[0])}" if seen.runs else ""
        yield f"expected action: {expected.action}{on}; {since} there was {done}{newest}"


def _target(run: Run) -> str:
    """`Deployment/shop/cart`, from the key `kubernetes/default/Deployment/shop/cart`."""
    parts = (run.workload or "").split("/", 2)
    return parts[2] if len(parts) == 3 else (run.workload or "none")


def _about(run: Run) -> str:
    return f"{run.id} of {run.playbook}"


def _why(run: Run) -> str:
    reason = f"{run.reason}: " if run.reason else ""
    return f" ({reason}{run.detail})" if run.detail else ""


def _listed(found: Sequence[Run]) -> str:
    return ", ".join(f"{run.playbook} {run.status}" for run in reversed(found)) or "none"


def _words(verbs: Sequence[str]) -> str:
    return f"[{', '.join(verbs)}]"


def _quoted(told: Sequence[str]) -> str:
    return ", ".join(f'"{each}"' for each in told) or "nothing"
