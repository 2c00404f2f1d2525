"""Generated rules over a history, in Prometheus' own engine: backtest.py, tune.py and injection.py replay with this.

`promtool test rules` evaluates the rules at every step of the history, with `for`, staleness and all, and tells what
they made of it. Nothing is computed here that Prometheus computes.

The rules are those that are deployed, byte for byte. As in the generated unit tests, there are no raw metrics, so the
rule of `amend:value` gives nothing and the history stands in its place.
"""

import math
import os
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import islice, repeat
from typing import Final

from receiver import labels
from receiver.conventions import DETECTOR, LEARNED, ONLY_IF, VALUE
from receiver.durations import format_duration, parse_duration
from receiver.errors import AmendError
from receiver.rulegen import BANDS
from receiver.rulegen.alerts import alert_group
from receiver.rulegen.expressions import parse, speaks_alone
from receiver.rulegen.history import NOTHING, Grid
from receiver.rulegen.rules import Alert, Group, Record
from receiver.rulegen.slow_groups import SlowGroups, slow_groups
from receiver.rulegen.spec import Detector, Spec
from receiver.rulegen.tester import Question, Tester, TooMuch, notation
from receiver.rulegen.watched import judged_on

#: The tester's clock begins in 1970, and each step from there to the history costs time. So the history is moved
#: near to it, by whole hours, or as many of them as a rule that looks at the calendar can tell apart.
ALIKE: Final = timedelta(hours=1)
CALENDAR: Final = {"hour": timedelta(days=1), "day_of_week": timedelta(weeks=1)}
#: Series in one run of promtool: each step costs as much as five series, and progress is seen run by run.
TOGETHER: Final = 24
REMEMBERED_TOGETHER: Final = 10  #: the engine counts the samples of all series of a subquery as one
#: Which evaluates nothing, whatever there is.
SILENCE: Final = "vector(0) unless vector(0)"

_RESOLUTION = re.compile(r"\[\w+:(\w+)\]")


@dataclass(frozen=True)
class Member:
    """One series: its values, and where `only_if` held for it (None: always). NOTHING where there is no sample."""

    values: "array[float]"
    judged: "array[float] | None" = None


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
            return list(self._run(run, member))
        except TooMuch as error:
            if len(run) == 1:
                raise AmendError(
                    f"{self.detectors[0].name}: in steps of {format_duration(self.grid.step)} its windows hold more"
                    " samples than promtool takes (10,000); take longer steps with --step"
                ) from error
        middle = len(run) // 2
        return [*self._run_split(run[:middle], member), *self._run_split(run[middle:], member)]

    def _run(self, run: range, member: Callable[[int], Member]) -> Iterator[Answer]:
        inputs = list(self._inputs(run, member))
        groups = self.groups
        for slow in self._slow:
            for first in range(0, len(run), REMEMBERED_TOGETHER):
                inputs += self._remembered(slow, run[first : first + REMEMBERED_TOGETHER], member)
            groups = [group for group in groups if group not in slow.groups]
        tester = Tester(promtool=self.promtool, groups=groups, step=self.grid.step, every=self.grid.step)
        questions = [replace(each, steps=[self._lead + at for at in each.steps]) for each in self.questions]
        for got in tester.ask(inputs, questions, last=self._lead + self.grid.steps - 1):
            number, own = self._owner(got.labels, run)
            yield Answer(got.expr, got.step - self._lead, number, own, got.value)

    @cached_property
    def _slow(self) -> list[SlowGroups]:
        """What is evaluated first, by itself."""
        found = []
        for each in self.detectors:
            own = [group for group in self.groups if any(_is_about(rule, each) for rule in group.rules)]
            if slow := slow_groups(each, own, step=self.grid.step):
                found.append(slow)
        return found

    def _remembered(self, slow: SlowGroups, run: range, member: Callable[[int], Member]) -> Iterator[tuple[str, str]]:
        """What slow groups recorded in the whole time, each at its own moments."""
        inputs = [*self._inputs(run, member), *(self._learned(run, member) if slow.learned else ())]
        tester = Tester(promtool=self.promtool, groups=slow.groups, step=self.grid.step, every=slow.every)
        apart = slow.every // self.grid.step
        moments = range(0, self._lead + self.grid.steps, apart)
        asked = {self._asked(record): record for record in slow.records}
        rows: dict[tuple[str, int], array[float]] = {}
        for got in tester.ask(inputs, [Question(expr, moments) for expr in asked], last=moments[-1]):
            number, _ = self._owner(got.labels, run)
            row = rows.setdefault((got.expr, number), array("d", repeat(NOTHING, len(moments))))
            row[got.step // apart] = got.value
        for (expr, number), row in rows.items():
            record = asked[expr]
            own = {**record.labels, **dict.fromkeys(self._labels, _own(number))}
            yield labels.selector(record.record, own), notation(row, every=apart)

    def _asked(self, record: Record) -> str:
        return f"max by ({', '.join(self._labels)}) ({labels.selector(record.record, record.labels)})"

    def _inputs(self, run: range, member: Callable[[int], Member]) -> Iterator[tuple[str, str]]:
        """The history of each member under label values of its own: nothing of a stranger's gets into the test."""
        for number in run:
            each = member(number)
            for detector in self.detectors:
                yield self._input(VALUE, detector, detector.by, number, each.values)
                shared = judged_on(detector)
                if each.judged is not None and (shared or number == run[0]):
                    yield self._input(ONLY_IF, detector, shared, number, each.judged)

    def _learned(self, run: range, member: Callable[[int], Member]) -> Iterator[tuple[str, str]]:
        """The value where it is judged, for groups that read it between the moments at which they are evaluated."""
        for number in run:
            each = member(number)
            judged = each.judged or repeat(1.0)
            values = array("d", [value * judge for value, judge in zip(each.values, judged, strict=False)])
            for detector in self.detectors:
                yield self._input(LEARNED, detector, detector.by, number, values)

    def _input(
        self, metric: str, detector: Detector, by: Sequence[str], number: int, values: "array[float]"
    ) -> tuple[str, str]:
        own = {DETECTOR: detector.name, **dict.fromkeys(by, _own(number))}
        return labels.selector(metric, own), notation(values, lead=self._lead)

    def _owner(self, found: Mapping[str, str], run: range) -> tuple[int, Mapping[str, str]]:
        """The member that an answer is about, and the other labels."""
        owners = {found[name] for name in self._labels if name in found}
        others = {name: value for name, value in found.items() if name not in self._labels}
        return (int(owners.pop()[1:]) if owners else run[0]), others


def _own(number: int) -> str:
    return f"m{number}"


def _is_about(rule: Record | Alert, detector: Detector) -> bool:
    return rule.labels.get(DETECTOR) == detector.name


def _silenced(group: Group) -> Group:
    """An expression such as `sum(x) or vector(0)` speaks even without metrics, and would contradict the history."""
    rules = (replace(rule, expr=SILENCE) if _interrupts(rule) else rule for rule in group.rules)
    return replace(group, rules=tuple(rules))


def _interrupts(rule: Record | Alert) -> bool:
    return isinstance(rule, Record) and rule.record in (VALUE, ONLY_IF) and speaks_alone(parse(rule.expr))
