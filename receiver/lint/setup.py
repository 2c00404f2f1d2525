"""What is checked together: the settings, the playbooks as they are written, and the rules they react to.

`read` is the door: past it everything could be read on its own, and the checks look only at how it fits together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.actions import ACTIONS, VERBS
from receiver.documents import Document, Place, load
from receiver.errors import ConfigError
from receiver.lint.rules import Rules
from receiver.playbook import Playbook, Step, read_all
from receiver.settings import Settings, playbook_files
from receiver.settings import read as read_settings


@dataclass(frozen=True)
class Written:
    """A playbook, and where each part of it stands."""

    playbook: Playbook
    document: Document
    place: Place

    def error(self, inside: Place, message: str) -> ConfigError:
        return self.document.error((*self.place, *inside), message)

    def texts(self, inside: Place) -> Iterator[tuple[Place, str]]:
        """Every text at and below a place in it, with its own place."""
        value = self.document.value
        for step in (*self.place, *inside):
            value = value.get(step) if isinstance(value, dict) else value[step]
        yield from _texts(value, inside)

    def steps(self) -> Iterator[tuple[Place, Step]]:
        """The steps of both phases, each with its place."""
        for phase, steps in (("steps", self.playbook.steps), ("on_failure", self.playbook.on_failure)):
            for index, step in enumerate(steps):
                yield (phase, index), step

    def uses(self, verb: str) -> Iterator[tuple[Place, Any]]:
        """Where a verb stands, and its arguments as they are written."""
        return (((*place, verb), step.written) for place, step in self.steps() if step.verb == verb)

    def changing(self) -> Iterator[tuple[Place, Step]]:
        """The steps that change what runs."""
        return ((place, step) for place, step in self.steps() if ACTIONS[step.verb].intervenes)


@dataclass(frozen=True)
class Setup:
    """All of it. `rules` is None where nobody named any."""

    document: Document  #: amend.yml
    settings: Settings
    playbooks: tuple[Written, ...]
    rules: Rules | None


def read(config: Path, rules: Rules | None) -> Setup:
    """Settings and the playbooks that they name; ConfigErrors with every mistake in any of them."""
    settings = read_settings(config)
    paths = playbook_files(settings, config.parent)
    playbooks = read_all(paths, VERBS)
    places = {}
    for path in paths:
        document = load(path)
        places.update({raw["name"]: (document, ("playbooks", i)) for i, raw in enumerate(document.value["playbooks"])})
    written = tuple(Written(playbook, *places[playbook.name]) for playbook in playbooks)
    return Setup(load(config), settings, written, rules)


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*place, index))
