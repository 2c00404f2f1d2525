"""Generated rules over a history, in Prometheus' own engine: backtest.py, tune.py and injection.py replay with this.

`promtool test rules` evaluates the rules at every step of the history, with `for`, staleness and all, and tells what
they made of it. Nothing is computed here that Prometheus computes.

The rules are those that are deployed, byte for byte. As in the generated unit tests, there are no raw metrics, so the
rule of `amend:value` gives nothing and the history stands in its place.
"""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Final

from receiver.conventions import DETECTOR, ONLY_IF, VALUE
from receiver.durations import format_duration, parse_duration
from receiver.errors import AmendError
from receiver.labels import selector
from receiver.rulegen import BANDS
from receiver.rulegen.alerts import alert_group
from receiver.rulegen.expressions import parse, speaks_alone
from receiver.rulegen.history import Grid
from receiver.rulegen.rules import Alert, Group, Record, file_text
from receiver.rulegen.spec import Detector, Spec
from receiver.rulegen.watched import judged_on

#: The tester's clock begins in 1970, and each step from there to the history costs time. So the history is moved
#: near to it, by whole hours, or as many of them as a rule that looks at the calendar can tell apart.
ALIKE: Final = timedelta(hours=1)
CALENDAR: Final = {"hour": timedelta(days=1), "day_of_week": timedelta(weeks=1)}
#: Series in one run of promtool: each step costs as much as five series, and progress is seen run by run.
TOGETHER: Final = 24
#: Which evaluates nothing, whatever there is.
SILENCE: Final = "vector(0) unless vector(0)"
#: Proof that the last step was reached: the tester says nothing of what is as expected.
PROOF: Final = "vector(1)"

_RESOLUTION = re.compile(r"\[\w+:(\w+)\]")
_ASKED = re.compile(r'\s+expr: (".*"), time: (\w+),$')
_GOT = re.compile(r"\s+got: (.*)")
_SAMPLE = re.compile(r"\{([^}]*)\} (\S+?)(?:, |$)")
_LABEL = re.compile(r'([^,=\s"]+)="([^"]*)"')
_MISTAKE = re.compile(r"\s*(?:rule|expr): .*, err: (.*)")
_TOO_MUCH: Final = "too many samples"  # 10,000 in one evaluation, which no flag of promtool's raises


class NoPromtool(AmendError):
    """The rules cannot be replayed without it."""


class _TooMuch(AmendError):
    """More samples in one evaluation than promtool's engine takes."""


@dataclass(frozen=True)
class Member:
    """One series: its values, and where `only_if` held for it (None: always). NOTHING where there is no sample."""

    values: "array[float]"
    judged: "array[float] | None" = None


@dataclass(frozen=True)
class Question:
    """An expression to be asked at these steps, after the rules were evaluated there."""

    expr: str
    steps: Sequence[int]


@dataclass(frozen=True)
class Answer:
    """One sample that a question got: of which member, when, and with which labels beside the member's own."""

    expr: str
    step: int
    member: int
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What is to be evaluated, when, and what is asked of it.

    Several detectors watch the same history, each by its own rules; they are variants of one, with names of their own.
    """

    spec: Spec
    detectors: Sequence[Detector]
    grid: Grid
    questions: Sequence[Question]
    promtool: str

    def play(
        self,
        members: int,
        member: Callable[[int], Member],
        *,
        jobs: int | None = None,
        on_progress: Callable[[float], None] = lambda _: None,
    ) -> Iterator[Answer]:
        """Every answer for `members` series, which `member` hands out by number, in no order."""
        if not members:
            return
        most = TOGETHER if self._labels else 1
        workers = jobs or os.cpu_count() or 1
        together = max(1, min(most, math.ceil(members / workers)))
        runs = [range(first, min(first + together, members)) for first in range(0, members, together)]
        with ThreadPoolExecutor(workers) as pool:
            waiting = iter(runs)
            # As many as there are workers, and no more before these are told: answers do not pile up.
            running = {pool.submit(self._run_split, run, member) for run in islice(waiting, workers)}
            done = 0
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for result in ended:
                    yield from result.result()
                    done += 1
                    on_progress(done / len(runs))
                running |= {pool.submit(self._run_split, run, member) for run in islice(waiting, len(ended))}

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of the deployed rule file that are about these detectors, in its order."""
        recording = [group for each in self.detectors for group in BANDS[each.band].groups(each)]
        return [*map(_silenced, recording), *(alert_group(self.spec, each) for each in self.detectors)]

    @property
    def _labels(self) -> Sequence[str]:
        return self.detectors[0].by

    @cached_property
    def _lead(self) -> int:
        """Steps from the tester's beginning to the grid's."""
        texts = [rule.expr for group in self.groups for rule in group.rules]
        called = [period for name, period in CALENDAR.items() if any(f"{name}(" in text for text in texts)]
        # Subqueries look at whole multiples of their resolution.
        resolutions = [parse_duration(each) for text in texts for each in _RESOLUTION.findall(text)]
        alike = math.lcm(*(round(each.total_seconds()) for each in (ALIKE, *called, *resolutions)))
        return timedelta(seconds=self.grid.start.timestamp() % alike) // self.grid.step

    def _run_split(self, run: range, member: Callable[[int], Member]) -> list[Answer]:
        """One run of promtool; two halves of it where its engine takes no more samples."""
        try:
            return self._run(run, member)
        except _TooMuch as error:
            if len(run) == 1:
                raise AmendError(
                    f"{self.detectors[0].name}: in steps of {format_duration(self.grid.step)} its windows hold more"
                    " samples than promtool takes (10,000); take longer steps with --step"
                ) from error
        middle = len(run) // 2
        return [*self._run_split(run[:middle], member), *self._run_split(run[middle:], member)]

    def _run(self, run: range, member: Callable[[int], Member]) -> list[Answer]:
        with tempfile.TemporaryDirectory(prefix="amend-replay-") as name:
            folder = Path(name)
            (folder / "replay.rules.yml").write_text(file_text((), self.groups))
            with (folder / "replay.yml").open("w") as file:
                file.writelines(self._test(run, member))
            with _promtool(self.promtool, folder) as told:
                return list(self._answers(told, run))

    def _test(self, run: range, member: Callable[[int], Member]) -> Iterator[str]:
        step = format_duration(self.grid.step)
        yield "rule_files: [replay.rules.yml]\n"
        yield f"evaluation_interval: {step}\n"
        yield f"group_eval_order: {json.dumps([group.name for group in self.groups])}\n"  # else promtool shuffles them
        yield f"tests:\n- interval: {step}\n  input_series:\n"
        for number in run:
            yield from self._inputs(member(number), number, first=number == run[0])
        yield "  promql_expr_test:\n"
        for question in (*self.questions, Question(PROOF, [self.grid.steps - 1])):
            expr = json.dumps(question.expr)
            for at in question.steps:
                yield f"  - {{expr: {expr}, eval_time: {format_duration((self._lead + at) * self.grid.step)}}}\n"

    def _inputs(self, member: Member, number: int, *, first: bool) -> Iterator[str]:
        # Each member has label values of its own, so that nothing of a stranger's labels gets into this file.
        own = f"m{number}"
        for detector in self.detectors:
            yield self._input(VALUE, detector, dict.fromkeys(detector.by, own), member.values)
            shared = judged_on(detector)
            if member.judged is not None and (shared or first):
                yield self._input(ONLY_IF, detector, dict.fromkeys(shared, own), member.judged)

    def _input(self, metric: str, detector: Detector, labels: Mapping[str, str], values: "array[float]") -> str:
        series = selector(metric, {DETECTOR: detector.name, **labels})
        return f"  - series: '{series}'\n    values: '{_notation(values, lead=self._lead)}'\n"

    def _answers(self, told: Iterable[str], run: range) -> Iterator[Answer]:
        expr, step, proven, last = "", 0, False, ""
        for line in told:
            if found := _ASKED.match(line):
                expr = json.loads(found[1])
                step = parse_duration(found[2]) // self.grid.step - self._lead
            elif found := _GOT.match(line):
                proven = proven or expr == PROOF
                if expr != PROOF:
                    yield from self._read(expr, step, found[1], run)
            elif found := _MISTAKE.match(line):
                raise self._mistake(found[1])
            last = line.strip() or last
        if not proven:
            raise AmendError(f"{self.promtool}: did not replay the rules of {self.detectors[0].name}: {last}")

    def _read(self, expr: str, step: int, got: str, run: range) -> Iterator[Answer]:
        for labels_text, value in _SAMPLE.findall(got):
            labels = dict(_LABEL.findall(labels_text))
            owners = {labels.pop(name) for name in self._labels if name in labels}
            member = int(owners.pop()[1:]) if owners else run[0]
            yield Answer(expr, step, member, labels, float(value))

    def _mistake(self, said: str) -> AmendError:
        if _TOO_MUCH in said:
            return _TooMuch(said)
        return AmendError(f"{self.detectors[0].name}: Prometheus cannot evaluate its rules: {said}")


def find_promtool(name: str = "promtool") -> str:
    """Its path; NoPromtool with the way out."""
    found = shutil.which(name)
    if found is None:
        raise NoPromtool(
            f'"{name}" is not there; it comes with Prometheus (Debian: apt install prometheus), '
            "or name it with --promtool or $PROMTOOL"
        )
    return found


def _silenced(group: Group) -> Group:
    """An expression such as `sum(x) or vector(0)` speaks even without metrics, and would contradict the history."""
    rules = (replace(rule, expr=SILENCE) if _interrupts(rule) else rule for rule in group.rules)
    return replace(group, rules=tuple(rules))


def _interrupts(rule: Record | Alert) -> bool:
    return isinstance(rule, Record) and rule.record in (VALUE, ONLY_IF) and speaks_alone(parse(rule.expr))


def _notation(values: "array[float]", *, lead: int) -> str:
    """The tester's way to write samples: `1x3` is 1 four times, but `_x3` nothing three times. `stale` ends a series,
    as a rule does that gives nothing any more."""
    told = [f"_x{lead}"] if lead else []
    known = False
    for value, run in groupby(None if math.isnan(each) else each for each in values):
        count = len(list(run))
        if value is None:
            if known:
                told.append("stale")
                count -= 1
            told += [f"_x{count}"] if count else []
        else:
            told.append(f"{value!r}x{count - 1}" if count > 1 else repr(value))
        known = value is not None
    return " ".join(told)


@contextmanager
def _promtool(program: str, folder: Path) -> Iterator[IO[str]]:
    """What a run tells, line by line; it ends with the block."""
    # A heap that may grow to five times its live size: half the time for memory that is there.
    environment = {"GOGC": "400", **os.environ}
    with subprocess.Popen(
        [program, "test", "rules", "replay.yml"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        assert running.stdout
        try:
            yield running.stdout
        finally:
            running.kill()
