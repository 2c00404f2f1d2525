"""Templates: what they may say, and that neither they nor the labels in them can do anything else."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.render import LARGEST, LONGEST, Names, Unrenderable, check, render, render_url

CONTEXT: dict[str, Any] = {
    "labels": Names({"service": "orders", "items": "a label called items", "evil": "{{ labels.service }}"}),
    "annotations": Names({"value": "3.14159"}),
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{ labels.service }}", "orders"),
        ("{{ labels['service'] }}", "orders"),
        ("{{ labels.items }}", "a label called items"),
        ("{{ labels.service | upper }}", "ORDERS"),
        ("{{ labels.nope | default('?') }}", "?"),
        ("{{ annotations.value | float | round(2) }}", "3.14"),
        ("{% if labels.service == 'orders' %}yes{% else %}no{% endif %}", "yes"),
        ("{% if labels.nope is defined %}yes{% else %}no{% endif %}", "no"),
        ("{{ 'a' if labels.service else 'b' }}", "a"),
        ("{{ labels.service ~ '-' ~ labels.items }}", "orders-a label called items"),
        ("{{ labels.evil }}", "{{ labels.service }}"),
    ],
)
def test_a_template_is_filled_in(template: str, text: str) -> None:
    check(template)
    assert render(template, CONTEXT) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ labels.service",
        "{% if %}",
        "{{ labels.service.upper() }}",
        "{{ labels() }}",
        "{{ range(9) }}",
        "{% for x in labels %}{% endfor %}",
        "{% set x = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{{ 'a' * 300000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%0500000000d' % 1 }}",
        "{{ '%0500000000d' | format(1) }}",
        "{{ labels | list }}",
        "{{ labels | map(attribute='x') }}",
        "{{ 'x' | center(300000000) }}",
        "{{ 'x' | attr('__class__') }}",
        "{{ [1, 2] }}",
        "{{ {'a': 1} }}",
        "{{ labels.service[0:3] }}",
        "{{ -1 }}",
        "{% raw %}x{% endraw %}{{ nosuch | nosuch }}",
        "x" * (LONGEST + 1),
        "{{ (" + "(" * 5000 + "1" + ")" * 5000 + ") }}",
    ],
)
def test_loops_calls_arithmetic_and_growth_are_refused_when_the_file_is_read(template: str) -> None:
    with pytest.raises(ValueError, match=r"^(a template|not a template)"):
        check(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ labels.nope }}",
        "{{ nope }}",
        "{{ labels.__class__ }}",
        "{{ labels._values }}",
        "{{ labels.service.__class__ }}",
        "{{ labels['__init__'] }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ self }}{{ self.__init__ }}",
        "{{ labels.service | int | round('x') }}",
    ],
)
def test_a_name_that_is_not_there_or_not_ours_is_an_error_not_an_empty_text(template: str) -> None:
    check(template)
    with pytest.raises(Unrenderable):
        render(template, CONTEXT)


def test_a_name_that_is_not_there_is_told() -> None:
    for template in ("{{ labels.nope }}", "{{ labels['nope'] }}", "{{ nope }}"):
        with pytest.raises(Unrenderable, match='the template names "nope", which is not there'):
            render(template, CONTEXT)


def test_what_grows_too_large_is_cut_off_in_time() -> None:
    context = {"labels": Names({"a": "x" * (LARGEST // 2)})}
    begun = time.process_time()
    with pytest.raises(Unrenderable, match="renders to more than"):
        render("{{ labels.a }}" * 1000, context)
    assert time.process_time() - begun < 2


def test_a_filter_cannot_make_a_large_text_of_a_small_one() -> None:
    for template in ("{{ 1 | round(100000000) }}", "{{ 1e308 | round(2) }}", "{{ 1 | int | string | title }}"):
        assert len(render(template, CONTEXT)) < 400
    with pytest.raises(Unrenderable):
        render("{{ 1e308 | round(-400) }}{{ 'x' | round(-400) }}", CONTEXT)


@pytest.mark.parametrize(
    "value", ["../../images/prune?x=", "a/b", "a?b#c", "a b", "%2e%2e", "@evil.example", "ü", "\r\nHost: evil", "\\"]
)
def test_in_a_url_a_label_adds_no_path_query_or_host(value: str) -> None:
    url = render_url("http://host.example/{{ labels.a }}/restart", {"labels": Names({"a": value})})
    prefix, inside, suffix = url[:20], url[20:-8], url[-8:]
    assert (prefix, suffix) == ("http://host.example/", "/restart")
    assert not set(inside) & set("/?#@\\ \r\n:")


@pytest.mark.parametrize("value", [".", ".."])
def test_in_a_url_a_label_takes_no_step_back(value: str) -> None:
    for template in ("http://host.example/a/{{ labels.a }}", "http://host.example/{{ labels.a }}/b?c"):
        with pytest.raises(Unrenderable, match=r"has a segment \. or \.\."):
            render_url(template, {"labels": Names({"a": value})})
    assert render_url("http://host.example/{{ labels.a }}", {"labels": Names({"a": "v1.2"})}).endswith("/v1.2")


@given(st.text(max_size=50))
def test_a_label_is_data_whatever_it_holds(value: str) -> None:
    assert render("<{{ labels.a }}>", {"labels": Names({"a": value})}) == f"<{value}>"


@given(st.text(alphabet="{}%| labesfor.xin()[]'\"0123456789-_+*~", max_size=60))
def test_whatever_is_written_is_refused_or_renders_or_says_why_not(template: str) -> None:
    try:
        check(template)
        render(template, CONTEXT)
    except (ValueError, Unrenderable):
        return
