"""`python -m benchmarks.cost`: what rule sets cost in a real Prometheus, side by side.

People run it on a machine that does nothing else, for half an hour; `--quick` shows in half a minute that it works, and
nothing about times.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.cost import blocks, head
from benchmarks.cost.history import raw, recorded
from benchmarks.cost.measure import Cost, Pace, measure
from benchmarks.cost.report import machine, markdown
from benchmarks.cost.workload import Workload
from benchmarks.rule_set import RuleSet, load_rule_set
from receiver.commands.options import Format, Output
from receiver.errors import AmendError

HERE: Final = Path(__file__).parent
FULL: Final = (Workload(1_000, timedelta(seconds=15)), Workload(10_000, timedelta(seconds=60)))
QUICK: Final = (Workload(100, timedelta(seconds=60), patterns=1),)
THOROUGH: Final = Pace(timedelta(seconds=5), evaluations=8)
HASTY: Final = Pace(timedelta(seconds=1), evaluations=2)
NOTHING: Final = RuleSet("no rules", "groups: []")


def cost(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A hundred series only.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this rule set; repeatable.")] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Measure what every spec and rule file of benchmarks/cost costs."""
    facts = machine()
    chosen = [each for each in rule_sets() if not only or each.name in only]
    workloads, pace = (QUICK, HASTY) if quick else (FULL, THOROUGH)
    costs = [each for workload in workloads for each in _costs(workload, chosen, pace)]
    if output is Format.JSON:
        print(json.dumps({"machine": facts, "costs": [asdict(each) for each in costs]}, indent=1))
    else:
        print(markdown(costs, facts))


def rule_sets() -> Sequence[RuleSet]:
    """A spec or a rule file that is added to this folder is measured from then on."""
    return [load_rule_set(path) for path in sorted(HERE.glob("*.yml"))]


def _costs(workload: Workload, chosen: Sequence[RuleSet], pace: Pace) -> Iterator[Cost]:
    began = int(time.time())
    _say(f"{workload}: making the past of {', '.join(each.name for each in chosen)}")
    watched = raw(workload, chosen)
    own = {each.name: recorded(each, workload, now=began) for each in chosen}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        everything = [*watched, *(track for tracks in own.values() for track in tracks)]
        oldest = max(stretch.oldest for track in everything for stretch in track.stretches)
        start, end = began - int(oldest.total_seconds()), head.start(began)
        blocks.write(everything, folder / "past", start=start, end=end, now=began)
        for each in (NOTHING, *chosen):
            _say(f"{workload}: measuring {each.name}")
            tracks = [*watched, *own.get(each.name, ())]
            with tempfile.TemporaryDirectory(dir=folder) as run:
                found = measure(
                    each, workload, pace=pace, past=folder / "past", tracks=tracks, began=began, folder=Path(run)
                )
            _say(f"{workload}: {each.name} takes {found.average_seconds_per_1000:.3f} s for 1,000 series")
            yield found


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


if __name__ == "__main__":
    # As Ctrl-C does: by default SIGTERM ends this on the spot, and the Prometheus that it started would run on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        typer.run(cost)
    except AmendError as error:
        sys.exit(str(error))
