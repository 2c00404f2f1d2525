"""Durations are Prometheus' own: what it writes we read, what we write it reads, and nothing is lost on the way."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from receiver.durations import LONGEST, Duration, format_duration, parse_duration
from tests.bed.prometheus import promtool

MILLISECOND = timedelta(milliseconds=1)
DURATIONS = st.integers(0, LONGEST // MILLISECOND).map(lambda count: count * MILLISECOND)


@given(DURATIONS)
def test_writing_and_reading_a_duration_gives_the_same(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.text() | st.from_regex(r"\A(\d{1,20}(ms|[ywdhms])){0,4}\Z"))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert timedelta() <= parse_duration(text) <= LONGEST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800)],
)
def test_prometheus_examples_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=7), "1w"),
        (timedelta(days=8), "8d"),
        (timedelta(days=365), "1y"),
        (timedelta(seconds=1.5), "1s500ms"),
    ],
)
def test_durations_are_written_as_people_would(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "5", "-5m", "+5m", "5 m", "5m ", "5m\n", "1m1h", "1h1h", "1.5h", "m", "5M", "５m", "٣s", "1s5", "00"],
)
def test_what_prometheus_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write for example 30s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["101y", "9" * 30 + "y", "9" * 5000 + "s"])
def test_a_duration_beyond_a_century_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"longer than 100 years|not a duration"):
        parse_duration(text)


def test_promtool_reads_what_we_write(tmp_path: Path) -> None:
    durations = [timedelta(milliseconds=3**power) for power in range(1, 26)]
    rules = "".join(
        f"  - {{record: 'a:b:c{index}', expr: 'rate(x[{format_duration(duration)}])'}}\n"
        for index, duration in enumerate(durations)
    )
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: a\n  rules:\n{rules}")
    promtool("check", "rules", tmp_path / "rules.yml")


class _Shape(BaseModel):
    hold: Duration


def test_a_field_reads_text_and_takes_a_timedelta() -> None:
    assert _Shape.model_validate({"hold": "5m"}).hold == _Shape(hold=timedelta(minutes=5)).hold


@pytest.mark.parametrize("value", [5, 5.0, True, None, ["5m"]])
def test_a_field_refuses_what_has_no_unit(value: object) -> None:
    with pytest.raises(ValidationError, match="is not a duration; write for example"):
        _Shape.model_validate({"hold": value})


def test_a_field_is_written_as_text() -> None:
    assert _Shape(hold=timedelta(minutes=5)).model_dump(mode="json") == {"hold": "5m"}
