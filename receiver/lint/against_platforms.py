"""Checks of what playbooks act on, against the platforms of amend.yml: each yields the mistakes of one kind.

The registry in `receiver.lint` names them.
"""

from collections.abc import Iterator

from receiver.actions import ACTIONS
from receiver.documents import did_you_mean
from receiver.errors import ConfigError
from receiver.lint.setup import Setup, Written
from receiver.target import Target

UNHEALTHY = {
    "stop": "what it has stopped is never healthy",
    "delete_pod": "the pod is gone, and the next one has another name unless a StatefulSet makes it",
}
"""Verbs after which nobody gets well, and why."""


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


def never_healthy(setup: Setup) -> Iterator[ConfigError]:
    """A verification that can only say no, or that it cannot look."""
    for written in setup.playbooks:
        verify = written.playbook.verify
        acting = [step.verb for step in written.playbook.steps if ACTIONS[step.verb].kinds]
        if verify and verify.healthy and acting and (why := UNHEALTHY.get(acting[-1])):
            message = f'"{acting[-1]}" with healthy: {why}; write resolved_within or query in its place'
            yield written.error(("verify", "healthy"), message)


def no_way_back(setup: Setup) -> Iterator[ConfigError]:
    """A `rollback` to what is never there: a revision is a number, and nothing of it is filled in."""
    for written in setup.playbooks:
        target = written.playbook.target
        for place, rollback in written.uses("rollback"):
            to = rollback.to
            if not to or target == "none":
                continue
            if "{{" in to:
                message = f'"{to}" is no template here: what runs is never chosen by a label; leave "to" out'
            elif target.kind == "service":
                message = 'a Swarm keeps one previous specification, and goes back to that; leave "to" out'
            elif target.kubernetes and not to.isdecimal():
                message = f'"{to}" is no revision; write its number, or leave "to" out to go back to the one before'
            else:
                continue
            yield written.error((*place, "to"), message)


def out_of_bounds(setup: Setup) -> Iterator[ConfigError]:
    """A `scale` to a number that its own bounds do not allow: it goes to the bound."""
    for written in setup.playbooks:
        for place, scale in written.uses("scale"):
            if scale.to is not None and (bound := scale.wanted(scale.to)) != scale.to:
                name = "max" if bound < scale.to else "min"
                message = f"to: {scale.to} comes to {bound}, as {name} is {bound}; write {name}: {scale.to} beside it"
                yield written.error((*place, "to"), message)


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
