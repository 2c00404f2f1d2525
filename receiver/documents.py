"""YAML files with a line number for every value: specs, playbooks and amend.yml are all read here.

No aliases, no duplicate keys, only true/false as booleans, and caps on size and depth, so that a hostile or
mistyped file gives a ConfigError that names its line.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from receiver.errors import ConfigError, ConfigErrors

LARGEST = 1024 * 1024  #: bytes in one file
DEEPEST = 32  #: levels of nesting

Place = tuple[str | int, ...]
"""The way from a document's root to a value: `("playbooks", 0, "cooldown")`."""

Model = TypeVar("Model", bound=BaseModel)


class Part(BaseModel):
    """A mapping in a document: no unknown keys, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    EXAMPLE: ClassVar[str] = ""  #: one as people write it, told where something else stands in its place


class _Loader(yaml.CSafeLoader):
    """YAML 1.2's core scalars: `on:` stays a word and `22:00` is no sexagesimal number."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?(0|[1-9][0-9]{0,18})", list("-+0123456789")),
    (
        "float",  # with a point or an exponent: 0755 and a number of 30 digits stay text
        r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)

_SCALARS: Mapping[str, Callable[[str], object]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}


@dataclass(frozen=True)
class Document:
    """A file's plain value and the line of each of its parts."""

    path: Path
    value: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line (from 1) of a value, or of the nearest thing around it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, place: Place, message: str) -> ConfigError:
        return ConfigError(self.path, self.line(place), message)


def load(path: Path) -> Document:
    """Read one YAML file; ConfigError if it cannot be read or is not the plain YAML that we take."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read: {error.strerror}; name a file that is there") from error
    return loads(data, path)


def loads(data: bytes | str, path: Path) -> Document:
    """As `load`, of text already at hand; `path` names it in errors."""
    if len(data if isinstance(data, bytes) else data.encode(errors="replace")) > LARGEST:
        raise ConfigError(path, None, f"is larger than {LARGEST // 1024} KiB")
    try:
        text = data.decode() if isinstance(data, bytes) else data
        _refuse_tricks(text, path)
        root = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        raise ConfigError(path, None, f"is not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        message = f"not YAML: {_yaml_problem(text, error)}"
        raise ConfigError(path, mark.line + 1 if mark else None, message) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ConfigError(path, None, f"not YAML: {str(error).splitlines()[0]}") from error
    lines: dict[Place, int] = {(): 1}
    value = _construct(root, (), lines, path) if root else None
    return Document(path, value, lines)


def parse(document: Document, model: type[Model], *, at: Place = ()) -> Model:
    """A document (or the part of it `at` a place) as a pydantic model.

    ConfigErrors with file and line of every mistake, and a suggestion where a key looks mistyped.
    """
    value = document.value
    for step in at:
        value = value[step]
    if value is None:
        value = {}
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigErrors(sorted(_explain(document, model, at, error), key=lambda each: each.line or 0)) from None


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean "restart"?`, or the known words when none is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _refuse_tricks(text: str, path: Path) -> None:
    depth = 0
    for item in yaml.parse(text, Loader=_Loader):
        line = item.start_mark.line + 1 if item.start_mark else None
        if isinstance(item, yaml.AliasEvent) or getattr(item, "anchor", None):
            raise ConfigError(path, line, "YAML anchors and aliases are not taken; write the value out")
        if tag := getattr(item, "tag", None):
            raise ConfigError(path, line, f"the YAML tag {tag} is not taken; write the plain value")
        if isinstance(item, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(item, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ConfigError(path, line, f"is nested more than {DEEPEST} levels deep")


def _yaml_problem(text: str, error: yaml.MarkedYAMLError) -> str:
    # not by the mark's column: it counts on from the last line that was read whole
    line = text.splitlines()[error.problem_mark.line : error.problem_mark.line + 1] if error.problem_mark else []
    if line and "\t" in line[0][: len(line[0]) - len(line[0].lstrip())]:
        return "the line begins with a tab; write spaces"
    return f"{error.problem}; look at the brackets, quotes and indentation just before"


def _construct(node: yaml.Node, place: Place, lines: dict[Place, int], path: Path) -> object:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines, path)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*place, index), lines, path) for index, item in enumerate(node.value)]
    value = _SCALARS[node.tag](node.value)
    if value in (math.inf, -math.inf):
        raise ConfigError(path, node.start_mark.line + 1, f"{node.value} is too large for a number")
    return value


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int], path: Path) -> dict[str, object]:
    result: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            way_out = "; put quotes around a template" if isinstance(key_node, yaml.MappingNode) else ""
            raise ConfigError(path, line, f"a key must be a plain word{way_out}")
        key = key_node.value
        if key in result:
            raise ConfigError(path, line, f'the key "{key}" stands twice; the first is on line {lines[*place, key]}')
        lines[*place, key] = line
        result[key] = _construct(value_node, (*place, key), lines, path)
    return result


def _explain(document: Document, model: type[BaseModel], at: Place, error: ValidationError) -> Iterator[ConfigError]:
    found: dict[tuple[Place, str], str] = {}
    for detail in error.errors(include_url=False):
        place = (*at, *_known_steps(document, at, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            place = (*at, *detail["loc"])
        found.setdefault((place, _message(detail, model)), detail["type"])
    for (place, message), kind in found.items():
        # a union's other choices, and a list left empty by its items' mistakes, only repeat what is wrong inside
        deeper = any(len(other) > len(place) and other[: len(place)] == place for other, _ in found)
        beside = sum(other == place for other, _ in found) > 1
        if not (deeper and kind in {"too_short", "literal_error"}) and not (beside and kind == "literal_error"):
            yield document.error(place, message)


def _known_steps(document: Document, at: Place, loc: tuple[str | int, ...]) -> Place:
    """Pydantic puts names of union members into its paths; keep what the document really has."""
    place: Place = ()
    for step in loc:
        if (*at, *place, step) in document.lines:
            place = (*place, step)
    return place


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    # a union's members have names like function-after[…], which nobody wrote
    names = [step for step in detail["loc"] if isinstance(step, str) and "[" not in step]
    name = names[-1] if names else "the document"
    match detail["type"]:
        case "extra_forbidden":
            models = _models_at(model, detail["loc"][:-1])
            word = getattr(models[0], "KEY", "key")
            way_out = _one_level_up(model, detail["loc"]) or did_you_mean(name, _keys(models))
            return f'unknown {word} "{name}"{way_out}'
        case "missing":
            return f'"{name}" is missing{_example(_models_at(model, detail["loc"][:-1]), name)}'
        case "value_error" | "assertion_error":
            said = detail["msg"].split(", ", 1)[-1]
            return said if said.startswith('"') or not names else f"{name}: {said}"
        case "model_type" | "dict_type":
            example = getattr(_models_at(model, detail["loc"])[0], "EXAMPLE", "") if names else ""
            listed = bool(detail["loc"]) and isinstance(detail["loc"][-1], int)
            one = f'each of "{name}"' if listed else f'"{name}"'
            way_out = f"; write for example {'- ' if listed else f'{name}: '}{example}" if example else ""
            return f"{one} must be a mapping (key: value), not {_kind(detail['input'])}{way_out}"
        case "list_type" | "tuple_type":
            return f'"{name}" must be a list, not {_kind(detail["input"])}'
        case "too_short" if not detail["input"]:
            example = _example(_models_at(model, detail["loc"][:-1]), name)
            return f'"{name}" must have at least one entry{example}'
        case "bool_type" | "bool_parsing":
            return f'"{name}" must be true or false, not {detail["input"]!r}'
        case "string_type":
            return f'"{name}" must be text; put quotes around {detail["input"]!r}'
        case _:
            text = detail["msg"][0].lower() + detail["msg"][1:]
            return f"{name}: {text}, not {detail['input']!r}"


def _one_level_up(model: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    """The way out for a key that was written too deep: `restart: {timeout: 5m}`."""
    around, name = loc[-2:] if len(loc) > 1 else ("", "")
    if isinstance(around, int) or name not in _keys(_models_at(model, loc[:-2])):
        return ""
    return f'; it belongs beside "{around}", one level up'


def _example(models: list[type[BaseModel]], name: str) -> str:
    """What to write where something is missing, for fields that give an example of themselves."""
    fields = [field for each in models for key, field in each.model_fields.items() if name in (key, field.alias)]
    examples = [field.examples[0] for field in fields if field.examples]
    return f"; write for example {name}: {examples[0]}" if examples else ""


def _kind(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return kinds.get(type(value), "a number")


def _models_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """The models that may stand at a place, found by walking their fields' types."""
    models: list[type[BaseModel]] = [model]
    for step in loc:
        inner = [
            found
            for each in models
            for name, field in each.model_fields.items()
            if step in (name, field.alias)
            for found in _models_in(field.annotation)
        ]
        models = inner or [each for each in models if each.__name__ == step] or models
    return models


def _keys(models: list[type[BaseModel]]) -> list[str]:
    return sorted({field.alias or name for each in models for name, field in each.model_fields.items()})


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
