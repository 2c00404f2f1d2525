"""Draws the pictures of the bands: made-up days, and what the generated rules make of them in Prometheus' own engine.

    .venv/bin/python docs/images/plot_band.py [NAME…]

People call it when a band has changed. promtool computes every number; this only draws them.
"""

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from receiver.rulegen.generate import load_specs, render

HERE = Path(__file__).parent
SPEC = "version: amend/v1\nservice: shop\ndetectors:\n- {{name: it, expr: max(x), {keys}}}\n"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 300, 54, 10, 34
POINTS = 576  #: over the width of a plot

Line = Sequence[tuple[int, float]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What is watched, how, and the frame around it."""

    keys: str  #: of the detector, beside its name and expr
    history: Callable[[random.Random], Iterator[float]]
    step: int = 1  #: minutes between two samples
    days: int = 4
    skipped: int = 0  #: days before the plot begins
    lowest: float = 0
    highest: float
    marks: Sequence[float]  #: on the left
    unit: str = ""


# ── histories ──


def latency(chance: random.Random) -> Iterator[float]:
    """A gentle daily wave with noise, two faults, and on the last days a new level."""
    for minute in range(4 * 1440):
        hours = minute / 60
        value = 0.25 + 0.03 * math.sin(2 * math.pi * (hours - 9) / 24) + chance.gauss(0, 0.015)
        if 33 <= hours < 35 or 47 <= hours < 47.6:
            value += 0.5
        if hours >= 62:
            value += 0.2
        yield value


def disk(chance: random.Random) -> Iterator[float]:
    """Cleaned up at night, and once not; then nearly full, until somebody looks."""
    level = 0.52
    for minute in range(0, 4 * 1440, 2):
        hours = minute / 60
        level += max(0, 0.97 - level) ** 0.5 * 0.00085 + chance.gauss(0, 0.0004)
        if hours % 24 < 0.03 and hours > 1 and not 71 < hours < 73:
            level -= 0.33
        if 88 <= hours < 88.03:
            level -= 0.45
        yield level


def leak(chance: random.Random) -> Iterator[float]:
    """A cache that is emptied every six hours; then a leak that is killed at the limit, and begins anew."""
    for minute in range(0, 4 * 1440, 2):
        hours = minute / 60
        used = 38 + 3 * (hours % 6) if hours < 42 else 38 + 3.1 * ((hours - 42) % 23)
        yield used + chance.gauss(0, 0.7)


def queue(chance: random.Random) -> Iterator[float]:
    """Bursts in a third of the time; one that stays, and on the last day a spike."""
    burst = 0.0
    for minute in range(0, 4 * 1440, 2):
        hours = minute / 60
        if chance.random() < 0.035:
            burst = chance.uniform(15, 45)
        burst *= 0.82
        stuck = 140 if 60 <= hours < 62 or 85 <= hours < 85.5 else 0
        yield max(0, 20 + chance.gauss(0, 2) + burst + stuck)


def skewed(chance: random.Random) -> Iterator[float]:
    """A long tail above and none below; a fault above, and one below."""
    for minute in range(0, 4 * 1440, 2):
        hours = minute / 60
        value = 80 + chance.gammavariate(1.6, 14)
        if 40 <= hours < 42:
            value += 160
        if 70 <= hours < 71.5:
            value = 25 + chance.gauss(0, 2)
        yield value


def requests(chance: random.Random) -> Iterator[float]:
    """Working days and weekends, growing; a lunch without guests, a busy night, and a holiday two weeks before."""
    for minute in range(0, 28 * 1440, 10):
        day, hours = divmod(minute / 60, 24)
        busy = 1.0 if day % 7 < 5 and day != 15 else 0.35
        shape = 0.12 + math.exp(-(((hours - 10.5) / 2.6) ** 2)) + 0.8 * math.exp(-(((hours - 16) / 3) ** 2))
        value = 400 * busy * shape * 1.1 ** (day / 7) * (1 + chance.gauss(0, 0.03))
        if day == 22 and 9.5 <= hours < 12:
            value *= 0.35
        if day == 24 and 2 <= hours < 3.5:
            value += 250
        yield value


def jobs(chance: random.Random) -> Iterator[float]:
    """A job every night and a peak at noon; then a burst, a drop, a jump within its heights, a worse version."""
    for minute in range(0, 20 * 1440, 5):
        day, hours = divmod(minute / 60, 24)
        value = 30 + 20 * math.exp(-(((hours - 13) / 3) ** 2)) + chance.gauss(0, 1.5)
        if 2 <= hours < 3:
            value += 45
        if (day, True) == (15, 17 <= hours < 18):
            value += 70
        if (day, True) == (16, 12 <= hours < 13):
            value = 6 + chance.gauss(0, 1)
        if (day, True) == (17, 7 <= hours < 8):
            value += 38
        if (day == 18 and hours >= 9) or day > 18:
            value += 18
        yield value


PICTURES: Mapping[str, Picture] = {
    "band-novelty": Picture(
        keys="band: novelty, interval: 5m",
        history=jobs,
        step=5,
        days=20,
        skipped=14,
        highest=140,
        marks=(0, 25, 50, 75, 100, 125),
        unit=" %",
    ),
    "band": Picture(
        keys="band: zscore, direction: above, min_deviation: {relative: 20%}",
        history=latency,
        highest=1,
        marks=(0, 0.25, 0.5, 0.75, 1),
        unit=" s",
    ),
    "band-threshold": Picture(
        keys="band: threshold, bound: 0.9, direction: above",
        history=disk,
        step=2,
        highest=1,
        marks=(0, 0.3, 0.6, 0.9),
    ),
    "band-forecast": Picture(
        keys="band: forecast, bound: 100, direction: above, horizon: 6h",
        history=leak,
        step=2,
        highest=130,
        marks=(0, 25, 50, 75, 100, 125),
        unit=" %",
    ),
    "band-any-of": Picture(
        keys="band: {any_of: [zscore, threshold]}, bound: 0.6, direction: above, min_deviation: {relative: 20%}",
        history=latency,
        highest=1,
        marks=(0, 0.3, 0.6, 0.9),
        unit=" s",
    ),
    "band-robust": Picture(keys="band: robust", history=queue, step=2, highest=200, marks=(0, 50, 100, 150, 200)),
    "band-iqr": Picture(keys="band: iqr", history=skewed, step=2, highest=300, marks=(0, 100, 200, 300), unit=" ms"),
    "band-seasonal": Picture(
        keys="band: seasonal, interval: 10m, min_samples: 36, for: 20m",
        history=requests,
        step=10,
        days=28,
        skipped=20,
        highest=900,
        marks=(0, 300, 600, 900),
        unit="/s",
    ),
}


# ── what Prometheus makes of them ──


def evaluate(picture: Picture) -> tuple[Mapping[str, Line], list[int]]:
    """The recorded series by name, and the minutes at which the alert fires."""
    chance = random.Random(7)  # noqa: S311 - the same picture each time
    values = [round(value, 4) for value in picture.history(chance)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shop.yml").write_text(SPEC.format(keys=picture.keys))
        for path, data in render(load_specs(folder).specs, rules=folder, dashboards=folder).items():
            path.write_bytes(data)
        groups = yaml.safe_load((folder / "shop.rules.yml").read_text())["groups"]
        first, last = picture.skipped * 1440, picture.days * 1440
        minutes = range(first + every(picture), last, every(picture))
        asked = '{__name__=~"amend:(value|band_mean|band_upper|band_lower|forecast)"} or ALERTS{alertstate="firing"}'
        test = {
            "rule_files": ["shop.rules.yml"],
            "evaluation_interval": f"{picture.step}m",
            "group_eval_order": [group["name"] for group in groups],
            "tests": [
                {
                    "interval": f"{picture.step}m",
                    "input_series": [{"series": "x", "values": " ".join(map(str, values))}],
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


def every(picture: Picture) -> int:
    """Minutes between two points of the plot."""
    wanted = (picture.days - picture.skipped) * 1440 / POINTS
    return picture.step * max(1, round(wanted / picture.step))


def read(told: str) -> tuple[Mapping[str, Line], list[int]]:
    """promtool's complaints: a line that ends with the time, and one with what it got then."""
    lines: dict[str, list[tuple[int, float]]] = defaultdict(list)
    at = 0
    for line in told.splitlines():
        if found := re.search(r"time: (?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:0s)?,$", line):
            weeks, days, hours, minutes = map(int, found.groups(default="0"))
            at = ((weeks * 7 + days) * 24 + hours) * 60 + minutes
        for name, value in re.findall(r'{__name__="(?:amend:)?(\w+)"[^}]*} ([\d.E+-]+)', line):
            lines[name].append((at, float(value)))
    return lines, [minute for minute, _ in lines.pop("ALERTS", [])]


# ── the drawing ──


def draw(picture: Picture, lines: Mapping[str, Line], firing: Sequence[int]) -> str:
    first, length = picture.skipped * 1440, (picture.days - picture.skipped) * 1440

    def x(minute: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * (minute - first) / length

    def y(value: float) -> float:
        share = (value - picture.lowest) / (picture.highest - picture.lowest)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0), 1))

    def path(line: Line) -> str:
        return " ".join(f"{x(minute):.1f},{y(value):.1f}" for minute, value in line)

    band = path([*lines["band_upper"], *reversed(lines["band_lower"])])
    width = x(first + every(picture)) - x(first)
    strips = "".join(
        f'<rect x="{x(at):.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>' for at in firing
    )
    marks = "".join(
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}{picture.unit}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
        for value in picture.marks
    )
    days = "".join(
        f'<text x="{x((day + 0.5) * 1440):.1f}" y="{HEIGHT - 14}" text-anchor="middle">day {day + 1}</text>'
        for day in range(picture.skipped, picture.days)
    )
    ahead = "".join(
        f'<polyline points="{path(line)}" fill="none" stroke="#c60" stroke-dasharray="3 2"/>\n'
        for name, line in lines.items()
        if name == "forecast"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#444"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{marks}{days}\n'
        f'<g fill="#d33" fill-opacity="0.18">{strips}</g>\n'
        f'<polygon points="{band}" fill="#2a7" fill-opacity="0.2"/>\n'
        f'<polyline points="{path(lines["band_mean"])}" fill="none" stroke="#2a7"/>\n{ahead}'
        f'<polyline points="{path(lines["value"])}" fill="none" stroke="#124" stroke-width="0.8"/>\n</svg>\n'
    )


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PICTURES:
        (HERE / f"{chosen}.svg").write_text(draw(PICTURES[chosen], *evaluate(PICTURES[chosen])))
