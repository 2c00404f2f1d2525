"""`amend playbooks init`: an alerting rule becomes a first playbook and its test, with a reason for each choice.

Nothing that is there is written over.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.commands.options import Format, Output, examples

if TYPE_CHECKING:
    from receiver.first_playbook import Draft, Subject, Surroundings
    from receiver.lint.rules import Rules
    from receiver.playbook import Playbook

EXAMPLES = examples(
    "amend playbooks init HttpLatencyAnomaly",
    "amend playbooks init HttpLatencyAnomaly --config amend.yml --out playbooks/latency.yml",
    "amend playbooks init KubePodCrashLooping --rules /etc/prometheus/rules/*.yml",
    "amend playbooks init HttpLatencyAnomaly --prometheus http://127.0.0.1:9090 -o json",
)

RULES = "rules/generated/*.rules.yml"
PLAYBOOKS = Path("playbooks")
MANY = 4  #: rule files that a command line in a comment can bear


def init(
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="The alerting rule's name.")],
    more_rules: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More rule files.")] = None,
    *,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help=f"A Prometheus rule file; {RULES} if not given.")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Take the rules of this running Prometheus instead.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The settings, for platforms and receivers; amend.yml if it is there."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The playbook to write; playbooks/ALERT.yml if not given.")
    ] = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Write a first playbook for an alert, and its test, with a reason for each choice.

    It observes and touches nothing. Read what is marked ←, then run `amend check` and `amend playbooks test`.
    """
    from receiver import first_playbook

    files = [*(rules or []), *(more_rules or [])]
    if files and prometheus:
        raise typer.BadParameter("give rule files or --prometheus, not both")
    if more_rules and not rules:
        raise typer.BadParameter("put --rules before the rule files")
    out = out or PLAYBOOKS / first_playbook.file_name(alert)
    _may_write(out)
    known = _rules(files, prometheus)
    subject = first_playbook.find(alert, known)
    around = _surroundings(config)
    others = list(_others(out.parent))
    draft = first_playbook.draft(
        subject,
        around,
        file=out,
        check=_check(subject, files, prometheus, around),
        taken={each.name for each in others},
    )
    _write({draft.file: first_playbook.playbook(draft), draft.test: first_playbook.story(draft)})
    warnings = list(_warnings(draft, known, others))
    tell = _tell_json if output is Format.JSON else _tell
    tell(draft, warnings)


def _rules(files: Sequence[Path], prometheus: str | None) -> "Rules":
    from receiver.commands.terminal import complain
    from receiver.errors import ConfigError
    from receiver.lint.rules import NoRules, ask, read

    if prometheus:
        try:
            return ask(prometheus)
        except NoRules as error:
            complain(str(error))
            raise typer.Exit(2) from error
    paths = files or sorted(Path().glob(RULES))
    if not paths:
        raise ConfigError(RULES, None, "there is no such file here; name rule files with --rules, or a --prometheus")
    return read(paths)


def _surroundings(config: Path | None) -> "Surroundings":
    from receiver.first_playbook import surroundings

    here = Path("amend.yml")
    if config is None and not here.exists():
        return surroundings.Surroundings()
    return surroundings.read(config or here)


def _others(folder: Path) -> "Iterator[Playbook]":
    """The playbooks that there are beside it. Those that cannot be read are what `amend playbooks check` tells of."""
    from receiver.actions import VERBS
    from receiver.errors import ConfigError, ConfigErrors
    from receiver.playbook import read

    for path in sorted(folder.glob("*.yml")):
        with suppress(ConfigError, ConfigErrors):
            yield from read(path, VERBS)


def _check(subject: "Subject", files: Sequence[Path], prometheus: str | None, around: "Surroundings") -> str:
    """The command that checks what was written."""
    from receiver.first_playbook import safe

    named = (
        f" --config {shlex.quote(str(around.config))}" if around.config and around.config != Path("amend.yml") else ""
    )
    if prometheus:
        return f"amend check{named} --prometheus {shlex.quote(safe(prometheus))}"
    if not files:
        return f"amend check{named} --rules {RULES}"
    few = files if len(files) <= MANY else {rule.place.rpartition(":")[0]: None for rule in subject.rules}
    return f"amend check{named} --rules {' '.join(shlex.quote(str(each)) for each in few)}"


def _may_write(out: Path) -> None:
    if out.suffix != ".yml":
        raise typer.BadParameter(f"{out}: playbooks are called NAME.yml; give such a name", param_hint="--out")
    for path in (out, out.parent / "tests" / out.name):
        if path.exists():
            raise typer.BadParameter(f"{path}: is there already; give another --out, or move it away")


def _write(texts: dict[Path, str]) -> None:
    from receiver.errors import ConfigError

    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:  # nothing that came meanwhile is written over either
                file.write(text)
        except OSError as error:
            told = f"cannot be written: {error.strerror}; name another file with --out"
            raise ConfigError(path, None, told) from error


def _warnings(draft: "Draft", known: "Rules", others: "Sequence[Playbook]") -> Iterator[str]:
    """What a person should know before looking at the file."""
    for other in others:
        if other.enabled and {*draft.subject.rules} & {*known.fitting(other.matchers)}:
            yield f"{other.place}: {other.name} answers this alert already; let only one of them act"
    if draft.aim and draft.aim.guess:
        yield "the target is a guess; look at the labels of a real alert"
    if draft.around.config and not draft.around.receivers:
        yield f'{draft.around.config} has no receivers; add "{draft.receiver}", or nobody is told'
    if not draft.subject.readable:
        yield "the rule's expression cannot be read here, so its labels are unknown"


def _choices(draft: "Draft") -> list[tuple[str, str, str]]:
    aim, plan = draft.aim, draft.plan
    named = re.sub(r"\{\{ labels\.(\w+) \}\}", r"$\1", f"{aim.scope}/{aim.name}".strip("/")) if aim else ""
    numbers = draft.subject.numbers
    no_condition = "the expression does not show a bound" if numbers else "the rule puts no number into its annotations"
    waited = plan.verified and plan.resolved_within
    return [
        ("target", f"{aim.kind} {named}" if aim else "none", draft.choice.why),
        ("steps", f"{plan.remedy}, notify" if aim else "notify, analyze", draft.cure.why),
        (
            "condition",
            plan.condition_text or "none",
            "the bound of the rule, in the numbers of its annotations" if plan.condition else no_condition,
        ),
        (
            "verify",
            f"resolved_within {_duration(plan.resolved_within)}" if waited else "healthy" if plan.verified else "none",
            "longer than the rule's for, its interval and its range"
            if waited
            else "nothing is done that could help"
            if not plan.acts
            else "there is no prometheus in the settings",
        ),
        ("receiver", draft.receiver, "of the settings" if draft.around.receivers else "a placeholder"),
    ]


def _duration(span: object) -> str:
    from datetime import timedelta

    from receiver.durations import format_duration

    assert isinstance(span, timedelta)
    return format_duration(span)


def _tell(draft: "Draft", warnings: Sequence[str]) -> None:
    from receiver.commands.terminal import complain, say, say_table
    from receiver.first_playbook import safe

    subject = draft.subject
    say(f"{subject.name}: {', '.join(safe(rule.place) for rule in subject.rules)}")
    say("")
    say_table(("", "CHOSEN", "WHY"), _choices(draft))
    say("")
    for warning in warnings:
        complain(f"warning: {warning}")
    say(f"{draft.file}: written: playbook {draft.name}, which observes")
    say(f"{draft.test}: written: its test")
    say(f"Read what is marked ←, then run `{draft.check}` and `amend playbooks test {shlex.quote(str(draft.test))}`.")


def _tell_json(draft: "Draft", warnings: Sequence[str]) -> None:
    from receiver.commands.terminal import say_json
    from receiver.first_playbook import safe

    say_json(
        {
            "playbook": draft.name,
            "file": str(draft.file),
            "test": str(draft.test),
            "alert": draft.subject.name,
            "rules": [safe(rule.place) for rule in draft.subject.rules],
            "choices": {what: {"chosen": chosen, "why": why} for what, chosen, why in _choices(draft)},
            "guess": bool(draft.aim and draft.aim.guess),
            "warnings": list(warnings),
            "check": draft.check,
        }
    )
