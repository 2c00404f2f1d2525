"""A first spec as a file that its reader goes on writing: each detector under the reasons why it is as it is.

`amend rules init` writes what comes from here. Whatever was scraped, the text is one that load_spec takes.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, count
from pathlib import Path
from typing import Final

import yaml

from receiver.durations import format_duration
from receiver.errors import ConfigError, ConfigErrors
from receiver.rulegen.days import BLIND, DAY
from receiver.rulegen.presets import NOVELTY, PRESETS, automatic
from receiver.rulegen.proposals import Proposal
from receiver.rulegen.spec import YAML_WORDS, load_spec
from receiver.rulegen.survey import Kind
from receiver.rulegen.vocabulary import snake_case

LONGEST_HELP: Final = 160  #: characters of what an exporter says of its metric

HOUR: Final = timedelta(hours=1)
WINDOWS: Final = tuple(timedelta(hours=hours) for hours in (240, 168, 120, 72, 48, 24, 12, 6, 4, 2))


@dataclass(frozen=True)
class Memory:
    """How far back the detectors can look, where Prometheus keeps less than the preset wants."""

    window: timedelta
    min_samples: int
    retention: timedelta

    def __str__(self) -> str:
        return f"window: {format_duration(self.window)}, min_samples: {self.min_samples}"

    @property
    def warning(self) -> str:
        kept, wanted = format_duration(self.retention), format_duration(_reach(PRESETS["balanced"].days))
        return f"Prometheus keeps {kept}, less than the {wanted} that the bands would learn from"


def memory(retention: timedelta | None, proposals: Sequence[Proposal]) -> Memory | None:
    """None where Prometheus keeps enough, or does not say what it keeps."""
    preset = PRESETS["balanced"]
    if retention is None or retention >= _reach(preset.days):
        return None
    window = next((each for each in WINDOWS if _reach(each) < retention), HOUR)
    slowest = max((each.interval or preset.interval for each in proposals), default=preset.interval)
    return Memory(window, max(2, min(preset.min_samples, window // (2 * slowest))), retention)


def _reach(window: timedelta) -> timedelta:
    """How far back the band looks that `auto` stands for with this window."""
    return window + BLIND + DAY if automatic(window) == NOVELTY else window


def named_apart(proposals: Iterable[Proposal], *, service: str, taken: Collection[str]) -> list[Proposal]:
    """The same under names that are unique, among themselves and beside those of other specs."""
    used = {*taken}
    found = []
    for each in proposals:
        names = chain([each.name, snake_case(f"{service}_{each.name}")], (f"{each.name}_{n}" for n in count(2)))
        name = next(name for name in names if name not in used)
        used.add(name)
        found.append(replace(each, name=name))
    return found


def names_in(folder: Path, *, but: Path) -> set[str]:
    """The names of the detectors of the folder's other specs."""
    names: set[str] = set()
    for path in sorted(folder.glob("*.yml")):
        if path.resolve() != but.resolve():
            # A spec that cannot be read is what `amend rules generate` tells of, line by line.
            with suppress(ConfigError, ConfigErrors):
                names |= {detector.name for detector in load_spec(path).detectors}
    return names


def text(service: str, proposals: Sequence[Proposal], *, source: str, memory: Memory | None) -> str:
    """The whole file. `source` is the Prometheus that was looked at."""
    return "\n".join(
        (
            *_comment(f"A first spec: `amend rules init` wrote it after a look at {source}. It is yours now."),
            "# All of it is guessed from names, types and labels: read each, and keep what you would get up for.",
            "# What is not said is as the preset `balanced` and the band `auto` have it.",
            "version: amend/v1",
            f"service: {scalar(service)}",
            *_defaults(memory),
            "detectors:",
            "\n\n".join("\n".join(_detector(each)) for each in proposals),
            "",
        )
    )


def scalar(value: str) -> str:
    """As it is where YAML cannot misread it, else in quotes."""
    harmless = re.fullmatch(r"(?:[A-Za-z]|\d+[a-z]+ )[^:#]*", value) and value.strip() == value and value.isprintable()
    if harmless and value.lower() not in YAML_WORDS:
        return value
    return yaml.dump(value, default_style='"', width=10_000, allow_unicode=value.isprintable()).strip()


def _defaults(memory: Memory | None) -> Iterator[str]:
    if memory:
        yield from _comment(f"{memory.warning}. Let it keep more, and take these lines away.")
        yield f"retention: {format_duration(memory.retention)}"
        yield f"defaults: {{{memory}}}"


def _detector(proposal: Proposal) -> Iterator[str]:
    kind = "of a kind that nobody tells" if proposal.kind is Kind.UNKNOWN else f"a {proposal.kind}"
    told = f": {_shortened(proposal.help)}" if proposal.help else ""
    yield from _comment(f"{proposal.metric}, {kind}{told}")
    for reason in proposal.why:
        yield from _comment(f"- {reason}")
    yield f"- name: {scalar(proposal.name)}"
    yield f"  description: {scalar(proposal.description)}"
    if proposal.unit:
        yield f"  unit: {scalar(proposal.unit)}"
    yield "  expr: |"
    yield from (f"    {line}" for line in proposal.expr.splitlines())
    if proposal.by:
        yield f"  by: [{', '.join(proposal.by)}]"
    if proposal.direction != "both":
        yield f"  direction: {proposal.direction}"
    if proposal.absolute:
        yield f"  min_deviation: {{absolute: {proposal.absolute}}}"
    if proposal.only_if:
        yield f"  only_if: {scalar(proposal.only_if)}"
    if proposal.interval:
        yield f"  interval: {format_duration(proposal.interval)}"


def _comment(words: str) -> Iterator[str]:
    """One line: strangers' line feeds and control characters are spelled out."""
    yield "# " + "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in words)


def _shortened(words: str) -> str:
    one_line = " ".join(words.split())
    return one_line if len(one_line) <= LONGEST_HELP else f"{one_line[: LONGEST_HELP - 1]}…"
