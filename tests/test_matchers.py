"""Matchers read and fit as Alertmanager's do."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.matchers import Matcher, all_match
from tests.bed.alertmanager import amtool


@pytest.mark.parametrize(
    ("text", "name", "operator", "value"),
    [
        ('alertname="LatencyAnomaly"', "alertname", "=", "LatencyAnomaly"),
        ("severity=~high|critical", "severity", "=~", "high|critical"),
        (' severity !~ "high" ', "severity", "!~", "high"),
        ("a!=b", "a", "!=", "b"),
        ('a=""', "a", "=", ""),
        ("a=", "a", "=", ""),
        (r'a="say \"hi\"\n\\"', "a", "=", 'say "hi"\n\\'),
        ('a="{}, "', "a", "=", "{}, "),
        ("a=~b=c", "a", "=~", "b=c"),
    ],
)
def test_a_matcher_is_read_in_alertmanagers_syntax(text: str, name: str, operator: str, value: str) -> None:
    matcher = Matcher.parse(text)
    assert (matcher.name, matcher.operator, matcher.value) == (name, operator, value)


@pytest.mark.parametrize("text", ["", "a", "=b", "1a=b", "a==b c", 'a="b', "a=b,c=d", "{a=b}", 'a="b"c', "a-b=c"])
def test_what_is_no_matcher_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='is not a matcher; write for example alertname="LatencyAnomaly"'):
        Matcher.parse(text)


@pytest.mark.parametrize("pattern", ["(", "[", "a{2,1}", "(?=a)", r"(a)\1"])
def test_a_bad_or_backtracking_expression_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression: "):
        Matcher.parse(f"a=~'{pattern}'" if '"' in pattern else f'a=~"{pattern.replace(chr(92), chr(92) * 2)}"')


@pytest.mark.parametrize(
    ("text", "fits", "fits_not"),
    [
        ('a="b"', ["b"], ["", "bb", "B"]),
        ('a!="b"', ["", "bb"], ["b"]),
        ('a=~"b|c"', ["b", "c"], ["", "bc", "xb", "b\n"]),
        ('a!~"b.*"', ["", "ab"], ["b", "bc"]),
        ('a=~".+"', ["b"], [""]),
        ('a=~""', [""], ["b"]),
        ('a=~"(?i)HIGH"', ["high"], ["highest"]),
    ],
)
def test_a_matcher_is_anchored_and_takes_a_missing_label_for_empty(
    text: str, fits: list[str], fits_not: list[str]
) -> None:
    matcher = Matcher.parse(text)
    assert all(matcher.matches({"a": value}) for value in fits)
    assert not any(matcher.matches({"a": value}) for value in fits_not)
    assert matcher.matches({}) == matcher.matches({"a": ""})


def test_all_matchers_must_fit() -> None:
    matchers = [Matcher.parse("a=b"), Matcher.parse("c=d")]
    assert all_match(matchers, {"a": "b", "c": "d"})
    assert not all_match(matchers, {"a": "b"})
    assert all_match([], {})


def test_a_hostile_label_cannot_make_an_expression_slow() -> None:
    begun = time.process_time()
    assert not Matcher.parse('a=~"(a+)+b"').matches({"a": "a" * 50_000})
    assert time.process_time() - begun < 1


@given(st.text(), st.sampled_from(["=", "!="]))
def test_a_matcher_reads_back_what_it_prints(value: str, operator: str) -> None:
    written = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    matcher = Matcher.parse(f'a{operator}"{written}"')
    assert matcher.value == value
    assert str(Matcher.parse(str(matcher))) == str(matcher)


def test_amtool_reads_what_it_prints(tmp_path_factory: pytest.TempPathFactory) -> None:
    texts = [str(Matcher.parse(text)) for text in ('a="x y"', r'b=~"c|\"d\""', 'e!="\\n"', 'f!~".+"')]
    config = tmp_path_factory.mktemp("am") / "alertmanager.yml"
    matchers = "".join(f"\n    - '{text}'" for text in texts)
    config.write_text(
        f"route:\n  receiver: a\n  routes:\n  - receiver: b\n    matchers:{matchers}\n"
        "receivers: [{name: a}, {name: b}]\n"
    )
    test = ("config", "routes", "test", f"--config.file={config}")
    amtool(*test, "--verify.receivers=b", "a=x y", "b=c", "e=z")
    amtool(*test, "--verify.receivers=a", "a=x", "b=c", "e=z")
