"""What is to be scored: a spec file, turned into rules by the generator itself, or a rule file as it stands.

The commands load it; either has one set of parameters for all series.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receiver.errors import ConfigError, ConfigErrors
from receiver.rulegen.checks import check
from receiver.rulegen.generate import render
from receiver.rulegen.spec import load_spec

SPECS: Final = Path(__file__).parent
AUTO: Final = SPECS / "auto.yml"


@dataclass(frozen=True)
class RuleSet:
    """A rule file's text under the name that the figures carry."""

    name: str
    rules: str


def from_spec(path: Path) -> RuleSet:
    """Generated at this moment, so that the figures are those of the code as it is."""
    spec = load_spec(path)
    findings = check([spec])
    if findings.errors:
        raise ConfigErrors(findings.errors)
    for warning in findings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    files = render([spec], rules=Path(), dashboards=Path())
    return RuleSet(spec.name, files[Path(f"{spec.name}.rules.yml")].decode())


def from_rules(path: Path) -> RuleSet:
    if not path.is_file():
        raise ConfigError(path, None, "is not there; name a file of Prometheus rules")
    return RuleSet(path.name.removesuffix(".yml").removesuffix(".rules"), path.read_text())


def committed() -> Sequence[Path]:
    """The spec files beside this one: all that `compare` puts side by side."""
    return sorted(SPECS.glob("*.yml"))
