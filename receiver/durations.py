"""Prometheus durations ("5m", "1h30m", "500ms") to timedelta and back.

Called wherever a file, a rule or a page holds a duration; the two directions are exact inverses down to the
millisecond.
"""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

# https://prometheus.io/docs/prometheus/latest/configuration/configuration/#duration
UNITS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
# ASCII digits alone, and no more than a number that a century of milliseconds needs.
PATTERN = re.compile("".join(f"(?:([0-9]{{1,15}}){unit})?" for unit in UNITS))
LONGEST = timedelta(days=100 * 365)


def parse_duration(text: str) -> timedelta:
    """`"1h30m"` as a timedelta; ValueError with the way out otherwise."""
    match = PATTERN.fullmatch(text) if text != "0" else None
    if text == "0":
        return timedelta()
    if not match or not text:
        raise ValueError(f'"{text}" is not a duration; write for example 30s, 5m, 1h30m or 2d')
    milliseconds = sum(int(count) * size for count, size in zip(match.groups(), UNITS.values(), strict=True) if count)
    if milliseconds > LONGEST / timedelta(milliseconds=1):
        raise ValueError(f'"{text}" is longer than 100 years')
    return timedelta(milliseconds=milliseconds)


def format_duration(duration: timedelta) -> str:
    """A timedelta as Prometheus prints it: 90 minutes are `1h30m`, seven days `1w`, nothing `0s`."""
    rest = round(duration / timedelta(milliseconds=1))
    parts = []
    for unit, size in UNITS.items():
        if unit in {"y", "w"} and rest % size:  # 8d reads better than 1w1d
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _read(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 5m, 1h30m or 2d")
    return parse_duration(value)


def at_most(longest: timedelta) -> AfterValidator:
    """For a Duration that is longer than nothing, and not longer than this."""

    def bounded(value: timedelta) -> timedelta:
        if not timedelta() < value <= longest:
            raise ValueError(f"must be longer than 0s, and not longer than {format_duration(longest)}")
        return value

    return AfterValidator(bounded)


_WRITTEN = {"type": "string", "pattern": "^(0|([0-9]+(y|w|d|h|m|s|ms))+)$", "examples": ["5m", "1h30m"]}

Duration = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(format_duration), WithJsonSchema(_WRITTEN)]
"""A pydantic field type: durations are read and written in Prometheus' own syntax."""
