"""The receiver with something altered around it by alterations.py: what the tests of faults start in place of amend."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bed.receiver import Receiver

ANYWHERE: Mapping[str, Any] = {
    "platforms": {"docker": [{"name": "local"}]},
    "outbound": {"allow_hosts": ["127.0.0.1"]},
}
"""Settings that go with `crowd="local"`: any container exists, and is called at a target of the test's own."""

ALTERATIONS = Path(__file__).with_name("alterations.py")


class Altered(Receiver):
    """Its alterations are keywords: the names and arguments of the functions there."""

    def __init__(self, directory: Path, *, altered: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(directory, **settings)
        self._words = self.argv[1:]
        self.alter(**altered)

    def alter(self, **altered: Any) -> None:
        """From the next start on, these alterations and no others."""
        # -P: what stands beside the script is not to be imported by accident
        self.argv = [sys.executable, "-P", str(ALTERATIONS), json.dumps(altered), *self._words]

    def follow(self, other: Receiver) -> None:
        """Be a replica of another one, on the very same files but for where it listens."""
        self.config.write_text(other.config.read_text().replace(other.address, self.address))
        self.token_file, self.key_file, self.playbook_file = other.token_file, other.key_file, other.playbook_file
