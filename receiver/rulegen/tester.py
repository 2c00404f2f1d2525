"""One run of `promtool test rules` as an engine: series go in, and what PromQL says of them comes out.

replay.py runs it. Every question is an expectation of nothing, so that promtool complains of each answer; a question
that is always answered proves that it came to the end.
"""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import IO, Final

from receiver.durations import format_duration, parse_duration
from receiver.errors import AmendError
from receiver.rulegen.rules import Group, file_text

#: Proof that the last step was reached: the tester says nothing of what is as expected.
PROOF: Final = "vector(1)"

_ASKED = re.compile(r'\s+expr: (".*"), time: (\w+),$')
_GOT = re.compile(r"\s+got: (.*)")
_SAMPLE = re.compile(r"\{([^}]*)\} (\S+?)(?:, |$)")
_LABEL = re.compile(r'([^,=\s"]+)="([^"]*)"')
_MISTAKE = re.compile(r"\s*(?:rule|expr): .*, err: (.*)")
_TOO_MUCH: Final = "too many samples"  # 10,000 in one evaluation, which no flag of promtool's raises


class NoPromtool(AmendError):
    """The rules cannot be replayed without it."""


class TooMuch(AmendError):
    """More samples in one evaluation than promtool's engine takes."""


@dataclass(frozen=True)
class Question:
    """An expression to be asked at these steps, after the rules were evaluated there."""

    expr: str
    steps: Sequence[int]


@dataclass(frozen=True)
class Got:
    """One sample of an answer. No label may hold quotes or braces."""

    expr: str
    step: int
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, kw_only=True)
class Tester:
    """What is evaluated, how often, and how far apart the values are that go in."""

    promtool: str
    groups: Sequence[Group]
    step: timedelta
    every: timedelta

    def ask(self, inputs: Iterable[tuple[str, str]], questions: Sequence[Question], *, last: int) -> Iterator[Got]:
        """Answers, by series in the tester's notation; `last` is the last step of the run."""
        with tempfile.TemporaryDirectory(prefix="amend-replay-") as name:
            folder = Path(name)
            (folder / "replay.rules.yml").write_text(file_text((), self.groups))
            with (folder / "replay.yml").open("w") as file:
                file.writelines(self._test(inputs, (*questions, Question(PROOF, [last]))))
            with _promtool(self.promtool, folder) as told:
                yield from self._read(told)

    def _test(self, inputs: Iterable[tuple[str, str]], questions: Iterable[Question]) -> Iterator[str]:
        yield "rule_files: [replay.rules.yml]\n"
        yield f"evaluation_interval: {format_duration(self.every)}\n"
        yield f"group_eval_order: {json.dumps([group.name for group in self.groups])}\n"  # else promtool shuffles them
        yield f"tests:\n- interval: {format_duration(self.step)}\n  input_series:\n"
        for series, values in inputs:
            yield f"  - series: '{series}'\n    values: '{values}'\n"
        yield "  promql_expr_test:\n"
        for question in questions:
            expr = json.dumps(question.expr)
            for at in question.steps:
                yield f"  - {{expr: {expr}, eval_time: {format_duration(at * self.step)}}}\n"

    def _read(self, told: Iterable[str]) -> Iterator[Got]:
        expr, step, proven, last = "", 0, False, ""
        for line in told:
            if found := _ASKED.match(line):
                expr, step = json.loads(found[1]), parse_duration(found[2]) // self.step
            elif found := _GOT.match(line):
                proven = proven or expr == PROOF
                if expr != PROOF:
                    yield from _samples(expr, step, found[1])
            elif found := _MISTAKE.match(line):
                raise _mistake(found[1])
            last = line.strip() or last
        if not proven:
            raise AmendError(f"{self.promtool}: did not come to the end of the rules: {last}")


def find_promtool(name: str = "promtool") -> str:
    """Its path; NoPromtool with the way out."""
    found = shutil.which(name)
    if found is None:
        raise NoPromtool(
            f'"{name}" is not there; it comes with Prometheus (Debian: apt install prometheus), '
            "or name it with --promtool or $PROMTOOL"
        )
    return found


def notation(values: "array[float]", *, lead: int = 0, every: int = 1) -> str:
    """Values as the tester writes them, after `lead` steps of nothing, each `every` steps after the one before.

    `1x3` is 1 four times, but `_x3` nothing three times; `stale` ends a series, as a rule does that gives nothing more.
    """
    told = [f"_x{lead}"] if lead else []
    apart = f" _x{every - 1}" if every > 1 else ""
    known = False
    for value, run in groupby(None if math.isnan(each) else each for each in values):
        count = len(list(run))
        if value is None:
            if known:
                told.append(f"stale{apart}")
                count -= 1
            told += [f"_x{count * every}"] if count else []
        elif every == 1:
            told.append(f"{value!r}x{count - 1}" if count > 1 else repr(value))
        else:
            told += [f"{value!r}{apart}"] * count
        known = value is not None
    return " ".join(told)


def _samples(expr: str, step: int, got: str) -> Iterator[Got]:
    for labels, value in _SAMPLE.findall(got):
        yield Got(expr, step, dict(_LABEL.findall(labels)), float(value))


def _mistake(said: str) -> AmendError:
    return TooMuch(said) if _TOO_MUCH in said else AmendError(f"Prometheus cannot evaluate the rules: {said}")


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
