"""Costs as Markdown, with the machine they were measured on; docs/explanation/what-detection-costs.md shows it.

The numbers compare rule sets on one machine; on another they are others, and the same comparison.
"""

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from benchmarks.cost.measure import Cost
from tests.bed.parts import program

AUTO: Final = "auto"
BY_HAND: Final = "plain-1d"  #: what `auto` must not cost more than
HEAD: Final = (
    "rules",
    "seconds per 1,000 series",
    "with all groups due",
    "samples read per series",
    "series recorded per series",
    "memory, MB",
    "series in the head",
)


def machine() -> Mapping[str, str]:
    """What the times depend on."""
    version = subprocess.run([program("prometheus"), "--version"], capture_output=True, text=True, check=True)
    return {
        "prometheus": (version.stdout + version.stderr).split()[2],
        "cores": str(os.cpu_count()),
        "architecture": platform.machine(),
        "load_before": f"{os.getloadavg()[0]:.1f}",
    }


def markdown(costs: Sequence[Cost], facts: Mapping[str, str]) -> str:
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    tables = (_table(workload, list(each)) for workload, each in groupby(costs, lambda cost: cost.workload))
    return "\n\n".join((*tables, *_verdict(costs), f"Measured on: {said}."))


def _verdict(costs: Sequence[Cost]) -> Iterator[str]:
    """`auto` against what people write by hand, where both were measured."""
    for workload, each in groupby(costs, lambda cost: cost.workload):
        by_name = {cost.rules: cost for cost in each}
        if {AUTO, BY_HAND} <= by_name.keys():
            auto, hand = by_name[AUTO], by_name[BY_HAND]
            average = auto.average_seconds_per_1000 / hand.average_seconds_per_1000
            yield (
                f"At {workload}, {AUTO} takes {average:.2f} times as long as {BY_HAND}"
                f" ({auto.seconds_per_1000 / hand.seconds_per_1000:.2f} times with all groups due)"
                f" and records {auto.recorded:.1f} series per series."
            )


def _table(workload: str, costs: Sequence[Cost]) -> str:
    rows = [
        (
            cost.rules,
            f"{cost.average_seconds_per_1000:.3f}",
            f"{cost.seconds_per_1000:.3f}",
            f"{cost.samples_read:,.0f}",
            f"{cost.recorded:.2f}",
            f"{cost.resident_bytes / 1e6:,.0f}",
            f"{cost.head_series:,}",
        )
        for cost in costs
    ]
    rule = ["---", *["---:"] * (len(HEAD) - 1)]
    return "\n".join((f"{workload}:\n", *("| " + " | ".join(row) + " |" for row in (HEAD, rule, *rows))))
