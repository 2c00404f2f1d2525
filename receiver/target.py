"""What a playbook acts on, as it is written: names that are filled in from an alert.

playbook.py reads it; the platforms in targets/ find what it names.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from receiver import render
from receiver.documents import Part
from receiver.template import Template
from receiver.workload import Selector


class Compose(Part):
    project: Template
    service: Template


class DockerTarget(Part):
    """One container by its name, or one service of a Compose project."""

    container: Template | None = None
    compose: Compose | None = None
    host: Template | None = None  #: which configured Docker; needed where there are several

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.container is None) == (self.compose is None):
            raise ValueError('"docker" needs either container: NAME or compose: {project: …, service: …}')
        return self


class KubernetesTarget(Part):
    """One Deployment, StatefulSet or DaemonSet."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet"]
    namespace: Template
    name: Template
    cluster: Template | None = None  #: which configured cluster; needed where there are several


class Target(Part):
    docker: DockerTarget | None = None
    kubernetes: KubernetesTarget | None = None

    @model_validator(mode="after")
    def _one_platform(self) -> Self:
        if (self.docker is None) == (self.kubernetes is None):
            raise ValueError('"target" needs either docker: or kubernetes:, or is the word none')
        return self

    def selector(self, context: Mapping[str, Any]) -> Selector:
        """The names filled in from an alert; Unrenderable when it lacks a label."""

        def fill(text: str) -> str:
            return render.render(text, context)

        def instance(text: str | None) -> str | None:
            return None if text is None else fill(text)

        if k8s := self.kubernetes:
            return Selector(
                platform="kubernetes",
                instance=instance(k8s.cluster),
                kind=k8s.kind,
                scope=fill(k8s.namespace),
                name=fill(k8s.name),
            )
        docker = self.docker
        assert docker is not None
        if compose := docker.compose:
            return Selector(
                platform="docker",
                instance=instance(docker.host),
                kind="compose",
                scope=fill(compose.project),
                name=fill(compose.service),
            )
        return Selector(
            platform="docker", instance=instance(docker.host), kind="container", name=fill(docker.container or "")
        )
