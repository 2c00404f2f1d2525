"""YAML as strangers write it: plain values with their lines, and every trick refused in one line that says where."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from receiver.documents import DEEPEST, LARGEST, Document, did_you_mean, load, loads, parse
from receiver.errors import ConfigError, ConfigErrors

PATH = Path("spec.yml")


def read(text: bytes | str) -> Document:
    return loads(text, PATH)


def outcome(text: bytes | str) -> Document | ConfigError:
    try:
        return read(text)
    except ConfigError as error:
        return error


def refused(text: bytes | str) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        read(text)
    return raised.value


# ── values ──


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment", None),
        ("a: 1", {"a": 1}),
        ("a: -7", {"a": -7}),
        ("a: 1.5", {"a": 1.5}),
        ("a: 30e6", {"a": 30e6}),
        ("a: .5", {"a": 0.5}),
        ("a: true", {"a": True}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("on: yes", {"on": "yes"}),
        ("a: [Yes, NO, off]", {"a": ["Yes", "NO", "off"]}),
        ("a: 22:00", {"a": "22:00"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 0755", {"a": "0755"}),
        ("a: 0x1f", {"a": "0x1f"}),
        ("a: '1'", {"a": "1"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: .nan", {"a": ".nan"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("1: a", {"1": "a"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ],
)
def test_values_are_what_they_look_like(text: str, value: object) -> None:
    assert read(text).value == value


TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=50)  # where JSON is YAML
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    # Escaped, since YAML allows fewer characters than JSON does.
    assert read(json.dumps(value)).value == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_config_error(data: bytes) -> None:
    found = outcome(data)
    if isinstance(found, Document):
        json.dumps(found.value)
    else:
        assert str(found).startswith("spec.yml")
        assert "\n" not in str(found)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="ab:-[]{}&*!|>'\"\\#,?%@`~ \n\t0", max_size=80))
def test_any_yaml_like_text_is_a_document_or_a_config_error(text: str) -> None:
    found = outcome(text)
    if isinstance(found, Document):
        assert all(line >= 1 for line in found.lines.values())
    else:
        assert str(found).startswith("spec.yml")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.integers(), min_size=1, max_size=9))
def test_every_key_knows_its_line(values: dict[str, int]) -> None:
    document = read("\n".join(f"{key}: {value}" for key, value in values.items()))
    assert [document.line((key,)) for key in values] == list(range(1, len(values) + 1))


def test_a_place_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    document = read("a:\n  b:\n  - c: 1\n  - d: 2\n")
    assert document.line(("a", "b", 1, "missing", "deeper")) == 4
    assert document.line(("nowhere",)) == 1


# ── what is refused ──


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 'the key "a" stands twice; the first is on line 1'),
        ("a: {b: 1,\n b: 2}", 2, 'the key "b" stands twice'),
        ("1: a\n'1': b\n", 2, 'the key "1" stands twice'),
        ("a: &x 1\nb: 2\n", 1, "anchors and aliases are not taken"),
        ("a: 1\nb: *x\n", 2, "anchors and aliases are not taken"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key must be a plain word"),
        ("a: 1\nb: {{ labels.b }}\n", 2, "a key must be a plain word; put quotes around a template"),
        ("a: 1\n\tb: 2\n", 2, "not YAML: the line begins with a tab; write spaces"),
        ("a:\n  b: 1\n \tc: 2\n", 3, "the line begins with a tab"),
        ("a: !!python/object:os.system x", 1, "the YAML tag"),
        ("a: !secret x", 1, "the YAML tag !secret is not taken"),
        ("a: !!binary aGk=", 1, "is not taken"),
        ("a: !!int x", 1, "not"),
        ("a: !!float x", 1, "not"),
        ("a: [1\n", 2, "not YAML"),
        ("a: 'x\n", 2, "not YAML"),
        ("a: 1\n b: 2\n", 2, "not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not YAML"),
        ("a:\n\t- 1", 2, "not YAML"),
        ("a: 1e999", 1, "too large"),
        ("a: \x00", None, "not YAML"),
    ],
)
def test_a_trick_or_a_slip_is_refused_with_its_line(text: str, line: int | None, said: str) -> None:
    error = refused(text)
    assert said in error.message
    assert error.line == line


@pytest.mark.parametrize("data", [b"a: \xff", b"\xfe\xff\x00a", b"a: \xed\xa0\x80"])
def test_bytes_that_are_not_utf_8_are_refused(data: bytes) -> None:
    assert "is not UTF-8 text" in refused(data).message


def test_a_lone_surrogate_is_refused() -> None:
    assert refused('a: "\\ud800"').line is not None


def test_a_bomb_of_aliases_fails_at_once() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    started = time.thread_time()
    assert refused(bomb).line == 1
    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_capped_before_it_costs_anything(opening: str) -> None:
    started = time.thread_time()
    error = refused(opening * 200_000)
    assert "nested more than" in error.message or "not YAML" in error.message
    assert time.thread_time() - started < 5


def test_the_deepest_document_allowed_is_read() -> None:
    assert read("[" * DEEPEST + "]" * DEEPEST).value is not None
    assert "nested more than" in refused("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)).message


@pytest.mark.parametrize("text", ["#" * (LARGEST + 1), b"#" * (LARGEST + 1), "ä" * (LARGEST // 2 + 1)])
def test_size_is_capped_in_bytes(text: bytes | str) -> None:
    assert refused(text).message == "is larger than 1024 KiB"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "missing.yml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_is_read_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("a: ä\n", encoding="utf-8")
    document = load(tmp_path / "a.yml")
    assert (document.path, document.value) == (tmp_path / "a.yml", {"a": "ä"})


def test_a_number_too_long_for_an_integer_stays_text() -> None:
    assert read("a: " + "9" * 5000).value == {"a": "9" * 5000}


# ── models ──


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid")
    restart: str
    hold: int = Field(default=0, alias="for")


class _Playbook(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    steps: list[_Step] = []
    labels: dict[str, str] = {}
    limit: int | None = None


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        parse(read(text), _Playbook)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nam: a\nname: b", ['spec.yml:1: unknown key "nam"; did you mean "name"?']),
        ("name: a\nzzz: 1", ['spec.yml:2: unknown key "zzz"; known here: labels, limit, name, steps']),
        ("steps: []", ['spec.yml:1: "name" is missing']),
        ("name: 3", ['spec.yml:1: "name" must be text; put quotes around 3']),
        ("name: a\nsteps: x", ['spec.yml:2: "steps" must be a list, not text']),
        ("name: a\nlabels: []", ['spec.yml:2: "labels" must be a mapping (key: value), not a list']),
        ("name: a\nsteps:\n- restart: x\n  fro: 1", ['spec.yml:4: unknown key "fro"; did you mean "for"?']),
        ("name: a\nsteps:\n- restart: x\n- {}", ['spec.yml:4: "restart" is missing']),
        ("- a", ["must be a mapping"]),
        ("a", ["must be a mapping"]),
    ],
)
def test_a_mistake_names_the_line_the_thing_and_the_way_out(text: str, said: list[str]) -> None:
    found = mistakes(text)
    assert len(found) == len(said)
    assert all(wanted in line for wanted, line in zip(said, found, strict=True))


def test_all_mistakes_are_told_in_the_order_of_their_lines() -> None:
    found = mistakes("name: 1\nsteps:\n- restrat: x\nlimit: many\n")
    assert [int(line.split(":")[1]) for line in found] == sorted(int(line.split(":")[1]) for line in found)
    assert len(found) == 4


def test_a_part_of_a_document_is_parsed_with_its_own_lines() -> None:
    document = read("playbooks:\n- name: a\n- name: b\n  typo: 1\n")
    assert parse(document, _Playbook, at=("playbooks", 0)).name == "a"
    with pytest.raises(ConfigErrors, match=r"spec\.yml:4: unknown key"):
        parse(document, _Playbook, at=("playbooks", 1))


def test_an_empty_document_lacks_what_the_model_needs() -> None:
    assert mistakes("") == ['spec.yml:1: "name" is missing']


@given(PLAIN)
def test_any_value_is_the_model_or_config_errors(value: object) -> None:
    with suppress(ConfigErrors):
        assert isinstance(parse(read(json.dumps(value)), _Playbook), _Playbook)


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert did_you_mean("restrat", ["restart", "scale"]) == '; did you mean "restart"?'
    assert did_you_mean("xyz", ["restart", "scale"]) == "; known here: restart, scale"
    assert did_you_mean("xyz", []) == ""
