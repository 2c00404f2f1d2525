"""Prometheus' own rule engine over simulated time: `promtool test rules`, asked for one expression at every step.

Both benchmarks put rules and samples in and read recorded series and firing alerts out; nothing is re-implemented.
"""

import json
import os
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import yaml

from receiver.durations import format_duration, parse_duration
from receiver.errors import AmendError
from tests.bed.parts import program

Labels = frozenset[tuple[str, str]]
"""A series' labels, `__name__` among them where it has a name."""
Answers = Mapping[Labels, dict[int, float]]
"""What an expression gave: series → step → value."""

JOBS: Final = 2  #: promtool processes at once: each keeps a core busy

_ASKED: Final = re.compile(r'^\s+expr: ".*", time: (\S+),$')
_GOT: Final = "        got: "
_SAMPLE: Final = re.compile(r"\{([^}]*)\} (\S+?)(?:, (?=\{)|$)")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


class TooManySamples(Exception):
    """The tester's engine holds 10,000 samples a query at most, those of all series together."""


@dataclass(frozen=True)
class Input:
    """A series that goes in: `selector` is its name with labels, `values` are its samples by step."""

    selector: str
    values: Mapping[int, float]

    @property
    def last(self) -> int:
        return max(self.values)


def ask(rules: str, inputs: Sequence[Input], expr: str, *, every: timedelta, since: int = 0) -> Answers:
    """What `expr` gives at each step from `since` to the inputs' last, with all groups evaluated at each step."""
    last = max(each.last for each in inputs)
    # Groups run in the order of the file: the tester's own order is random.
    groups = [group["name"] for group in yaml.safe_load(rules)["groups"]]
    test = {
        "rule_files": ["benchmark.rules.yml"],
        "evaluation_interval": format_duration(every),
        "group_eval_order": groups,
        "tests": [
            {
                "interval": format_duration(every),
                "input_series": [{"series": each.selector, "values": _notation(each)} for each in inputs],
                "promql_expr_test": [
                    {"expr": expr, "eval_time": format_duration(step * every)} for step in range(since, last + 1)
                ],
            }
        ],
    }
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        Path(folder, "benchmark.rules.yml").write_text(rules)
        Path(folder, "benchmark.test.yml").write_text(json.dumps(test))
        done = subprocess.run(
            [program("promtool"), "test", "rules", "benchmark.test.yml"],
            cwd=folder,
            # Nearly all that promtool allocates it needs to the end: collecting less often saves a third of the time.
            env={"GOGC": "400", **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):  # 1 is an answer; a tester that was killed would pass for a silent detector
        raise AmendError(f"promtool ended with {done.returncode}: {done.stdout[-500:]}")
    return _read(done.stdout, every)


def _notation(given: Input) -> str:
    """promtool's own: `3+0x4` is five times 3, `_` is no sample."""
    words = []
    for value, count in _runs(given):
        if value is None:
            words.append(f"_x{count}")
        else:
            words.append(f"{value:.17g}" if count == 1 else f"{value:.17g}+0x{count - 1}")
    return " ".join(words)


def _runs(given: Input) -> Iterator[tuple[float | None, int]]:
    """Equal neighbours together: a value, and how often it comes."""
    value, count = given.values.get(0), 0
    for step in range(given.last + 1):
        if (here := given.values.get(step)) != value:
            yield value, count
            value, count = here, 0
        count += 1
    yield value, count


def _read(told: str, every: timedelta) -> Answers:
    """Each non-empty answer is complained of as unexpected: a line with the time, and one with what there was."""
    answers: dict[Labels, dict[int, float]] = defaultdict(dict)
    step = 0
    for line in told.splitlines():
        if asked := _ASKED.match(line):
            step = parse_duration(asked[1]) // every
        elif line.startswith(_GOT):
            for labels, value in _SAMPLE.findall(line.removeprefix(_GOT)):
                answers[frozenset(_LABEL.findall(labels))][step] = float(value)
        elif "too many samples" in line:
            raise TooManySamples(line.strip())
        elif "err:" in line or "error" in line.lower():
            raise AmendError(f"promtool: {line.strip()}")
    return answers
