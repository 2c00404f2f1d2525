"""`python -m benchmarks.nab FOLDER`: one detector, scored on a folder of labelled series.

People run it, and compare.py for several at once; the same rules on the same folder give the same figures.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.nab.corpus import Series, load
from benchmarks.nab.figures import Figures, figures
from benchmarks.nab.options import Folder, Only
from benchmarks.nab.pages import Judged
from benchmarks.nab.plot import ASKED, draw
from benchmarks.nab.report import table
from benchmarks.nab.run import answers, judge
from benchmarks.nab.specs import AUTO
from benchmarks.rule_set import RuleSet, from_rules, from_spec
from receiver.commands.options import Format, Output
from receiver.errors import AmendError


def score(
    folder: Folder,
    *,
    specs: Annotated[Path, typer.Option(help="The spec file to score.")] = AUTO,
    rules: Annotated[Path | None, typer.Option(help="A rule file instead; its alerts keep `series`.")] = None,
    per_series: Annotated[bool, typer.Option("--per-series", help="Figures of each series, too.")] = False,
    plots: Annotated[Path | None, typer.Option(help="Draw the best and the worst series into this folder.")] = None,
    only: Only = "",
    output: Output = Format.SIMPLE,
) -> None:
    """Score a spec, turned into rules by the generator itself, with Prometheus' own rule engine."""
    rule_set = from_rules(rules) if rules else from_spec(specs)
    corpus = load(folder, only=only)
    judged = judge(rule_set.rules, corpus)
    found = {"all": figures(judged), **by_category(judged)}
    if per_series:
        found |= {series.name: figures([(series, up)]) for series, up in judged}
    if output is Format.JSON:
        print(json.dumps({"detector": rule_set.name, **{name: asdict(each) for name, each in found.items()}}, indent=1))
    else:
        print(table(found, about=rule_set.name))
    if plots:
        draw_extremes(plots, rule_set, judged)


def by_category(judged: Judged) -> dict[str, Figures]:
    categories = sorted({series.category for series, _ in judged})
    return {name: figures([each for each in judged if each[0].category == name]) for name in categories}


def draw_extremes(folder: Path, rule_set: RuleSet, judged: Judged, *, each: int = 2) -> None:
    """The series on which most and least was won over saying nothing."""
    ranked = sorted(judged, key=lambda pair: _gain(pair[0], figures([pair])), reverse=True)
    chosen = ranked if len(ranked) <= 2 * each else [*ranked[:each], *ranked[-each:]]
    bands = answers(rule_set.rules, [series for series, _ in chosen], ASKED)
    folder.mkdir(parents=True, exist_ok=True)
    for rank, (series, up) in enumerate(chosen):
        side = "best" if rank < len(chosen) / 2 else "worst"
        path = folder / f"{side}-{series.name.replace('/', '-')}.svg"
        gain = _gain(series, figures([(series, up)]))
        path.write_text(draw(series, up, bands[series.name], title=f"{side}: {series.name}, {gain:+.2f} over silence"))
        print(path, file=sys.stderr)


def _gain(series: Series, found: Figures) -> float:
    """The series' own score; silence gets 0, and each window is worth up to 2."""
    return found.nab_raw + len(series.scored)


if __name__ == "__main__":
    try:
        typer.run(score)
    except AmendError as error:
        sys.exit(str(error))
