"""Half an hour that the shop never lived: its metrics and what the rules would have recorded of them.

The stage fills it in before Prometheus starts for good, so that windows which look back over it judge at once. The raw
metrics repeat what the shop has just measured; the recorded ones are Prometheus' own answers to the generated rules.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from story.part import PATIENCE, Broken, finished

LENGTH = timedelta(minutes=40)  # the window of the specs, and what its offset and its first rates need
STEP = 5  # seconds between two raw samples: rates take any spacing


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
    try:
        metrics = httpx.get(f"{url}/metrics", timeout=PATIENCE, trust_env=False).raise_for_status().text
    except httpx.HTTPError as error:
        raise Broken(f"{url}/metrics cannot be read ({error}); containers must be reachable from here") from error
    samples = []
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name.startswith(("http_request", "process_resident")) and not sample.name.endswith("_created"):
                counts = family.type in ("counter", "histogram")
                value = sample.value / seconds if counts else sample.value
                samples.append(Sample(sample.name, {**sample.labels, **labels}, value, counts))
    return samples


@dataclass(frozen=True)
class Past:
    """A stretch of time that ends now, and the data folder of the Prometheus that is to remember it."""

    promtool: str
    data: Path
    scratch: Path
    until: float = field(default_factory=time.time)

    @property
    def since(self) -> float:
        return self.until - LENGTH.total_seconds()

    def fill_in_raw(self, samples: Sequence[Sample]) -> None:
        """The samples' past: the same rates and levels, with a little noise."""
        path = self.scratch / "history.txt"
        with path.open("w") as file:
            for sample in samples:
                file.writelines(self._past(sample))
            file.write("# EOF\n")
        self._create_blocks("openmetrics", str(path), str(self.data))

    def fill_in_recorded(self, rules: Sequence[Path], *, prometheus: str) -> int:
        """One round: what every recording rule that has no past yet says of it; how many there were.

        A rule that reads another's output finds it only once Prometheus has loaded it, so this is to be called again
        after a restart of Prometheus, until nothing more comes of it.
        """
        known = _recorded(prometheus)
        groups = [group for path in rules for group in yaml.safe_load(path.read_text())["groups"]]
        unknown = [
            {**group, "rules": missing}
            for group in groups
            if (missing := [rule for rule in group["rules"] if "record" in rule and _identity(rule) not in known])
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda group: self._evaluate(group, prometheus=prometheus), unknown))
        return sum(len(group["rules"]) for group in unknown)

    def _past(self, sample: Sample) -> Iterator[str]:
        total = 0.0
        # One seed per instance and not per series: a histogram's buckets must swell and ebb together.
        noise = random.Random(sample.labels["instance"])
        for at in range(int(self.since), int(self.until), STEP):
            swell = noise.uniform(0.9, 1.1)
            total += sample.value * STEP * swell
            yield sample.text(total if sample.counts else sample.value * (1 + (swell - 1) / 20), at)

    def _evaluate(self, group: Mapping[str, Any], *, prometheus: str) -> None:
        path = self.scratch / f"history-{group['name'].replace(':', '-')}.rules.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": group["name"], "rules": group["rules"]}]}))
        self._create_blocks(
            "rules",
            f"--start={self.since:.0f}",
            f"--end={self.until:.0f}",
            f"--eval-interval={group['interval']}",  # as Prometheus will: averages weigh samples, not time
            f"--url=http://{prometheus}",
            f"--output-dir={self.data}",
            str(path),
        )

    def _create_blocks(self, *arguments: str) -> None:
        argv = [self.promtool, "tsdb", "create-blocks-from", *arguments]
        done = finished(argv, what="promtool to fill in history")
        if done.returncode:
            raise Broken(f"promtool tsdb create-blocks-from {arguments[0]} failed:\n{done.stderr.strip()}")


def _recorded(prometheus: str) -> set[tuple[str, str]]:
    """Which recorded series there are, by name and detector."""
    query = 'group by (__name__, detector) (last_over_time({detector!=""}[1h]))'
    url = f"http://{prometheus}/api/v1/query"
    answer = httpx.get(url, params={"query": query}, timeout=PATIENCE, trust_env=False).raise_for_status()
    found = answer.json()["data"]["result"]
    return {(each["metric"]["__name__"], each["metric"]["detector"]) for each in found}


def _identity(rule: Mapping[str, Any]) -> tuple[str, str]:
    return rule["record"], rule["labels"]["detector"]
