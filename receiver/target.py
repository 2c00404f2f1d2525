"""What a playbook acts on, as it is written: names that are filled in from an alert.

playbook.py reads it; the platforms in targets/ find what it names.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from receiver import render
from receiver.documents import Part
from receiver.template import Template
from receiver.workload import Selector


class Compose(Part):
    EXAMPLE = "{project: shop, service: cart}"

    project: Template
    service: Template


class DockerTarget(Part):
    """One container by its name, one service of a Compose project, or one service of a Swarm."""

    EXAMPLE = "{container: cache}"

    container: Template | None = None
    compose: Compose | None = None
    service: Template | None = None
    host: Template | None = None  #: which configured Docker; needed where there are several

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(way is not None for way in (self.container, self.compose, self.service)) != 1:
            raise ValueError('"docker" needs one of container: NAME, compose: {project: …, service: …}, service: NAME')
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in ("container", "compose", "service") if getattr(self, kind) is not None)


class KubernetesTarget(Part):
    """One Deployment, StatefulSet or DaemonSet, one pod, or one node."""

    EXAMPLE = "{kind: Deployment, namespace: shop, name: cart}"

    kind: Literal["Deployment", "StatefulSet", "DaemonSet", "Pod", "Node"]
    namespace: Template | None = Field(default=None, description="all but nodes have one")
    name: Template
    cluster: Template | None = None  #: which configured cluster; needed where there are several

    @model_validator(mode="after")
    def _namespace(self) -> Self:
        if self.kind == "Node" and self.namespace is not None:
            raise ValueError("a Node is in no namespace; leave it out")
        if self.kind != "Node" and self.namespace is None:
            raise ValueError(f'"namespace" is missing: each {self.kind} is in one')
        return self


class Target(Part):
    EXAMPLE = "{docker: {container: cache}}"

    docker: DockerTarget | None = None
    kubernetes: KubernetesTarget | None = None

    @model_validator(mode="after")
    def _one_platform(self) -> Self:
        if (self.docker is None) == (self.kubernetes is None):
            raise ValueError('"target" needs either docker: or kubernetes:, or is the word none')
        return self

    @property
    def kind(self) -> str:
        """The kind of what it names, which no alert changes."""
        platform = self.docker or self.kubernetes
        assert platform
        return platform.kind

    def selector(self, context: Mapping[str, Any]) -> Selector:
        """The names filled in from an alert; Unrenderable when it lacks a label."""

        def fill(text: str) -> str:
            return render.render(text, context)

        def fill_some(text: str | None) -> str | None:
            return None if text is None else fill(text)

        if k8s := self.kubernetes:
            return Selector(
                platform="kubernetes",
                instance=fill_some(k8s.cluster),
                kind=k8s.kind,
                scope=fill_some(k8s.namespace),
                name=fill(k8s.name),
            )
        docker = self.docker
        assert docker is not None
        compose = docker.compose
        return Selector(
            platform="docker",
            instance=fill_some(docker.host),
            kind=docker.kind,
            scope=fill(compose.project) if compose else None,
            name=fill(compose.service if compose else docker.container or docker.service or ""),
        )
