"""What one spec means, before a format says into which files it goes.

generate.py puts the pieces together; the formats (plain rule files, prometheusrule.py, mixin.py) lay them out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from receiver.rulegen.promtests import test_file
from receiver.rulegen.rules import Group, file_text
from receiver.rulegen.spec import MARK, Spec


@dataclass(frozen=True)
class Pieces:
    """One spec and its groups of rules: first those that record, then those that alert."""

    spec: Spec
    recording: tuple[Group, ...]
    alerting: tuple[Group, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        return (*self.recording, *self.alerting)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def header(self) -> tuple[str, ...]:
        return (f"# {do_not_edit(self.spec.source)}",)

    @property
    def rules(self) -> str:
        """The rule file, usable alone."""
        return file_text(self.header, self.groups)

    @property
    def test(self) -> str:
        """Its unit test: the same in every format, and of the file `NAME.rules.yml` beside it."""
        return test_file(self.spec, self.groups, self.header)


Format = Callable[[Sequence[Pieces]], Mapping[str, str]]
"""Rule files of all specs by their names; unit tests and dashboards are the same whatever the format."""


def do_not_edit(source: str) -> str:
    """The first line of every generated file, by which generate.py knows it again."""
    return f"{MARK} {source}; do not edit, run `amend rules generate`."


def all_specs(pieces: Sequence[Pieces]) -> str:
    """The source of what is made from a whole folder."""
    folder, _, _ = pieces[0].spec.source.rpartition("/")
    return f"{folder}/*.yml"


def rule_files(pieces: Sequence[Pieces]) -> Mapping[str, str]:
    """The format `rules`: a file for Prometheus' `rule_files` per spec."""
    return {f"{each.name}.rules.yml": each.rules for each in pieces}
