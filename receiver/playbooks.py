"""The playbooks in force: read as a whole, replaced as a whole or not at all.

`amend serve` reads them at its start and at each reload; a set with a mistake in it is never half in force.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from receiver import settings
from receiver.actions import ACTIONS, VERBS
from receiver.errors import ConfigError, ConfigErrors
from receiver.playbook import Playbook, read_all


@dataclass
class Playbooks:
    """The set, and the fingerprint of what it was read from."""

    by_name: Mapping[str, Playbook]
    digest: str

    @classmethod
    def read(cls, written: settings.Settings, path: Path, *, in_force: settings.Settings) -> "Playbooks":
        """Those that amend.yml names as it is `written` now, beside the settings that the process runs on."""
        files = settings.playbook_files(written, path.resolve().parent)
        found = read_all(files, VERBS)
        _refuse_targetless(found)
        texts = [in_force.model_dump_json().encode(), *(file.read_bytes() for file in files)]
        return cls({playbook.name: playbook for playbook in found}, settings.digest(*texts))

    def replace(self, other: "Playbooks") -> None:
        self.by_name, self.digest = other.by_name, other.digest

    def all(self) -> Sequence[Playbook]:
        return list(self.by_name.values())


def _refuse_targetless(playbooks: Sequence[Playbook]) -> None:
    """A verb that changes a workload needs one."""
    errors = []
    for playbook in playbooks:
        verbs = [step.verb for step in (*playbook.steps, *playbook.on_failure) if ACTIONS[step.verb].changes_target]
        if verbs and playbook.target == "none":
            place, _, line = playbook.place.rpartition(":")
            errors.append(ConfigError(place, int(line), f'"{playbook.name}" has {verbs[0]}, and no target to do it on'))
    if errors:
        raise ConfigErrors(errors)
