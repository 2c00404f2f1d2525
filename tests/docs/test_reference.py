"""Nothing that users can write, ask or see is undocumented, and nothing is documented that is not there.

The lists come from the code: whoever adds a setting, a verb or a metric adds a line to its reference page.
"""

import re
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.routing import Mount, Route
from typer.main import get_command

from receiver import cli, conventions, metrics, render
from receiver.actions import VERBS
from receiver.alert_evidence import Sight
from receiver.audit import Kind
from receiver.case import Case
from receiver.durations import format_duration, parse_duration
from receiver.guards import GUARDS
from receiver.lint import CHECKS
from receiver.playbook import Playbook, Step, read
from receiver.render import Names
from receiver.rulegen import BANDS
from receiver.rulegen.alerts import annotations, static_labels
from receiver.rulegen.presets import AUTO, PRESETS
from receiver.rulegen.spec import Defaults, DetectorShape, SpecShape, load_spec
from receiver.run import PASSING, Closing, Episode, Outcome, Reason, Run, Status, StepStatus
from receiver.settings import SIZES, Settings
from receiver.web import create_app
from receiver.web.openapi import PATHS
from receiver.web.webhook import Result
from receiver.workload import Selector, Workload
from tests.bed.parts import ROOT
from tests.docs.page import Row, reference
from tests.web.conftest import Web

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

SETTINGS, PLAYBOOK, SPEC, CLI, HTTP, METRICS, STATES = map(
    reference, ("settings", "playbook", "spec", "cli", "http", "metrics", "states")
)


# ── keys and their defaults ──


def keys(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of a file that a model reads, as `auth.api_keys[].role`."""
    for name, field in model.model_fields.items():
        key = f"{before}{field.alias or name}"
        yield key, field
        inner = _model_in(field.annotation)
        if inner and not issubclass(inner, Step):
            origin = typing.get_origin(field.annotation)
            several = "[]" if origin is tuple else ".*" if origin is dict else ""
            yield from keys(inner, f"{key}{several}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (tuple, dict, typing.Union, types.UnionType):
        return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
    return None


def check(rows: list[Row], known: dict[str, FieldInfo]) -> None:
    """The rows tell the keys that there are, each with its default."""
    documented = {row.words[0]: row.cells[2] for row in rows}
    assert len(documented) == len(rows), "a key is documented twice"
    assert set(documented) <= set(known), f"gone: {set(documented) - set(known)}"
    leaves = {key for key in known if not any(other.startswith((f"{key}.", f"{key}[].")) for other in known)}
    assert leaves <= set(documented), f"undocumented: {leaves - set(documented)}"
    wrong = {key: told for key, told in documented.items() if not _is_default(told, known[key])}
    assert not wrong, f"not the default: {wrong}"


def _is_default(told: str, field: FieldInfo) -> bool:
    if field.is_required():
        return told == "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return told == "–"
    return told.startswith("`") and told.endswith("`") and _plain(told[1:-1], default) == default


def _plain(told: str, default: Any) -> Any:
    """A default as it stands in a table, as the value that it means."""
    if isinstance(default, timedelta):
        return parse_duration(told)
    if size := re.fullmatch(r"(\d+)([KMG]iB)", told):
        return int(size[1]) * SIZES[size[2]]
    if isinstance(default, BaseModel):
        pairs = dict(pair.split(": ") for pair in told.strip("{}").split(", "))
        return type(default).model_validate(pairs)
    if isinstance(default, tuple | list):
        return type(default)(word.strip('"') for word in told.strip("[]").split(", ") if word)
    if isinstance(default, dict):
        return {} if told == "{}" else told
    if isinstance(default, bool):
        return {"true": True, "false": False}[told]
    return type(default)(told.strip('"'))


def test_every_setting_is_documented_with_its_default() -> None:
    check([row for heading in SETTINGS.headings for row in SETTINGS.rows(heading, "key")], dict(keys(Settings)))


def test_every_key_of_a_playbook_is_documented_with_its_default() -> None:
    rows = [row for heading in ("Keys", "Target", "Verify") for row in PLAYBOOK.rows(heading, "key")]
    check(rows, dict(keys(Playbook)))


def test_every_verb_is_documented_with_its_arguments() -> None:
    check(PLAYBOOK.rows("Steps", "key"), dict(keys(Step)))
    for verb, arguments in VERBS.items():
        check(PLAYBOOK.rows(verb, "key"), dict(keys(arguments)))


def test_every_key_of_a_spec_is_documented() -> None:
    file = {name: field for name, field in keys(SpecShape) if "." not in name}
    assert set(SPEC.words("The file", "key")) == set(file)
    assert set(SPEC.words("A detector", "key")) == dict(keys(DetectorShape)).keys() - {"min_deviation.", "severity."}
    assert set(Defaults.model_fields) == set(DetectorShape.model_fields) - {"name", "expr"}, "what `defaults` tells"


# ── playbooks ──


def _case(playbook: Playbook, workload: Workload) -> Case:
    at: dict[str, Any] = dict.fromkeys(("starts_at", "last_starts_at", "opened_at", "last_seen_at"), NOW)
    episode = Episode(id=1, alert_key="", source="", fingerprint="", labels={}, annotations={}, **at)
    at = {"created_at": NOW, "updated_at": NOW}
    run = Run(id=1, episode_id=1, playbook="", attempt=1, mode="observe", status=Status.MATCHED, **at)
    return Case(run, episode, playbook, NOW, workload=workload)


def test_every_name_of_a_template_is_documented(tmp_path: Path) -> None:
    example = tmp_path / "example.yml"
    example.write_text(next(block.text for block in PLAYBOOK.blocks if block.kind == "playbook"))
    (playbook,) = read(example, VERBS)
    selector = Selector(platform="docker", instance=None, kind="container", name="a")
    workload = Workload(key="a", selector=selector, uid="a", replicas=1, ready=1, version="", healthy=True)
    known: set[str] = set()
    for root, value in _case(playbook, workload).context.items():
        known |= {f"{root}.{name}" for name in value._values} if isinstance(value, Names) and value._values else {root}
    assert set(PLAYBOOK.words("Templates", "name")) == known
    assert set(conventions.NUMBERS) <= set(PLAYBOOK.words("Templates", "name"))


def test_every_filter_of_a_template_is_documented() -> None:
    told = re.findall(r"`(\w+)`", PLAYBOOK.section("Templates").partition("these filters:")[2].partition("Loops")[0])
    assert sorted(told) == sorted(render.FILTERS)


def test_the_guards_are_documented_in_their_order() -> None:
    assert PLAYBOOK.words("What is asked before a run acts", "guard") == [guard.name for guard in GUARDS]


# ── specs ──


def test_every_band_and_preset_is_documented() -> None:
    assert set(SPEC.words("Bands", "band")) == {*BANDS, AUTO}
    told = {row.words[0]: list(row.cells[1:8]) for row in SPEC.rows("Presets", "preset")}
    assert told == {
        name: [
            preset.band,
            format_duration(preset.interval),
            format_duration(preset.window),
            f"{preset.sigma:g}",
            str(preset.min_samples),
            format_duration(preset.hold),
            format_duration(preset.keep_firing_for),
        ]
        for name, preset in PRESETS.items()
    }
    assert {(preset.absolute, preset.relative) for preset in PRESETS.values()} == {(1e-9, 0.01)}, "what Presets says"


def test_every_recorded_series_is_documented() -> None:
    series = {value for value in vars(conventions).values() if isinstance(value, str) and value.startswith("amend:")}
    assert set(SPEC.words("Series", "series")) == series


def test_every_label_and_annotation_of_an_alert_is_documented(tmp_path: Path) -> None:
    example = tmp_path / "example.yml"
    example.write_text(next(block.text for block in SPEC.blocks if block.kind == "spec"))
    spec = load_spec(example)
    (detector,) = spec.detectors
    heading = "Labels and annotations of the alerts"
    labels = {conventions.ALERTNAME, *static_labels(spec, detector, "high")} - set(spec.labels)
    assert set(SPEC.words(heading, "label")) == labels
    assert set(SPEC.words(heading, "annotation")) == set(annotations(spec, detector))


# ── states ──


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Run status", Status),
        ("Outcomes", Outcome),
        ("Reasons", Reason),
        ("Ends of an episode", Closing),
        ("Step status", StepStatus),
        ("Audit kinds", Kind),
        ("What a verification sees", Sight),
    ],
)
def test_every_state_is_documented_in_its_order(heading: str, words: type[StrEnum]) -> None:
    assert STATES.words(heading) == list(words)


def test_a_reason_that_may_pass_is_told_from_one_that_is_final() -> None:
    told = {row.words[0] for row in STATES.rows("Reasons") if row.cells[1] == "yes"}
    assert told == set(PASSING)


@pytest.mark.parametrize(("heading", "words"), [("Run status", Status), ("Reasons", Reason)])
def test_a_state_is_called_not_yet_exactly_where_nothing_gives_it(heading: str, words: type[StrEnum]) -> None:
    files = [path for path in (ROOT / "receiver").rglob("*.py") if path.name != "run.py"]
    code = re.sub(r"^WAITING = .*$", "", "\n".join(path.read_text() for path in files), flags=re.MULTILINE)
    mentioned = {word for word in words if re.search(rf"{words.__name__}\.{word.name}\b(?!:)", code)}
    counted = {word for word in words if f'{words.__name__.lower()}="{word}"' in code}
    told = {row.words[0] for row in STATES.rows(heading) if "*Not yet" in row.cells[-1]}
    assert told == set(words) - mentioned - counted


# ── the command line ──


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = {"amend": get_command(cli.app), **dict(_commands(get_command(cli.app), "amend"))}


def test_every_command_is_documented() -> None:
    assert {heading for heading in CLI.headings if heading.startswith("amend")} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    options = [each for each in COMMANDS[name].params if each.param_type_name == "option" and "--help" not in each.opts]
    section = CLI.section(name)
    for option in options:
        assert f"`{option.opts[0]}`" in section, option.opts
        assert all(f"`{short}`" in CLI.text for short in option.opts[1:]), option.opts
        assert not option.envvar or f"`{option.envvar}`" in CLI.text, option.envvar
    known = {text for option in options for text in option.opts}
    told = set(CLI.words(name, "option"))
    assert told <= known, f"gone: {told - known}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_of_an_option_is_the_one_that_counts(name: str) -> None:
    defaults = {
        option.opts[0]: option.default for option in COMMANDS[name].params if option.param_type_name == "option"
    }
    for row in CLI.rows(name, "option"):
        if told := re.fullmatch(r"`(.*)`", row.cells[1]):
            assert str(defaults[row.words[0]]) == told[1], row.words[0]


def test_every_check_of_the_lint_is_documented() -> None:
    told = {row.words[0]: row.cells[1] for row in CLI.rows("amend check", "check")}
    assert told == {name: str(check.severity) for name, check in CHECKS.items()}


# ── HTTP ──


def test_every_route_is_documented(tmp_path: Path) -> None:
    with Web(tmp_path) as web:
        routes = create_app(web.doors).routes
    known = set()
    for route in routes:
        if isinstance(route, Route):
            known |= {f"{method} {route.path}" for method in (route.methods or set()) - {"HEAD"}}
        elif isinstance(route, Mount):
            known.add(f"GET {route.path}")
    told = [word for heading in HTTP.headings for word in HTTP.words(heading, "path")]
    assert sorted(told) == sorted(known)


def test_every_parameter_is_documented() -> None:
    for row in HTTP.rows("API", "path"):
        known = PATHS[row.words[0].removeprefix("GET ")]["get"].get("parameters", [])
        names = {parameter["name"] for parameter in known if parameter["in"] == "query"}
        assert set(re.findall(r"`(\w+)`", row.cells[1])) == names, row.words[0]


# ── metrics ──


def test_every_metric_is_documented_with_its_labels() -> None:
    ours = [each for each in vars(metrics).values() if isinstance(each, Counter | Gauge | Histogram)]
    known = {f"{each._name}{'_total' if isinstance(each, Counter) else ''}": list(each._labelnames) for each in ours}
    told = {row.words[0]: re.findall(r"`(\w+)`", row.cells[1]) for row in METRICS.rows("Own metrics", "metric")}
    assert told == known


def test_every_result_of_a_delivery_is_documented() -> None:
    assert sorted(METRICS.words("Results of a delivery")) == sorted(Result)
