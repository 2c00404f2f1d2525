"""kill -9 at every point of a run's way: done once, or told to be unknown and never blindly done again (promise 7)."""

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from tests.bed.http_recorder import HttpRecorder, Request
from tests.bed.processes import until
from tests.bed.receiver import alert
from tests.faults.altered import ANYWHERE, Altered
from tests.faults.books import Books, Deed
from tests.faults.conftest import Rounds


@dataclass(frozen=True)
class Left:
    """What is found in the end of a run that was cut off at a point."""

    outcome: str
    steps: tuple[str, ...]
    calls: tuple[str, ...]  #: the paths that the target saw, each below that of the run
    interrupted: bool  #: whether the audit log says that it was


ONCE = Left("none", ("done",), ("steps/0",), interrupted=False)

POINTS = {
    # Nothing was committed, or nothing that says "about to act": it is decided again, and done.
    "in-matching": ONCE,
    "in-taking": ONCE,
    "before-claim": ONCE,
    "in-claim": ONCE,
    # From the intent on nobody can know what was done, whether or not it was.
    "after-claim": Left("unknown", ("unknown",), (), interrupted=True),
    "after-send": Left("unknown", ("unknown",), ("steps/0",), interrupted=True),
    "before-result": Left("unknown", ("unknown",), ("steps/0",), interrupted=True),
    "in-result": Left("unknown", ("unknown",), ("steps/0",), interrupted=True),
    # The result is on disk, and it was still to be verified: that is all that is done.
    "after-result": Left("fixed", ("done",), ("steps/0",), interrupted=False),
    # The second step was not begun, and is not: nobody knows what happened to the target meanwhile.
    "between-steps": Left("unknown", ("done",), ("steps/0",), interrupted=True),
    # What is to be done when nothing helped is done at most once, too.
    "before-failures-result": Left("failed", ("failed", "unknown"), ("steps/0", "on_failure/0"), interrupted=True),
}

AFTER_SEND = "after-send"  #: where not it but its target knows that it is to die

PLAYBOOK = """
- name: {point}
  mode: enforce
  matchers: ['alertname="Broken"', 'point="{point}"']
  cooldown: 0s
  max_age: 1h
  steps: [{steps}]
  on_failure: [{on_failure}]
"""

VERIFY = """\
  target: {docker: {container: "{{ labels.service }}"}}
  verify: {healthy: true, absent_for: 1s}
"""

CALL = '{{http: {{url: "{url}/{point}/{{{{ labels.service }}}}/{step}"{expect}}}}}'


def test_a_run_that_was_cut_off_anywhere_is_done_at_most_once(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, store: str, rounds: Rounds
) -> None:
    def kill(request: Request) -> None:
        if request.path.startswith(f"/{AFTER_SEND}/"):
            amend.kill9()

    recorder.before_answer = kill
    amend = running.enter_context(
        Altered(
            tmp_path,
            altered={"lease": 1, "crowd": "local"},
            playbooks="playbooks:" + "".join(_playbook(point, recorder.url) for point in POINTS),
            store={"url": store},
            limits={
                "actions_per_minute": 1_000_000,
                "targets_per_10m": 1_000_000,
                "breaker": {"failures": 1_000_000},
            },
            **ANYWHERE,
        )
    )
    books = Books(store)
    repeats = max(1, rounds.count // 20)
    for number, point in product(range(repeats), POINTS):
        # It dies at one point, and the next process, which dies at the next one, finds what it left.
        amend.terminate()
        amend.alter(lease=1, crowd="local", **({"dies_at": point} if point != AFTER_SEND else {}))
        amend.start()
        until(lambda: not books.unfinished(), why=f"what was left before {point} is not brought to an end")
        amend.post(alert("Broken", point=point, service=f"s{number}"))
        until(lambda: not amend.running, why=f"it does not die at {point}")
    amend.start()
    until(lambda: not books.unfinished(), why="what was left at last is not brought to an end")
    amend.terminate()

    found = {(deed.playbook, deed.service): _left(deed, books, recorder) for deed in books.deeds()}
    rounds.tell(
        kills=repeats * len(POINTS),
        runs=len(found),
        unknown=sum(left.outcome == "unknown" for left in found.values()),
        executed_twice=sum(len(left.calls) > len(set(left.calls)) for left in found.values()),
    )
    assert found == {(point, f"s{number}"): left for point, left in POINTS.items() for number in range(repeats)}
    books.insist_on_integrity()


def _playbook(point: str, url: str) -> str:
    fails = ", expect: [500]" if point == "before-failures-result" else ""
    steps = [CALL.format(url=url, point=point, step="steps/0", expect=fails)]
    on_failure = []
    if point == "between-steps":
        steps.append(CALL.format(url=url, point=point, step="steps/1", expect=""))
    if fails:
        on_failure.append(CALL.format(url=url, point=point, step="on_failure/0", expect=""))
    whole = PLAYBOOK.format(point=point, steps=", ".join(steps), on_failure=", ".join(on_failure))
    return whole + VERIFY if point == "after-result" else whole


def _left(deed: Deed, books: Books, recorder: HttpRecorder) -> Left:
    assert deed.status == "done", deed
    place = f"/{deed.playbook}/{deed.service}/"
    return Left(
        outcome=deed.outcome,
        steps=deed.steps,
        calls=tuple(each.path.removeprefix(place) for each in recorder.requests if each.path.startswith(place)),
        interrupted="interrupted" in [entry.kind for entry in books.audit(run=deed.id)],
    )
