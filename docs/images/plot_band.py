"""Draws docs/images/band.svg: four made-up days, and what the generated rules make of them in Prometheus' own engine.

    .venv/bin/python docs/images/plot_band.py

People call it when the band has changed. promtool computes every number; this only draws them.
"""

import json
import math
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from receiver.rulegen.generate import load_specs, render

HERE = Path(__file__).parent
DAYS, EVERY = 4, 10  # minutes between two points of the plot
SPEC = """\
version: amend/v1
service: shop
detectors:
- {name: latency_p95, expr: max(latency_seconds), direction: above, min_deviation: {relative: 20%}}
"""
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 300, 54, 10, 34
HIGHEST = 1.0  # seconds, at the top of the plot

Line = Sequence[tuple[int, float]]


def history() -> list[float]:
    """One value a minute: a gentle daily wave with noise, two faults, and on the last days a new level."""
    chance = random.Random(7)  # noqa: S311 - the same picture each time
    values = []
    for minute in range(DAYS * 1440):
        hours = minute / 60
        value = 0.25 + 0.03 * math.sin(2 * math.pi * (hours - 9) / 24) + chance.gauss(0, 0.015)
        if 33 <= hours < 35 or 47 <= hours < 47.6:
            value += 0.5
        if hours >= 62:
            value += 0.2
        values.append(round(value, 4))
    return values


def evaluate(values: Sequence[float]) -> tuple[Mapping[str, Line], list[int]]:
    """The recorded series by name, and the minutes at which the alert fires."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shop.yml").write_text(SPEC)
        for path, data in render(load_specs(folder).specs, rules=folder, dashboards=folder).items():
            path.write_bytes(data)
        groups = yaml.safe_load((folder / "shop.rules.yml").read_text())["groups"]
        minutes = range(EVERY, DAYS * 1440, EVERY)
        asked = '{__name__=~"amend:(value|band_mean|band_upper|band_lower)"} or ALERTS{alertstate="firing"}'
        test = {
            "rule_files": ["shop.rules.yml"],
            "evaluation_interval": "1m",
            "group_eval_order": [group["name"] for group in groups],
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": "latency_seconds", "values": " ".join(map(str, values))}],
                    "promql_expr_test": [{"expr": asked, "eval_time": f"{minute}m"} for minute in minutes],
                }
            ],
        }
        (folder / "plot.test.yml").write_text(json.dumps(test))
        promtool = os.environ.get("PROMTOOL") or shutil.which("promtool") or "promtool"
        # every test fails on purpose, and tells what there was
        done = subprocess.run(
            [promtool, "test", "rules", "plot.test.yml"], cwd=folder, capture_output=True, text=True, check=False
        )
    return read(done.stderr + done.stdout)


def read(told: str) -> tuple[Mapping[str, Line], list[int]]:
    """promtool's complaints: a line that ends with the time, and one with what it got then."""
    lines: dict[str, list[tuple[int, float]]] = defaultdict(list)
    at = 0
    for line in told.splitlines():
        if found := re.search(r"time: (?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:0s)?,$", line):
            days, hours, minutes = map(int, found.groups(default="0"))
            at = (days * 24 + hours) * 60 + minutes
        for name, value in re.findall(r'{__name__="(?:amend:)?(\w+)"[^}]*} ([\d.E+-]+)', line):
            lines[name].append((at, float(value)))
    return lines, [minute for minute, _ in lines.pop("ALERTS", [])]


def draw(lines: Mapping[str, Line], firing: Sequence[int]) -> str:
    def x(minute: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * minute / (DAYS * 1440)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(value, HIGHEST) / HIGHEST)

    def path(line: Line) -> str:
        return " ".join(f"{x(minute):.1f},{y(value):.1f}" for minute, value in line)

    band = path([*lines["band_upper"], *reversed(lines["band_lower"])])
    width = x(EVERY) - x(0)
    strips = "".join(
        f'<rect x="{x(at):.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>' for at in firing
    )
    seconds = "".join(
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g} s</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
        for value in (0, 0.25, 0.5, 0.75, 1)
    )
    days = "".join(
        f'<text x="{x((day + 0.5) * 1440):.1f}" y="{HEIGHT - 14}" text-anchor="middle">day {day + 1}</text>'
        for day in range(DAYS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#444"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{seconds}{days}\n'
        f'<g fill="#d33" fill-opacity="0.18">{strips}</g>\n'
        f'<polygon points="{band}" fill="#2a7" fill-opacity="0.2"/>\n'
        f'<polyline points="{path(lines["band_mean"])}" fill="none" stroke="#2a7"/>\n'
        f'<polyline points="{path(lines["value"])}" fill="none" stroke="#124" stroke-width="0.8"/>\n</svg>\n'
    )


if __name__ == "__main__":
    (HERE / "band.svg").write_text(draw(*evaluate(history())))
