"""The cross-lint of `amend check`: mistakes that show only when settings, playbooks and rules are seen together.

Each check has a name that stays, and one function that yields its findings; CHECKS is all of them. A finding is a
mistake with its place and the way out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from receiver.errors import ConfigError
from receiver.lint import against_people, against_platforms, against_rules, against_settings
from receiver.lint.setup import Setup


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  #: it cannot work as written
    WARNING = "warning"  #: it works, and probably not as meant


@dataclass(frozen=True)
class Check:
    """One kind of mistake, and who finds it."""

    severity: Severity
    look: Callable[[Setup], Iterator[ConfigError]]


@dataclass(frozen=True)
class Finding:
    """One mistake, under the name of its check."""

    check: str
    severity: Severity
    mistake: ConfigError

    def __str__(self) -> str:
        warning = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.mistake.path}:{self.mistake.line}: {warning}{self.mistake.message} [{self.check}]"


ERROR, WARNING = Severity.ERROR, Severity.WARNING

CHECKS: Mapping[str, Check] = {
    "playbooks/no-file": Check(ERROR, against_settings.no_file),
    "playbooks/none": Check(WARNING, against_settings.no_playbook),
    "notify/receiver": Check(ERROR, against_settings.unknown_receiver),
    "approval/team": Check(ERROR, against_people.unknown_team),
    "approval/untold": Check(WARNING, against_people.nobody_told),
    "approval/link": Check(WARNING, against_people.no_link),
    "approval/slack": Check(WARNING, against_people.no_buttons),
    "http/host": Check(ERROR, against_settings.host_not_allowed),
    "command/unknown": Check(ERROR, against_settings.unknown_command),
    "silence/alertmanager": Check(ERROR, against_settings.missing_alertmanager),
    "analyze/loki": Check(WARNING, against_settings.missing_loki),
    "rollback/to": Check(ERROR, against_platforms.no_way_back),
    "scale/bounds": Check(WARNING, against_platforms.out_of_bounds),
    "target/platform": Check(ERROR, against_platforms.unknown_platform),
    "target/missing": Check(ERROR, against_platforms.missing_target),
    "target/kind": Check(ERROR, against_platforms.wrong_kind),
    "prometheus/missing": Check(ERROR, against_settings.missing_prometheus),
    "limits/retention": Check(ERROR, against_settings.forgotten),
    "limits/steps": Check(ERROR, against_settings.too_many_steps),
    "template/root": Check(ERROR, against_settings.unknown_root),
    "verify/missing": Check(WARNING, against_settings.missing_verify),
    "verify/unhealthy": Check(WARNING, against_platforms.never_healthy),
    "playbooks/overlap": Check(WARNING, against_settings.overlap),
    "alert/unknown": Check(ERROR, against_rules.unknown_alert),
    "matchers/never": Check(ERROR, against_rules.never_match),
    "target/label": Check(ERROR, against_rules.lost_target_label),
    "template/name": Check(ERROR, against_rules.unset_name),
    "condition/number": Check(ERROR, against_rules.missing_number),
    "verify/too-short": Check(WARNING, against_rules.too_short_verify),
}


def lint(setup: Setup) -> list[Finding]:
    """Every finding of every check, in the order of the files."""
    found = [Finding(name, check.severity, mistake) for name, check in CHECKS.items() for mistake in check.look(setup)]
    return sorted(found, key=lambda each: (str(each.mistake.path), each.mistake.line or 0))
