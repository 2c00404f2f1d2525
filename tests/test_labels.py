"""Labels in queries: nothing that a label holds ends its quotes."""

from typing import Any

import promql_parser
from hypothesis import given
from hypothesis import strategies as st

from receiver.labels import quoted, selector

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)


@given(TEXT)
def test_a_label_stays_one_value_whatever_it_holds(value: str) -> None:
    parsed: Any = promql_parser.parse(selector("up", {"job": value}))
    (matcher,) = parsed.matchers.matchers
    assert (parsed.name, matcher.name, matcher.value) == ("up", "job", value)


def test_quotes_backslashes_and_line_feeds_are_escaped() -> None:
    assert quoted('a"b\\c\nd') == '"a\\"b\\\\c\\nd"'
