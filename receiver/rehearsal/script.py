"""A file of playbook tests as it is written: what there is, what happens when, and what is expected then.

`amend playbooks test` reads it; every mistake names its line.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from receiver.documents import Document, Part, load, parse
from receiver.durations import Duration
from receiver.marker import MarkerStatus
from receiver.run import Outcome, Reason, Status
from receiver.settings.limits import Limits

START = datetime(2026, 1, 5, 12, tzinfo=UTC)  #: a Monday at noon, where a test does not say when it begins


def _moment(value: object) -> object:
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f'"{value}" is no moment; write for example "2026-03-02T10:00:00+01:00"') from None
    if found.tzinfo is None:
        raise ValueError(f'"{value}" has no time zone; write for example "2026-03-02T10:00:00+01:00"')
    return found


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _named(names: Mapping[str, "State"]) -> Mapping[str, "State"]:
    for name in names:
        if "/" not in name:
            raise ValueError(f'"{name}" is no workload; write for example Deployment/shop/cart or compose/shop/cart')
    return names


Number = Annotated[str, BeforeValidator(_text)]
"""An annotation's number, with or without quotes."""


class State(Part):
    """A workload as it is, and how it takes what is done to it."""

    replicas: int = Field(default=1, ge=0)
    ready: int | None = None  #: as many as there are, where nothing is said
    healthy: bool | None = None  #: when all are ready, where nothing is said
    version: str = ""
    uid: str = ""  #: another one stands for another workload of the same name
    fails: str = ""  #: what is done to it is refused with these words
    cut_off: bool = False  #: what is done to it is sent, and never answered


Workloads = Annotated[dict[str, State], AfterValidator(_named)]


class Platforms(Part):
    docker: Workloads = Field(default={})
    kubernetes: Workloads = Field(default={})


class Deployed(Part):
    """A deployment marker."""

    service: str
    version: str
    status: MarkerStatus = MarkerStatus.SUCCEEDED
    metadata: dict[str, str] = Field(default={})


class Input(Part):
    """Something that happens at a moment: exactly one thing."""

    at: Duration
    firing: dict[str, str] | None = None  #: an alert with these labels is delivered
    resolved: dict[str, str] | Literal["previous"] | None = None
    repeat: Literal["previous"] | None = None  #: the last delivery comes once more
    annotations: dict[str, Number] = Field(default={})
    approve: str | None = None  #: the newest run of this playbook that waits
    reject: str | None = None
    by: str = "somebody"
    pause: bool = False
    resume: bool = False
    deployed: Deployed | None = None  #: somebody deploys, and says so
    silence: dict[str, str] | None = None  #: alerts with these labels are silenced from now on; {} ends that
    platform: Platforms | None = None  #: these workloads are so from now on
    prometheus: dict[str, float | None] | None = None  #: these expressions have these values from now on

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        happens = self.model_fields_set - {"at", "annotations", "by"}
        if len(happens) != 1:
            told = f"an input is one thing that happens, such as firing: {{alertname: …}}; this one is {len(happens)}"
            raise ValueError(told)
        return self


class Expect(Part):
    """What must be so once everything up to a moment was worked off."""

    at: Duration
    run: str | None = None  #: the newest run of this playbook is meant; else the newest of all
    target: str | None = None
    status: Status | None = None
    reason: Reason | None = None
    outcome: Outcome | None = None
    attempt: int | None = None  #: the newest run of this attempt is meant
    runs: int | None = None  #: so many there are by then, over all playbooks
    action: str | None = None  #: this verb was carried out since the expectation before this one
    actions: tuple[str, ...] | None = None  #: these and no others, in order, since the beginning
    told: str | None = None  #: somebody was told something that contains this, since the expectation before

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"at"}:
            raise ValueError("expects nothing; write for example action: restart, status: skipped or runs: 0")
        return self


class Test(Part):
    """One story."""

    name: str = Field(min_length=1, examples=["restarts once"])
    start: Annotated[datetime, BeforeValidator(_moment)] = START
    mode: Literal["enforce", "as_written"] = "enforce"  #: rehearse as if the playbooks said enforce already
    platform: Platforms = Platforms()
    prometheus: dict[str, float | None] = Field(default={})
    http: dict[str, int] = Field(default={})  #: by the beginning of a URL, its status; 200 for all others
    commands: dict[str, int] = Field(default={})  #: by name, the code that it ends with; 0 for all others
    limits: Limits = Limits()
    input: tuple[Input, ...] = Field(min_length=1, examples=["[{at: 0s, firing: {alertname: …}}]"])
    expect: tuple[Expect, ...] = Field(min_length=1, examples=["[{at: 0s, action: restart}]"])


class File(Part):
    playbook_files: tuple[Path, ...] = Field(min_length=1, examples=["[../http.yml]"])
    tests: tuple[Test, ...] = Field(min_length=1, examples=["[{name: …, input: …, expect: …}]"])


@dataclass(frozen=True)
class Script:
    """One test, and where it stands."""

    test: Test
    playbook_files: Sequence[Path]
    document: Document
    index: int

    def line(self, *place: str | int) -> str:
        """`playbooks/tests/http.yml:14`."""
        return f"{self.document.path}:{self.document.line(('tests', self.index, *place))}"

    def moments(self) -> Iterator[timedelta]:
        """All moments at which something happens or is expected, in order."""
        yield from sorted({given.at for given in self.test.input} | {wanted.at for wanted in self.test.expect})


def read(path: Path) -> list[Script]:
    """The tests of a file; ConfigErrors with every mistake in it."""
    document = load(path)
    file = parse(document, File)
    files = [path.parent / each for each in file.playbook_files]
    return [Script(test, files, document, index) for index, test in enumerate(file.tests)]
