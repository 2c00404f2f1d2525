"""Tracks as blocks of Prometheus' database, made by `promtool tsdb create-blocks-from openmetrics`.

Blocks are as long as a Prometheus with the default retention makes them when it compacts: 18 hours, and the rest.
"""

import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks.cost.history import Track
from benchmarks.cost.workload import labelled
from benchmarks.engine import JOBS, Labels
from receiver.errors import AmendError
from tests.bed.parts import program

BLOCK: Final = 18 * 3600


def write(tracks: Sequence[Track], data: Path, *, start: int, end: int, now: int) -> None:
    """What is read at `now` of the time from `start` to before `end`."""
    data.mkdir(parents=True, exist_ok=True)
    edges = [start, *range((start // BLOCK + 1) * BLOCK, end, BLOCK), end]
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(lambda pair: _block(tracks, data, *pair, now=now), pairwise(edges)))


def _block(tracks: Iterable[Track], data: Path, start: int, end: int, *, now: int) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".om", dir=data.parent) as file:
        for track in tracks:
            lines = "".join(f"{_line(each)} \0\n" for each in track.series)  # \0 is where value and time go
            file.writelines(
                lines.replace("\0", f"{sample!r} {at}") for at, sample in track.samples(start, end, now=now)
            )
        empty = file.tell() == 0
        file.write("# EOF\n")
        file.flush()
        if not empty:
            _import(Path(file.name), data)


def _line(labels: Labels) -> str:
    metric, *others = sorted(labels)  # capitals apart, no label comes before __name__
    return labelled(metric[1], others)


def _import(text: Path, data: Path) -> None:
    # The flag is not in promtool's help, yet is there from 2.30 on; without it there are nine times as many blocks.
    argv = ["tsdb", "create-blocks-from", "openmetrics", f"--max-block-duration={BLOCK}s", "--quiet", text, data]
    done = subprocess.run(
        [program("promtool"), *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise AmendError(f"promtool made no blocks: {done.stdout}")
