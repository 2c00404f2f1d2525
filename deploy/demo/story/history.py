"""Half an hour that the shop never lived: its metrics and what the rules would have recorded of them.

The stage fills it in before Prometheus starts for good, so that windows which look back over it judge at once. The raw
metrics repeat what the shop has just measured; the recorded ones are Prometheus' own answers to the generated rules.
"""

import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from story.part import Broken

LENGTH = timedelta(minutes=40)  # the window of the specs, and what its offset and its first rates need
STEP = 5  # seconds between two raw samples: rates take any spacing
ROUNDS = 12  # more than any chain of rules is long


@dataclass(frozen=True)
class Sample:
    """One series of a service, and how it grew or stood while we watched."""

    name: str
    labels: Mapping[str, str]
    value: float
    counts: bool

    def text(self, value: float, at: float) -> str:
        labels = ",".join(f'{key}="{label}"' for key, label in self.labels.items())
        return f"{self.name}{{{labels}}} {value:.10g} {at:.0f}\n"


def observe(url: str, *, seconds: float, labels: Mapping[str, str]) -> list[Sample]:
    """What one service's series are now; counters as their growth in a second."""
    samples = []
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics", trust_env=False).text):
        for sample in family.samples:
            if sample.name.startswith(("http_request", "process_resident")) and not sample.name.endswith("_created"):
                counts = family.type in ("counter", "histogram")
                value = sample.value / seconds if counts else sample.value
                samples.append(Sample(sample.name, {**sample.labels, **labels}, value, counts))
    return samples


def write_raw(samples: Sequence[Sample], *, until: float, path: Path) -> None:
    """The samples' past as OpenMetrics text: the same rates and levels, with a little noise."""
    with path.open("w") as file:
        for sample in samples:
            file.writelines(_past(sample, until=until))
        file.write("# EOF\n")


def _past(sample: Sample, *, until: float) -> Iterator[str]:
    start = until - LENGTH.total_seconds()
    total = 0.0
    # One seed per instance and not per series: a histogram's buckets must swell and ebb together.
    noise = random.Random(sample.labels["instance"])
    for at in range(int(start), int(until), STEP):
        swell = noise.uniform(0.9, 1.1)
        total += sample.value * STEP * swell
        yield sample.text(total if sample.counts else sample.value * (1 + (swell - 1) / 20), at)


def load_raw(path: Path, *, promtool: str, data: Path) -> None:
    _promtool(promtool, "create-blocks-from", "openmetrics", str(path), str(data))


def load_recorded(rules: Path, *, promtool: str, prometheus: str, data: Path, until: float, scratch: Path) -> int:
    """One round: evaluates over the past every recording rule that has none yet; how many were left to do.

    A rule that reads another's output finds it only once Prometheus has loaded it, so this is to be called again
    after a restart of Prometheus until nothing more comes of it.
    """
    known = _recorded(prometheus)
    left = 0
    for group in yaml.safe_load(rules.read_text())["groups"]:
        rules_left = [rule for rule in group["rules"] if "record" in rule and _identity(rule) not in known]
        if not rules_left:
            continue
        left += len(rules_left)
        part = scratch / "history.rules.yml"
        part.write_text(yaml.safe_dump({"groups": [{"name": group["name"], "rules": rules_left}]}))
        start = until - LENGTH.total_seconds()
        _promtool(
            promtool,
            "create-blocks-from",
            "rules",
            f"--start={start:.0f}",
            f"--end={until:.0f}",
            f"--eval-interval={group['interval']}",
            f"--url=http://{prometheus}",
            f"--output-dir={data}",
            str(part),
        )
    return left


def _recorded(prometheus: str) -> set[tuple[str, str]]:
    """Which recorded series there are, by name and detector."""
    query = 'group by (__name__, detector) (last_over_time({detector!=""}[1h]))'
    answer = httpx.get(f"http://{prometheus}/api/v1/query", params={"query": query}, trust_env=False).raise_for_status()
    found = answer.json()["data"]["result"]
    return {(each["metric"]["__name__"], each["metric"]["detector"]) for each in found}


def _identity(rule: Mapping[str, Any]) -> tuple[str, str]:
    return rule["record"], rule["labels"]["detector"]


def _promtool(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, "tsdb", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Broken(f"promtool tsdb {' '.join(arguments[:2])} failed:\n{done.stderr.strip()}")
