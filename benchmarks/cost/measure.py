"""One rule set in a real Prometheus: how long its groups take, what they read and record, and the memory.

__main__.py calls it for one rule set after the other, each in a fresh process with the same past behind it.
"""

import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import yaml

from benchmarks.cost import blocks, head
from benchmarks.cost.history import Track
from benchmarks.cost.workload import TARGET, Target, Workload
from benchmarks.rule_set import RuleSet
from receiver.durations import format_duration
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus


@dataclass(frozen=True)
class Pace:
    """How often a group is evaluated while it is measured, and how many evaluations count.

    An evaluation costs what it costs however long one waits for the next.
    """

    every: timedelta
    evaluations: int
    patience: timedelta = timedelta(minutes=1)  #: when three are enough, as disturbances average out in long ones


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a rule set costs on a workload. Times are those of the fastest evaluations, in seconds.

    A machine that others use, too, even unseen beside a virtual one, makes them longer and never shorter.
    """

    rules: str
    workload: str
    input_series: int
    group_seconds: Mapping[str, float]
    seconds_per_1000: float  #: of 1,000 input series, with every group due at once
    average_seconds_per_1000: float  #: with groups that run less often counted for as much less
    samples_read: float  #: per input series, with every group due at once
    recorded: float  #: series that the rules record, per input series
    resident_bytes: int  #: at its highest
    head_series: int


REST = "1d"  #: the interval of the groups whose turn it is not


def measure(
    rule_set: RuleSet, workload: Workload, *, pace: Pace, past: Path, tracks: Sequence[Track], began: int, folder: Path
) -> Cost:
    """`past` holds the blocks of what was before the head's time; `tracks` fill the head, until now.

    All groups are evaluated first, which warms caches and makes series; then each is measured while the others rest, as
    they mostly do where they are due every few minutes or once an hour.
    """
    rules, log = folder / "measured.rules.yml", folder / "queries.log"
    _set_pace(rules, rule_set, pace)
    with Target(workload) as target:
        prometheus = _prometheus(folder)
        # Blocks never change, so that they can be shared.
        shutil.copytree(past, prometheus.directory / "data", copy_function=os.link)
        with prometheus:
            head.write(tracks, prometheus.url, start=head.start(began), end=int(time.time()), now=began)
            prometheus.write_config(_config(rules, target.address, pace=pace, log=log))
            prometheus.reload()
            watch = _Watch(prometheus, target, pace)
            watch.warm(rule_set.intervals)
            samples = _samples_read(log)
            for group in rule_set.intervals:
                _set_pace(rules, rule_set, pace, only=group)
                prometheus.reload()
                watch.time(group)
            return _cost(rule_set, workload, watch, samples=samples)


def _set_pace(rules: Path, rule_set: RuleSet, pace: Pace, *, only: str | None = None) -> None:
    every = format_duration(pace.every)
    groups = [{**each, "interval": every if only in (None, each["name"]) else REST} for each in rule_set.groups]
    rules.write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))


class _Watch:
    """What Prometheus told of itself, looked at again and again."""

    def __init__(self, prometheus: Prometheus, target: Target, pace: Pace) -> None:
        self.prometheus = prometheus
        self.target = target
        self.pace = pace
        self.resident = 0.0
        self.fastest: dict[str, float] = {}  #: group → seconds

    def warm(self, groups: Collection[str]) -> None:
        """Until each group has been evaluated after the first scrape; without groups, for as long as they'd take."""
        began = time.monotonic()
        seen: dict[str, dict[str, float]] = {}

        def enough() -> bool:
            self._look(seen)
            if self.target.scrapes < 2:  # Prometheus begins to scrape some seconds after it began to evaluate
                seen.clear()
                return False
            if not groups:
                return time.monotonic() > began + (self.pace.evaluations + 1) * self.pace.every.total_seconds()
            return all(len(seen.get(group, ())) > 1 for group in groups)

        self._until(enough, why="the groups were not evaluated often enough")

    def time(self, group: str) -> None:
        """The fastest evaluation of the one group that is evaluated now; a reload's first does not count."""
        seen: dict[str, dict[str, float]] = {}
        self._look(seen)
        before = set(seen.get(group, ()))
        patient_until = time.monotonic() + self.pace.patience.total_seconds()

        def enough() -> bool:
            self._look(seen)
            least = self.pace.evaluations if time.monotonic() < patient_until else min(3, self.pace.evaluations)
            return len(seen[group].keys() - before) > least

        self._until(enough, why=f"{group} was not evaluated often enough")
        took = seen[group]
        self.fastest[group] = min(took[at] for at in sorted(took.keys() - before)[1:])

    def own(self) -> Mapping[str, float]:
        """Prometheus' own metrics that have no labels."""
        text = httpx.get(f"{self.prometheus.url}/metrics", timeout=60, trust_env=False).text
        pairs = (line.split(" ") for line in text.splitlines() if not line.startswith("#") and "{" not in line)
        return {name: float(value) for name, value in pairs}

    def _until(self, enough: Callable[[], bool], *, why: str) -> None:
        # Looking costs a few hundredths of a second, which the evaluations would feel if it were done all the time.
        until(enough, within=3600, why=why, every=self.pace.every.total_seconds() / 5)

    def _look(self, seen: dict[str, dict[str, float]]) -> None:
        """Add what the groups' last evaluations took: group → when → seconds."""
        answer = httpx.get(f"{self.prometheus.url}/api/v1/rules", timeout=60, trust_env=False).json()
        for group in answer["data"]["groups"]:
            if datetime.fromisoformat(group["lastEvaluation"]).year > 1:  # the year 1 is Go's "never"
                seen.setdefault(group["name"], {})[group["lastEvaluation"]] = group["evaluationTime"]
        self.resident = max(self.resident, self.own()["process_resident_memory_bytes"])


def _prometheus(folder: Path) -> Prometheus:
    """Idle at first: after the first sample of now, the head takes nothing more of what was an hour before."""
    # Blocks stay as they are: compacting them would be measured, too.
    flags = ["--web.enable-remote-write-receiver", f"--storage.tsdb.max-block-duration={blocks.BLOCK}s"]
    return Prometheus(folder, flags=flags)


def _config(rules: Path, target: str, *, pace: Pace, log: Path) -> Mapping[str, Any]:
    every = format_duration(pace.every)
    return {
        "global": {"scrape_interval": every, "evaluation_interval": every, "query_log_file": str(log)},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": TARGET["job"],
                "static_configs": [{"targets": [target], "labels": {"instance": TARGET["instance"]}}],
            }
        ],
    }


def _cost(rule_set: RuleSet, workload: Workload, watch: _Watch, *, samples: float) -> Cost:
    fastest, intervals = watch.fastest, rule_set.intervals
    often = min(intervals.values(), default=watch.pace.every)
    thousands = workload.series / 1000
    # Some record once an hour.
    recorded = sum(watch.prometheus.value(f"count(last_over_time({each}[2h]))") or 0 for each in rule_set.selectors)
    return Cost(
        rules=rule_set.name,
        workload=str(workload),
        input_series=workload.series,
        group_seconds=fastest,
        seconds_per_1000=sum(fastest.values()) / thousands,
        average_seconds_per_1000=sum(took * (often / intervals[name]) for name, took in fastest.items()) / thousands,
        samples_read=samples / workload.series,
        recorded=recorded / workload.series,
        resident_bytes=int(watch.resident),
        head_series=int(watch.own()["prometheus_tsdb_head_series"]),
    )


def _samples_read(log: Path) -> float:
    """Of one evaluation of each group, as Prometheus' query log tells it."""
    read: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    whole_lines = log.read_text().rpartition("\n")[0] if log.exists() else ""  # it is being written
    for line in whole_lines.splitlines():
        query = json.loads(line)
        if "ruleGroup" in query:
            samples = query["stats"].get("samples", {}).get("totalQueryableSamples", 0)
            read[query["ruleGroup"]["name"]][query["params"]["end"]] += samples
    return sum(median(evaluations.values()) for evaluations in read.values())
