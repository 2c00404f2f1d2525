"""Playbook files to Playbooks: which alerts they answer, on what, under which limits, by which steps.

The receiver and `amend check` read them here. Every mistake names its line; a playbook that was read can be run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from receiver import render
from receiver.approval import ApprovalRule, Autonomy, Percent
from receiver.condition import Condition
from receiver.documents import Document, Part, Place, did_you_mean, load, parse
from receiver.durations import Duration, format_duration
from receiver.errors import ConfigError, ConfigErrors
from receiver.matchers import Matcher
from receiver.target import Target
from receiver.time_intervals import NamedIntervals

Verbs = Mapping[str, type[BaseModel]]
"""The verbs that a step may use, each with the model of its arguments; actions/ registers them."""


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
    return BeforeValidator(lambda value: value if isinstance(value, kind) else kind.parse(str(value)))


Written = WithJsonSchema({"type": "string"})
"""Of what is parsed from a text: how editors see it."""


PromQL = Annotated[str, AfterValidator(_promql)]


class MaxAttempts(Part):
    EXAMPLE = "{count: 2, within: 6h}"

    count: int = Field(default=1, ge=1)
    within: Duration = timedelta(hours=1)


class MaxTargets(Part):
    EXAMPLE = "{count: 1, within: 30m}"

    count: int = Field(ge=1)
    within: Duration


class Verify(Part):
    """What must hold after the steps for the run to count as fixed."""

    EXAMPLE = "{resolved_within: 10m}"

    resolved_within: Duration | None = None  #: the alert's own expression must be false by then…
    absent_for: Duration = timedelta(minutes=1)  #: …and stay false this long
    healthy: bool = False  #: and the workload healthy, by the platform's own judgement
    query: PromQL | None = None  #: and this true

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.resolved_within is None and self.query is None and not self.healthy:
            # there would be nothing to look at, and every run would count as fixed
            raise ValueError("asks for nothing; write for example verify: {resolved_within: 10m}")
        return self

    @property
    def deadline(self) -> timedelta:
        """The longest that verification may last."""
        return (self.resolved_within or timedelta(minutes=5)) + self.absent_for


class Step(Part):
    """One verb with its arguments, as written: texts in them may be templates.

    The verbs are fields, which `_file` adds, so that a mistyped one is found as any mistyped key is.
    """

    KEY: ClassVar[str] = "action"
    EXAMPLE = "restart: {}"

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

    @property
    def written(self) -> Any:
        """The arguments of the verb as they are written, in its own model."""
        return getattr(self, self.verb)

    def arguments(self, context: Mapping[str, Any]) -> BaseModel:
        """The arguments with their templates filled in; Unrenderable when they cannot be."""
        written: BaseModel = self.written
        try:
            return type(written).model_validate(written.model_dump(exclude_unset=True, by_alias=True), context=context)
        except ValidationError as error:
            raise render.Unrenderable(f"{self.verb}: {error.errors()[0]['msg']}") from error


class Playbook(Part):
    """An answer to some alerts, checked and ready to run."""

    name: Annotated[str, AfterValidator(_name)] = Field(examples=["restart-slow-service"])
    description: str = ""
    enabled: bool = True
    mode: Literal["observe", "enforce"] = "observe"
    matchers: tuple[Annotated[Matcher, _parsed(Matcher), Written], ...] = Field(
        min_length=1, examples=["""['alertname="LatencyAnomaly"']"""]
    )
    on: Literal["firing", "resolved"] = "firing"
    condition: Annotated[Condition, _parsed(Condition), Written] | None = None
    also_firing: tuple[Annotated[Matcher, _parsed(Matcher), Written], ...] = ()
    deployed_within: Duration | None = None
    target: Target | Literal["none"] = "none"
    only_if: PromQL | None = None
    active_time_intervals: tuple[str, ...] = ()
    mute_time_intervals: tuple[str, ...] = ()
    cooldown: Duration = timedelta(minutes=5)
    max_attempts: MaxAttempts = MaxAttempts()
    max_targets: MaxTargets | None = None
    min_healthy: Percent | None = None
    max_age: Duration = timedelta(minutes=10)
    autonomy: Autonomy | None = None
    approval: ApprovalRule | None = None
    steps: tuple[Step, ...] = Field(min_length=1)
    verify: Verify | None = None
    on_failure: tuple[Step, ...] = ()

    _place: str = PrivateAttr("")
    _intervals: Mapping[str, NamedIntervals] = PrivateAttr(default={})

    @property
    def enforced(self) -> bool:
        return self.mode == "enforce"

    @property
    def may_act(self) -> bool:
        """Whether it may change anything, as it is written now: a run may have begun under another version."""
        return self.enabled and self.enforced

    def intervals(self, names: Sequence[str]) -> list[NamedIntervals]:
        """The time intervals of these names, which stand in the playbook's file."""
        return [self._intervals[name] for name in names]

    @property
    def place(self) -> str:
        """Where it is written: `playbooks/web.yml:14`."""
        return self._place


def read(path: Path, verbs: Verbs) -> list[Playbook]:
    """The playbooks of one file; ConfigErrors with every mistake in it."""
    document = load(path)
    file = parse(document, _file(tuple(verbs.items())))
    errors = list(_unknown_intervals(document, file))
    if errors:
        raise ConfigErrors(errors)
    intervals = {named.name: named for named in file.time_intervals}
    for index, playbook in enumerate(file.playbooks):
        playbook._place = f"{path}:{document.line(('playbooks', index))}"
        playbook._intervals = intervals
    return list(file.playbooks)


def _unknown_intervals(document: Document, file: "_File") -> Iterator[ConfigError]:
    """Names of time intervals that the file does not have, or has twice."""
    known = [named.name for named in file.time_intervals]
    for index, name in enumerate(known):
        if name in known[:index]:
            message = f'two time intervals are called "{name}"; give each its own name'
            yield document.error(("time_intervals", index, "name"), message)
    for index, playbook in enumerate(file.playbooks):
        places: dict[Place, Sequence[str]] = {
            ("active_time_intervals",): playbook.active_time_intervals,
            ("mute_time_intervals",): playbook.mute_time_intervals,
            ("approval", "active_time_intervals"): playbook.approval.active_time_intervals if playbook.approval else (),
        }
        for place, names in places.items():
            for position, name in enumerate(names):
                if name not in known:
                    way_out = did_you_mean(name, known) or "; write it under time_intervals: in the same file"
                    message = f'no time interval is called "{name}"{way_out}'
                    yield document.error(("playbooks", index, *place, position), message)


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


def schema(verbs: Verbs) -> dict[str, Any]:
    """The JSON Schema of a playbook file, for editors; what only reading it can tell is not in it."""
    whole = _file(tuple(verbs.items())).model_json_schema()
    step = whole["$defs"]["Step"]
    # the model's class says what a step is, and holds a key for each verb, which may be left empty: `- restart:`
    for verb in verbs:
        shape = step["properties"][verb]
        step["properties"][verb] = {"anyOf": [{key: shape[key] for key in shape if key != "default"}, {"type": "null"}]}
    step["oneOf"] = [{"required": [verb]} for verb in verbs]
    _write_durations(whole)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "title": "Playbooks of Amend"}


def _write_durations(schema: Any) -> None:
    """Defaults as people write them: `5m`, where pydantic has `PT5M`."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if isinstance(value, str) and key != "pattern" and _ISO.fullmatch(value):
                schema[key] = format_duration(_DURATIONS.validate_python(value))
            else:
                _write_durations(value)
    elif isinstance(schema, list):
        for value in schema:
            _write_durations(value)


_ISO = re.compile(r"P(?=.)(\d+D)?(T[0-9HMS.]+)?")
_DURATIONS = TypeAdapter(timedelta)


class _File(Part):
    time_intervals: tuple[NamedIntervals, ...] = ()
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
