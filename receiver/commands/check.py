"""`amend check`: reads settings, playbooks and rules, runs the lint over all of it, and prints what it found.

cli.py calls it. The exit code is 1 when there is an error, 0 when there are only warnings, 2 when nobody tells the
rules.
"""

from collections.abc import Sequence
from pathlib import Path

from receiver.commands.terminal import complain, say, say_json
from receiver.errors import ConfigError, ConfigErrors
from receiver.lint import Finding, Severity, lint, setup
from receiver.lint import rules as rule_files


def check(config: Path, *, rules: Sequence[Path], prometheus: str | None, as_json: bool) -> int:
    """Print every finding; the exit code."""
    try:
        read, findings = _find(config, rules, prometheus)
    except ConfigErrors as mistakes:
        _tell_mistakes(mistakes.errors, as_json=as_json)
        return 1
    except rule_files.NoRules as error:
        complain(str(error))
        return 2
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    if as_json:
        say_json({"findings": [_as_json(each.mistake, each.check, each.severity) for each in findings]})
        return 1 if errors else 0
    for finding in findings:
        say(str(finding))
    looked_at = _count(len(read.playbooks), "playbook")
    if read.rules:
        looked_at += f", {_count(len(read.rules.alerts), 'alerting rule')}"
    say(f"{config}: {looked_at}: {_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    return 1 if errors else 0


def _find(config: Path, rules: Sequence[Path], prometheus: str | None) -> tuple[setup.Setup, list[Finding]]:
    """Read everything, then lint it; ConfigErrors with whatever cannot be read in any of the files."""
    mistakes: list[ConfigError] = []
    known = None
    try:
        known = rule_files.ask(prometheus) if prometheus else rule_files.read(rules) if rules else None
    except ConfigErrors as errors:
        mistakes.extend(errors.errors)
    try:
        read = setup.read(config, known)
    except ConfigErrors as errors:
        mistakes.extend(errors.errors)
    except ConfigError as error:
        mistakes.append(error)
    if mistakes:
        raise ConfigErrors(mistakes)
    return read, lint(read)


def _tell_mistakes(mistakes: Sequence[ConfigError], *, as_json: bool) -> None:
    if as_json:
        say_json({"findings": [_as_json(mistake, "read", Severity.ERROR) for mistake in mistakes]})
        return
    for mistake in mistakes:
        say(str(mistake))


def _as_json(mistake: ConfigError, check: str, severity: Severity) -> dict[str, object]:
    return {
        "file": str(mistake.path),
        "line": mistake.line,
        "check": check,
        "severity": severity,
        "message": mistake.message,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
