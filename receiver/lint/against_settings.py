"""Checks of playbooks against amend.yml, and against one another: each yields the mistakes of one kind.

The registry in `receiver.lint` names them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

from receiver.actions import ACTIONS
from receiver.documents import did_you_mean
from receiver.durations import format_duration
from receiver.errors import ConfigError
from receiver.guards.limits import actions
from receiver.lint.setup import Setup, Written
from receiver.lint.templates import ROOTS, strangers
from receiver.playbook import Playbook
from receiver.settings import playbook_files
from receiver.target import Target


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
            name = getattr(getattr(step, step.verb), "receiver", None)
            if isinstance(name, str) and name not in known:
                way_out = did_you_mean(name, known) or "; add it to receivers: in amend.yml"
                yield written.error((*place, step.verb, "receiver"), f'no receiver is called "{name}"{way_out}')


def unknown_team(setup: Setup) -> Iterator[ConfigError]:
    """Approvers that amend.yml does not have, or of whom none may answer: nobody could agree."""
    teams, clicks = setup.settings.auth.teams, setup.settings.slack is not None
    may_answer = {key.name for key in setup.settings.auth.api_keys if key.role != "viewer"}
    for written in setup.playbooks:
        rule = written.playbook.approval
        for index, name in enumerate(rule.approvers if rule else ()):
            place = ("approval", "approvers", index)
            if name not in teams:
                way_out = did_you_mean(name, list(teams)) or f"; add it to auth.teams in {setup.document.path}"
                yield written.error(place, f'no team is called "{name}"{way_out}')
            elif not may_answer & set(teams[name].api_keys) and not (clicks and teams[name].slack_users):
                message = f'nobody in "{name}" may answer; give one of them the role approver in {setup.document.path}'
                yield written.error(place, message)


def nobody_told(setup: Setup) -> Iterator[ConfigError]:
    """An approval that people are asked for, and of which nobody hears."""
    receivers = {receiver.name for receiver in setup.settings.receivers}
    for written in setup.playbooks:
        rule = written.playbook.approval
        if not rule or rule.required == "never" or receivers & set(rule.approvers):
            continue
        if not rule.approvers:
            way_out = "name a team in approvers:, and call a receiver as that team"
            yield written.error(("approval",), f"asks every approver, and tells none; {way_out}")
        elif set(rule.approvers) <= set(setup.settings.auth.teams):
            who = " or ".join(f'"{name}"' for name in rule.approvers)
            message = f"asks people, and tells nobody that it does; call a receiver {who} in {setup.document.path}"
            yield written.error(("approval",), message)


def no_link(setup: Setup) -> Iterator[ConfigError]:
    """People who are asked, and get no link to where they answer."""
    if setup.settings.server.external_url:
        return
    for written in setup.playbooks:
        rule = written.playbook.approval
        if rule and rule.required != "never" and rule.approvers and not _all_click(setup, rule.approvers):
            message = f"asks people without a link to the answer; set server.external_url in {setup.document.path}"
            yield written.error(("approval",), message)


def unknown_command(setup: Setup) -> Iterator[ConfigError]:
    """A `command` step whose program amend.yml does not declare."""
    known = setup.settings.commands
    for written in setup.playbooks:
        for place, _, raw in _raw_steps(written, "command"):
            if raw["name"] not in known:
                way_out = (
                    did_you_mean(raw["name"], list(known)) or f"; declare it under commands: in {setup.document.path}"
                )
                yield written.error((*place, "command", "name"), f'no command is called "{raw["name"]}"{way_out}')


def missing_alertmanager(setup: Setup) -> Iterator[ConfigError]:
    """A `silence` step, without an Alertmanager to tell."""
    if setup.settings.alertmanager:
        return
    for written in setup.playbooks:
        for place, *_ in _raw_steps(written, "silence"):
            message = f"silence tells Alertmanager; add alertmanager: {{url: …}} to {setup.document.path}"
            yield written.error((*place, "silence"), message)


def _all_click(setup: Setup, approvers: Sequence[str]) -> bool:
    """Whether each of these teams is asked by buttons in Slack, which need no link."""
    receivers = {receiver.name: receiver for receiver in setup.settings.receivers}
    teams = setup.settings.auth.teams
    listed = all(name in teams and teams[name].slack_users for name in approvers)
    return (
        bool(setup.settings.slack) and listed and all(name in receivers and receivers[name].slack for name in approvers)
    )


def no_buttons(setup: Setup) -> Iterator[ConfigError]:
    """People who may answer in Slack, and whose clicks would not be taken."""
    if setup.settings.slack:
        return
    for name, team in setup.settings.auth.teams.items():
        if team.slack_users:
            message = f'"{name}" has slack_users, and gets no buttons; add slack: {{signing_secret_file: FILE}}'
            yield setup.document.error(("auth", "teams", name, "slack_users"), message)


def host_not_allowed(setup: Setup) -> Iterator[ConfigError]:
    """An `http` step to a host that is not on the allow-list."""
    allowed = [host.lower() for host in setup.settings.outbound.allow_hosts]
    for written in setup.playbooks:
        for place, _, raw in _raw_steps(written, "http"):
            host = urlsplit(str(raw.get("url"))).hostname or ""
            if host not in allowed:
                message = f'the host "{host}" is not allowed; add it to outbound.allow_hosts in {setup.document.path}'
                yield written.error((*place, "http", "url"), message)


def unknown_platform(setup: Setup) -> Iterator[ConfigError]:
    """A target on a platform, host, cluster or namespace that amend.yml does not have."""
    platforms = setup.settings.platforms
    for written in setup.playbooks:
        target = written.playbook.target
        if target == "none":
            continue
        if k8s := target.kubernetes:
            kind, key, instance = "kubernetes", "cluster", k8s.cluster
            known = [each.name for each in platforms.kubernetes]
        else:
            kind, key, instance = "docker", "host", target.docker.host if target.docker else None
            known = [each.name for each in platforms.docker]
        if not known:
            message = f"there is no {kind} platform; add platforms: {{{kind}: […]}} to {setup.document.path}"
            yield written.error(("target", kind), message)
        elif instance is None and len(known) > 1:
            message = f"there are several platforms {kind}; choose one with {key}: {' or '.join(known)}"
            yield written.error(("target", kind), message)
        elif instance is not None and "{" not in instance and instance not in known:
            message = f'no {kind} {key} is called "{instance}"{did_you_mean(instance, known)}'
            yield written.error(("target", kind, key), message)
        else:
            yield from _foreign_namespace(setup, written, target)


def _foreign_namespace(setup: Setup, written: Written, target: Target) -> Iterator[ConfigError]:
    wanted = target.kubernetes
    if (
        wanted is None
        or wanted.namespace is None
        or "{" in wanted.namespace
        or (wanted.cluster and "{" in wanted.cluster)
    ):
        return
    for cluster in setup.settings.platforms.kubernetes:
        if wanted.cluster in (None, cluster.name) and wanted.namespace not in cluster.namespaces:
            message = f'the namespace "{wanted.namespace}" is not among the namespaces of "{cluster.name}" in amend.yml'
            way_out = did_you_mean(wanted.namespace, list(cluster.namespaces))
            yield written.error(("target", "kubernetes", "namespace"), message + way_out)


def missing_target(setup: Setup) -> Iterator[ConfigError]:
    """Steps that act on a target, in a playbook that has none."""
    for written in setup.playbooks:
        if written.playbook.target != "none":
            continue
        for place, step in written.steps():
            if not ACTIONS[step.verb].kinds:
                continue
            message = f'"{step.verb}" needs something to act on; add target: {{docker: …}} or {{kubernetes: …}}'
            yield written.error(place, message)
        if written.playbook.verify and written.playbook.verify.healthy:
            message = "there is no target whose health could be looked at; add target:, or leave out healthy"
            yield written.error(("verify", "healthy"), message)


UNHEALTHY = {
    "stop": "what it has stopped is never healthy",
    "delete_pod": "the pod is gone, and the next one has another name unless a StatefulSet makes it",
}
"""Verbs after which nobody gets well, and why."""


def never_healthy(setup: Setup) -> Iterator[ConfigError]:
    """A verification that can only say no, or that it cannot look."""
    for written in setup.playbooks:
        verify = written.playbook.verify
        acting = [step.verb for step in written.playbook.steps if ACTIONS[step.verb].kinds]
        if verify and verify.healthy and acting and (why := UNHEALTHY.get(acting[-1])):
            message = f'"{acting[-1]}" with healthy: {why}; write resolved_within or query in its place'
            yield written.error(("verify", "healthy"), message)


def wrong_kind(setup: Setup) -> Iterator[ConfigError]:
    """Steps that cannot act on a target of this kind."""
    for written in setup.playbooks:
        if written.playbook.target == "none":
            continue
        kind = written.playbook.target.kind
        for place, step in written.steps():
            able = ACTIONS[step.verb].kinds
            if able and kind not in able:
                message = f'"{step.verb}" acts on {" or ".join(able)}, and the target is of the kind {kind}'
                yield written.error(place, f"{message}; take another verb, or make it a playbook with another target")


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


def _raw_steps(written: Written, verb: str) -> Iterator[tuple[Any, str, Mapping[str, Any]]]:
    """The steps of one verb, as they are written."""
    for place, step in written.steps():
        if step.verb == verb:
            yield place, verb, getattr(step, verb).model_dump()
