"""Generated rules on made-up history, in Prometheus' own engine: what holds at which time is proved by promtool.

Tests of the bands use it; the history is of the raw metric, so that the value's own rule is part of the proof.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from receiver.rulegen.generate import load_specs, render
from tests.bed.prometheus import promtool

HEAD = "version: amend/v1\nservice: shop\ndetectors:\n"


def spec(folder: Path, *detectors: str, name: str = "shop") -> Path:
    """A folder with one spec file of these detectors, each in YAML's flow style."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yml").write_text(HEAD + "".join(f"- {detector}\n" for detector in detectors))
    return folder


def generated(folder: Path, *detectors: str) -> Path:
    """The folder with what is generated from such a spec."""
    loaded = load_specs(spec(folder / "specs", *detectors))
    out = folder / "out"
    out.mkdir(exist_ok=True)
    for path, data in render(loaded.specs, rules=out, dashboards=out).items():
        path.write_bytes(data)
    return out


def prove(
    folder: Path,
    detector: str,
    *,
    history: Mapping[str, Iterable[float | str]],
    every: str,
    holds: Mapping[str, Sequence[str]] | None = None,
    fails: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """By time of the history: queries that must have an answer then, and queries that must have none."""
    out = generated(folder, detector)
    rules = yaml.safe_load((out / "shop.rules.yml").read_text())
    checks = [
        {"expr": f"absent({query})", "eval_time": at, "exp_samples": []}
        for at, queries in (holds or {}).items()
        for query in queries
    ] + [
        {"expr": query, "eval_time": at, "exp_samples": []}
        for at, queries in (fails or {}).items()
        for query in queries
    ]
    test = {
        "rule_files": ["shop.rules.yml"],
        "evaluation_interval": every,
        "group_eval_order": [group["name"] for group in rules["groups"]],
        "tests": [
            {
                "interval": every,
                "input_series": [
                    {"series": series, "values": " ".join(map(str, values))} for series, values in history.items()
                ],
                "promql_expr_test": checks,
            }
        ],
    }
    (out / "proof.yml").write_text(yaml.safe_dump(test, sort_keys=False))
    promtool("test", "rules", out / "proof.yml")
