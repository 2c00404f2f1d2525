"""What is measured: the rules that the generator makes of a spec file at this moment, or a rule file as it stands.

Both benchmarks load it; either has one set of parameters for all series.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from receiver.durations import parse_duration
from receiver.errors import ConfigError, ConfigErrors
from receiver.labels import selector
from receiver.rulegen.checks import check
from receiver.rulegen.generate import render
from receiver.rulegen.spec import load_spec

DEFAULT_INTERVAL: Final = timedelta(minutes=1)  #: Prometheus' own, of groups that name none


@dataclass(frozen=True)
class RuleSet:
    """A rule file's text under the name that the figures carry."""

    name: str
    rules: str

    @cached_property
    def groups(self) -> Sequence[dict[str, Any]]:
        groups: list[dict[str, Any]] = yaml.safe_load(self.rules)["groups"]
        return groups

    @property
    def intervals(self) -> dict[str, timedelta]:
        """How often each group is evaluated."""
        return {
            group["name"]: parse_duration(group["interval"]) if "interval" in group else DEFAULT_INTERVAL
            for group in self.groups
        }

    @property
    def expressions(self) -> list[str]:
        return [str(rule["expr"]) for group in self.groups for rule in group["rules"]]

    @property
    def recorded(self) -> dict[str, timedelta]:
        """The metrics that the rules record, and how often."""
        intervals = self.intervals
        return {rule["record"]: intervals[group["name"]] for group in self.groups for rule in _recording(group)}

    @property
    def selectors(self) -> Collection[str]:
        """One for each metric that the rules record, with the labels that tell it from another rule set's."""
        return {selector(rule["record"], rule.get("labels", {})) for group in self.groups for rule in _recording(group)}


def load_rule_set(path: Path) -> RuleSet:
    """Of either kind: rule files are called `NAME.rules.yml`."""
    return from_rules(path) if path.name.endswith(".rules.yml") else from_spec(path)


def from_spec(path: Path) -> RuleSet:
    """Generated now, so that the figures are those of the code as it is."""
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


def _recording(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in group["rules"] if "record" in rule]
