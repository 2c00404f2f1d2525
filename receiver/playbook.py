"""Playbook files to Playbooks: which alerts they answer, on what, under which limits, by which steps.

The receiver and `amend check` read them here. Every mistake names its line; a playbook that was read can be run.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, ClassVar, Literal, Self

import promql_parser
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)

from receiver import render
from receiver.condition import Condition
from receiver.documents import load, parse
from receiver.durations import Duration
from receiver.errors import ConfigError, ConfigErrors
from receiver.matchers import Matcher
from receiver.workload import Selector

Verbs = Mapping[str, type[BaseModel]]
"""The verbs that a step may use, each with the model of its arguments; actions/ registers them."""


class Part(BaseModel):
    """A mapping in a playbook: no unknown keys, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _template(text: str, info: ValidationInfo) -> str:
    """Checked when a file is read; filled in when a run brings the values as the validation's context."""
    if info.context is None:
        render.check(text)
        return text
    return render.render(text, info.context)


def _url_template(text: str, info: ValidationInfo) -> str:
    if info.context is None:
        render.check(text)
        return text
    return render.render_url(text, info.context)


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", text):
        raise ValueError(f'"{text}" is no name: at most 63 lower-case letters, digits and dashes')
    return text


def _promql(text: str) -> str:
    try:
        promql_parser.parse(text)
    except ValueError as error:
        raise ValueError(f"not PromQL: {error}") from error
    return text


def _parsed(kind: type[Matcher] | type[Condition]) -> BeforeValidator:
    return BeforeValidator(lambda value: kind.parse(value) if isinstance(value, str) else value)


Template = Annotated[str, AfterValidator(_template)]
UrlTemplate = Annotated[str, AfterValidator(_url_template)]
PromQL = Annotated[str, AfterValidator(_promql)]


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


class MaxAttempts(Part):
    count: int = Field(default=1, ge=1)
    within: Duration = timedelta(hours=1)


class MaxTargets(Part):
    count: int = Field(ge=1)
    within: Duration


class Verify(Part):
    """What must hold after the steps for the run to count as fixed."""

    resolved_within: Duration | None = None  #: the alert's own expression must be false by then…
    absent_for: Duration = timedelta(minutes=1)  #: …and stay false this long
    healthy: bool = False  #: and the workload healthy, by the platform's own judgement
    query: PromQL | None = None  #: and this true

    @property
    def deadline(self) -> timedelta:
        """The longest that verification may last."""
        return (self.resolved_within or timedelta(minutes=5)) + self.absent_for


class Step(Part):
    """One verb with its arguments, as written: texts in them may be templates.

    The verbs are fields, which `_file` adds, so that a mistyped one is found as any mistyped key is.
    """

    KEY: ClassVar[str] = "action"

    timeout: Duration = timedelta(minutes=2)

    @model_validator(mode="after")
    def _one_verb(self) -> Self:
        verbs = self.model_fields_set - {"timeout"}
        if len(verbs) != 1:
            raise ValueError(f"a step has exactly one action, for example restart: {{}}; this one has {len(verbs)}")
        return self

    @property
    def verb(self) -> str:
        return min(self.model_fields_set - {"timeout"})

    def arguments(self, context: Mapping[str, Any]) -> BaseModel:
        """The arguments with their templates filled in; Unrenderable when they cannot be."""
        written: BaseModel = getattr(self, self.verb)
        try:
            return type(written).model_validate(written.model_dump(exclude_unset=True), context=context)
        except ValidationError as error:
            raise render.Unrenderable(f"{self.verb}: {error.errors()[0]['msg']}") from error


def _percent(value: object) -> object:
    if isinstance(value, str) and value.endswith("%"):
        return value.removesuffix("%")
    return value


class Playbook(Part):
    """An answer to some alerts, checked and ready to run."""

    name: Annotated[str, AfterValidator(_name)] = Field(examples=["restart-slow-service"])
    description: str = ""
    enabled: bool = True
    mode: Literal["observe", "enforce"] = "observe"
    matchers: tuple[Annotated[Matcher, _parsed(Matcher)], ...] = Field(
        min_length=1, examples=["""['alertname="LatencyAnomaly"']"""]
    )
    on: Literal["firing", "resolved"] = "firing"
    condition: Annotated[Condition, _parsed(Condition)] | None = None
    target: Target | Literal["none"] = "none"
    only_if: PromQL | None = None
    cooldown: Duration = timedelta(minutes=5)
    max_attempts: MaxAttempts = MaxAttempts()
    max_targets: MaxTargets | None = None
    min_healthy: Annotated[float, BeforeValidator(_percent), Field(ge=0, le=100)] | None = None
    max_age: Duration = timedelta(minutes=10)
    steps: tuple[Step, ...] = Field(min_length=1)
    verify: Verify | None = None
    on_failure: tuple[Step, ...] = ()

    _place: str = PrivateAttr("")

    @property
    def enforced(self) -> bool:
        return self.mode == "enforce"

    @property
    def may_act(self) -> bool:
        """Whether it may change anything, as it is written now: a run may have begun under another version."""
        return self.enabled and self.enforced

    @property
    def place(self) -> str:
        """Where it is written: `playbooks/web.yml:14`."""
        return self._place


def read(path: Path, verbs: Verbs) -> list[Playbook]:
    """The playbooks of one file; ConfigErrors with every mistake in it."""
    document = load(path)
    playbooks: tuple[Playbook, ...] = parse(document, _file(tuple(verbs.items()))).playbooks
    for index, playbook in enumerate(playbooks):
        playbook._place = f"{path}:{document.line(('playbooks', index))}"
    return list(playbooks)


def read_all(paths: Iterable[Path], verbs: Verbs) -> list[Playbook]:
    """The playbooks of several files, in order, with names that are unique over all of them."""
    errors: list[ConfigError] = []
    playbooks: dict[str, Playbook] = {}
    for path in paths:
        try:
            found = read(path, verbs)
        except ConfigErrors as mistakes:
            errors.extend(mistakes.errors)
            continue
        except ConfigError as mistake:
            errors.append(mistake)
            continue
        for playbook in found:
            twin = playbooks.setdefault(playbook.name, playbook)
            if twin is not playbook:
                line = int(playbook.place.rpartition(":")[2])
                message = f'the playbook "{playbook.name}" stands at {twin.place} too; give it another name'
                errors.append(ConfigError(path, line, message))
    if errors:
        raise ConfigErrors(errors)
    return list(playbooks.values())


class _File(Part):
    playbooks: tuple[Playbook, ...]


@cache
def _file(verbs: tuple[tuple[str, type[BaseModel]], ...]) -> type[_File]:
    """The model of a file whose steps know these verbs."""
    fields: dict[str, Any] = {verb: (Annotated[arguments, _NOTHING], Field(default=None)) for verb, arguments in verbs}
    step = create_model("Step", __base__=Step, **fields)
    steps = _many(step)
    needed = Field(min_length=1, examples=["[restart: {}]"])
    playbook = create_model("Playbook", __base__=Playbook, steps=(steps, needed), on_failure=(steps, ()))
    some = Field(examples=["[{name: …, matchers: …, steps: …}]"])
    return create_model("File", __base__=_File, playbooks=(_many(playbook), some))


def _many(kind: Any) -> Any:
    return GenericAlias(tuple, (kind, ...))


_NOTHING = BeforeValidator(lambda value: {} if value is None else value)
"""`- restart:` with nothing behind it means `- restart: {}`."""
