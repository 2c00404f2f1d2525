"""What a first playbook acts on: chosen by the labels that the alert carries and the platforms that there are.

The package's door asks `choose`; whatever rests on a guess says so, and brings the other way to read the same labels.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from receiver.conventions import SERVICE
from receiver.first_playbook.lines import quoted
from receiver.first_playbook.subject import Subject
from receiver.first_playbook.surroundings import Surroundings

# fmt: off
EXPORTERS: Final = (
    "alertmanager_", "amend_", "blackbox_", "certmanager_", "container_", "elasticsearch_", "haproxy_", "ipmi_",
    "istio_", "kafka_", "kube_", "kubelet_", "machine_", "memcached_", "mongodb_", "mysql_", "nginx_", "node_", "pg_",
    "probe_", "prometheus_", "rabbitmq_", "redis_", "response_latency_", "response_total", "scrape_", "smartctl_",
    "snmp_", "up", "windows_", "x509_",
)
# fmt: on
"""Metrics whose `job` names the one who tells, or a broker of many, and not the workload that has the fault."""

COMPOSE: Final = ("container_label_com_docker_compose_project", "container_label_com_docker_compose_service")
CALLED: Final = (
    ("destination_workload_namespace", "destination_workload"),
    ("dst_namespace", "dst_deployment"),
)
"""Labels of meshes for who is called; the fault is there more often than with the one who calls."""

SOMEWHERE: Final = "shop"  #: a Compose project or namespace that nobody named

_LABEL = re.compile(r"\{\{ labels\.(\w+) \}\}")


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A target, and why it is that."""

    kind: str  #: as a target's kind: `Deployment`, `compose`, …
    scope: str = ""  #: a namespace or Compose project; a template or a name
    name: str
    why: str
    guess: bool = False  #: a person must look

    @property
    def platform(self) -> str:
        return "docker" if self.kind in {"compose", "container"} else "kubernetes"

    def written(self, instance: str | None) -> str:
        """The value of `target:`, in one line."""
        if self.kind == "container":
            parts = [f"container: {quoted(self.name)}"]
        elif self.kind == "compose":
            parts = [f"compose: {{project: {quoted(self.scope)}, service: {quoted(self.name)}}}"]
        else:
            scope = [f"namespace: {quoted(self.scope)}"] if self.scope else []
            parts = [f"kind: {self.kind}", *scope, f"name: {quoted(self.name)}"]
        if instance:
            parts.append(f"{'host' if self.platform == 'docker' else 'cluster'}: {quoted(instance)}")
        return f"{{{self.platform}: {{{', '.join(parts)}}}}}"

    def labels(self) -> list[str]:
        """The labels that it is named by."""
        return _LABEL.findall(f"{self.scope} {self.name}")

    def named(self, labels: Mapping[str, str]) -> str:
        """As a rehearsal calls it: `Deployment/shop/cart`."""
        filled = [_LABEL.sub(lambda found: labels[found[1]], part) for part in (self.scope, self.name) if part]
        return "/".join([self.kind, *filled])


@dataclass(frozen=True)
class Choice:
    """The target if there is one, the other way to read the same labels, and the reason where there is none."""

    aim: Aim | None
    other: Aim | None
    why: str


def choose(subject: Subject, around: Surroundings) -> Choice:
    candidates = list(_candidates(subject, around))
    if not candidates:
        return Choice(None, None, _nothing(subject))
    aim = next((each for each in candidates if around.has(each.platform)), None)
    if aim is None:
        lacking = candidates[0].platform
        return Choice(
            None, candidates[0], f"its labels name a {candidates[0].kind}, and {around.config} has no {lacking}"
        )
    other = next((each for each in candidates if each.platform != aim.platform), None) if aim.guess else None
    return Choice(aim, other, aim.why)


def _candidates(subject: Subject, around: Surroundings) -> Iterator[Aim]:
    """All that the labels could name, the surest first."""
    labels = subject.labels
    for namespace, name in CALLED:
        if {namespace, name} <= labels:
            why = f"{name} names who is called, where the fault is more often than with the one who calls"
            yield Aim(kind="Deployment", scope=_label(namespace), name=_label(name), why=why, guess=True)
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        if {"namespace", kind.lower()} <= labels:
            why = f"the alert carries namespace and {kind.lower()}"
            yield Aim(
                kind=kind, scope=_label("namespace"), name=_label(kind.lower()), why=why, guess=not subject.certain
            )
    if {"namespace", "pod"} <= labels:
        why = "the alert carries namespace and pod, and no label that names the pod's owner"
        yield Aim(kind="Pod", scope=_label("namespace"), name=_label("pod"), why=why, guess=not subject.certain)
    if "node" in labels:
        why = "the alert carries node, a Kubernetes node's name"
        yield Aim(kind="Node", name=_label("node"), why=why, guess=not subject.certain)
    yield from _containers(subject)
    yield from _same_name(subject, around)


def _containers(subject: Subject) -> Iterator[Aim]:
    project, service = COMPOSE
    if service in subject.labels:
        known = project in subject.labels
        why = "the alert carries Compose's own labels, by cAdvisor" if known else "cAdvisor names the Compose service"
        scope = _label(project) if known else SOMEWHERE
        yield Aim(kind="compose", scope=scope, name=_label(service), why=why, guess=not known)
    for label in ("name", "container_name", "container"):
        # in Kubernetes `container` is a part of a pod, and `name` may be anything's
        if (
            label in subject.labels
            and "pod" not in subject.labels
            and _of(subject, ("container_", "docker_", "engine_"))
        ):
            why = f"{label} is the container's name, by cAdvisor"
            yield Aim(kind="container", name=_label(label), why=why, guess=not subject.certain)


def _same_name(subject: Subject, around: Surroundings) -> Iterator[Aim]:
    """A workload that is called as its scrape job or service is."""
    label = "service" if "service" in subject.from_series else "job" if "job" in subject.labels else _said(subject)
    if label is None or _of(subject, EXPORTERS):
        return
    why = f"{label} is often what the workload is called, too"
    known = "namespace" in subject.labels
    namespace = _label("namespace") if known else around.namespace or SOMEWHERE
    deployment = Aim(kind="Deployment", scope=namespace, name=_label(label), why=why, guess=True)
    compose = Aim(kind="compose", scope=SOMEWHERE, name=_label(label), why=why, guess=True)
    yield from (deployment, compose) if known else (compose, deployment)


def _said(subject: Subject) -> str | None:
    """The label `service` that the rules themselves set; in generated rules it names a spec."""
    return SERVICE if SERVICE in subject.labels and not subject.generated else None


def _of(subject: Subject, beginnings: tuple[str, ...]) -> bool:
    return any(
        metric == begin or (begin.endswith("_") and metric.startswith(begin))
        for metric in subject.metrics
        for begin in beginnings
    )


def _nothing(subject: Subject) -> str:
    if not subject.readable:
        return "its expression cannot be read here, and so nobody knows its labels"
    if not subject.from_series:
        return "the alert carries no label that names anything"
    labels = ", ".join(subject.from_series[:6])
    if "job" in subject.from_series and _of(subject, EXPORTERS):
        return f"it carries {labels}; the job is the one who tells, and not the workload that has the fault"
    return f"it carries {labels}; none of these names a workload"


def _label(name: str) -> str:
    return f"{{{{ labels.{name} }}}}"
