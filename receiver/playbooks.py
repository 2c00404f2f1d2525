"""The playbooks in force: read as a whole, replaced as a whole or not at all.

`amend serve` reads them at its start and at each reload; a set in which `amend check` would find an error is never in
force.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from receiver import settings
from receiver.errors import ConfigErrors
from receiver.lint import Severity, lint
from receiver.lint.setup import Setup
from receiver.lint.setup import read as read_setup
from receiver.playbook import Playbook


@dataclass
class Playbooks:
    """The set, and the fingerprint of what is in force: the settings, and the files that it was read from."""

    by_name: Mapping[str, Playbook]
    digest: str

    def replace(self, other: "Playbooks") -> None:
        self.by_name, self.digest = other.by_name, other.digest

    def all(self) -> Sequence[Playbook]:
        return list(self.by_name.values())


def read(path: Path, *, in_force: settings.Settings | None = None) -> tuple[settings.Settings, Playbooks]:
    """amend.yml as it is written now, and the playbooks that it names; ConfigError(s) where they cannot work.

    `in_force` are the settings that the process runs on already.
    """
    setup = read_setup(path, None)
    _refuse(setup)
    files = settings.playbook_files(setup.settings, path.parent)
    # where it listens is each replica's own, and makes it no different one
    written = (in_force or setup.settings).model_dump_json(exclude={"server": {"listen"}})
    texts = [written.encode(), *(file.read_bytes() for file in files)]
    by_name = {each.playbook.name: each.playbook for each in setup.playbooks}
    return setup.settings, Playbooks(by_name, settings.digest(*texts))


def _refuse(setup: Setup) -> None:
    """What only may be a mistake is for `amend check` to tell."""
    errors = [finding.mistake for finding in lint(setup) if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigErrors(errors)
