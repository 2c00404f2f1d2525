"""Checks of playbooks against amend.yml, and against one another: each yields the mistakes of one kind.

The registry in `receiver.lint` names them.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from urllib.parse import urlsplit

from receiver.documents import did_you_mean
from receiver.durations import format_duration
from receiver.errors import ConfigError
from receiver.guards.limits import actions
from receiver.lint.setup import Setup, Written
from receiver.lint.templates import ROOTS, strangers
from receiver.playbook import Playbook
from receiver.settings import playbook_files


def no_file(setup: Setup) -> Iterator[ConfigError]:
    """A pattern of `playbooks:` that matches nothing."""
    beside = setup.document.path.parent
    for index, pattern in enumerate(setup.settings.playbooks):
        alone = setup.settings.model_copy(update={"playbooks": (pattern,)})
        if not playbook_files(alone, beside):
            message = f'"{pattern}" matches no file in {beside.resolve()}; write a playbook there, or mend the pattern'
            yield setup.document.error(("playbooks", index), message)


def no_playbook(setup: Setup) -> Iterator[ConfigError]:
    """Settings that name no playbook at all."""
    if not setup.settings.playbooks:
        yield setup.document.error(
            (), "there are no playbooks, so no alert is answered; add playbooks: [playbooks/*.yml]"
        )


def unknown_receiver(setup: Setup) -> Iterator[ConfigError]:
    """A step that tells a receiver that amend.yml does not have."""
    known = [receiver.name for receiver in setup.settings.receivers]
    for written in setup.playbooks:
        for place, step in written.steps():
            name = getattr(step.written, "receiver", None)
            if isinstance(name, str) and name not in known:
                way_out = did_you_mean(name, known) or "; add it to receivers: in amend.yml"
                yield written.error((*place, step.verb, "receiver"), f'no receiver is called "{name}"{way_out}')


def unknown_command(setup: Setup) -> Iterator[ConfigError]:
    """A `command` step whose program amend.yml does not declare."""
    known = setup.settings.commands
    for written in setup.playbooks:
        for place, command in written.uses("command"):
            if command.name not in known:
                way_out = (
                    did_you_mean(command.name, list(known)) or f"; declare it under commands: in {setup.document.path}"
                )
                yield written.error((*place, "name"), f'no command is called "{command.name}"{way_out}')


def missing_alertmanager(setup: Setup) -> Iterator[ConfigError]:
    """A `silence` step, without an Alertmanager to tell."""
    if setup.settings.alertmanager:
        return
    for written in setup.playbooks:
        for place, _ in written.uses("silence"):
            message = f"silence tells Alertmanager; add alertmanager: {{url: …}} to {setup.document.path}"
            yield written.error(place, message)


def missing_loki(setup: Setup) -> Iterator[ConfigError]:
    """An `analyze` step that wants log lines, without a Loki to ask."""
    if setup.settings.loki:
        return
    for written in setup.playbooks:
        for place, analyze in written.uses("analyze"):
            if analyze.logs:
                message = f"there is no Loki, so no logs are seen; add loki: {{url: …}} to {setup.document.path}"
                yield written.error((*place, "logs"), message)


def host_not_allowed(setup: Setup) -> Iterator[ConfigError]:
    """An `http` step to a host that is not on the allow-list."""
    allowed = [host.lower() for host in setup.settings.outbound.allow_hosts]
    for written in setup.playbooks:
        for place, http in written.uses("http"):
            host = urlsplit(str(http.url)).hostname or ""
            if host not in allowed:
                message = f'the host "{host}" is not allowed; add it to outbound.allow_hosts in {setup.document.path}'
                yield written.error((*place, "url"), message)


def missing_prometheus(setup: Setup) -> Iterator[ConfigError]:
    """Questions to Prometheus, without a Prometheus to ask."""
    if setup.settings.prometheus:
        return
    for written in setup.playbooks:
        verify = written.playbook.verify
        asked: Mapping[tuple[str, ...], object] = {
            ("only_if",): written.playbook.only_if,
            ("verify", "resolved_within"): verify and verify.resolved_within,
            ("verify", "query"): verify and verify.query,
        }
        for place, question in asked.items():
            if question is not None:
                message = f"{place[-1]} asks Prometheus; add prometheus: {{url: …}} to {setup.document.path}"
                yield written.error(place, message)


def missing_verify(setup: Setup) -> Iterator[ConfigError]:
    """A playbook that acts, and never looks whether it helped."""
    for written in setup.playbooks:
        if written.playbook.enforced and not written.playbook.verify and any(written.changing()):
            message = "acts and never looks whether it helped; add verify: {resolved_within: 10m}"
            yield written.error((), f'"{written.playbook.name}" {message}')


def forgotten(setup: Setup) -> Iterator[ConfigError]:
    """A window of a limit that is longer than what is kept: what is removed does not count any more."""
    keep = setup.settings.store.retention
    for written in setup.playbooks:
        playbook = written.playbook
        windows = {
            ("cooldown",): playbook.cooldown,
            ("max_attempts", "within"): playbook.max_attempts.within,
            ("max_targets", "within"): playbook.max_targets and playbook.max_targets.within,
        }
        for place, window in windows.items():
            if window and window >= keep:
                message = f"{'.'.join(place)} of {format_duration(window)} is longer than what is kept"
                way_out = f"make it shorter than store.retention ({format_duration(keep)}) in {setup.document.path}"
                yield written.error(place, f"{message}; {way_out}")


def too_many_steps(setup: Setup) -> Iterator[ConfigError]:
    """A playbook with more actions than may ever be begun within a minute: it would wait for ever."""
    allowed = setup.settings.limits.actions_per_minute
    for written in setup.playbooks:
        count = actions(written.playbook.steps)
        if count > allowed:
            message = f"{count} actions, and limits.actions_per_minute allows {allowed}: it can never begin"
            yield written.error(
                ("steps",), f"{message}; raise the limit in {setup.document.path}, or make it two playbooks"
            )


def unknown_root(setup: Setup) -> Iterator[ConfigError]:
    """A template that begins a name with something that means nothing, such as a label without `labels.`"""
    for written in setup.playbooks:
        for part in ("target", "steps", "on_failure"):
            for place, text in written.texts((part,)):
                for name in strangers(text):
                    near = did_you_mean(name, list(ROOTS))
                    yield written.error(place, f'a template knows no "{name}" (a label is labels.{name}){near}')


def overlap(setup: Setup) -> Iterator[ConfigError]:
    """Two playbooks that act on the same target for the same alert."""
    for one, other in combinations(setup.playbooks, 2):
        if _both_act(one, other) and _both_fit(setup, one.playbook, other.playbook):
            yield other.error(
                (),
                f'"{other.playbook.name}" and "{one.playbook.name}" ({one.playbook.place}) act on the same target for '
                "the same alert; narrow the matchers of one, or make them one playbook",
            )


def _both_act(one: Written, other: Written) -> bool:
    first, second = one.playbook, other.playbook
    together = first.enabled and second.enabled and first.on == second.on and first.target == second.target
    return together and any(one.changing()) and any(other.changing())


def _both_fit(setup: Setup, one: Playbook, other: Playbook) -> bool:
    for first in one.matchers:
        for second in other.matchers:
            if first.name != second.name:
                continue
            if first.operator == "=" and not second.matches({first.name: first.value}):
                return False
            if second.operator == "=" and not first.matches({second.name: second.value}):
                return False
    return setup.rules is None or bool(setup.rules.fitting([*one.matchers, *other.matchers]))
