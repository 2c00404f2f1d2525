"""Alertmanager's time intervals, read as it reads them; here a range of times may also cross midnight.

Playbooks name them to say when they may act; guards ask whether one holds, and pages when that changes next.
"""

import difflib
import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from itertools import product
from typing import Annotated, NamedTuple, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from receiver.documents import Part

# https://prometheus.io/docs/alerting/latest/configuration/#time_interval, and its order: a week begins on sunday
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAY = 24 * 60  #: minutes
AHEAD = timedelta(days=8)  #: how far `next_change` looks: a week, and a day for the clocks


class Range(NamedTuple):
    """The numbers from the first to the last, both of them in it."""

    first: int
    last: int


@dataclass(frozen=True)
class _Unit:
    """What a field counts, and how Alertmanager writes it."""

    noun: str
    way_out: str
    numbers: Collection[int] = ()
    names: Mapping[str, int] = field(default_factory=dict)
    turn: str = ""  #: where counting begins again

    def read(self, value: object) -> Range:
        """`monday`, `monday:friday`, 5, `-3:-1`; ValueError with the way out otherwise."""
        begin, colon, end = str(value).lower().partition(":")
        first = self._number(begin)
        last = self._number(end) if colon else first
        across = first > 0 > last
        # Alertmanager's own reckoning, a day stricter than the shortest month
        if across and first > 28 + last:
            raise ValueError(f'"{value}" may end before it begins; count from one end, as "28:31" or "-4:-1" do')
        if first < 0 < last or (first > last and not across):
            raise ValueError(self._two(value, first, last))
        return Range(first, last)

    def _number(self, text: str) -> int:
        if text in self.names:
            return self.names[text]
        if re.fullmatch(r"[-+]?[0-9]{1,4}", text) and int(text) in self.numbers:
            return int(text)
        raise ValueError(f'"{text}" is no {self.noun}; {_nearest(text, self.names, self.way_out)}')

    def _two(self, value: object, first: int, last: int) -> str:
        if not self.turn:
            return f'"{value}" ends before it begins; write "{last}:{first}"'
        known = [*self.names.values(), *self.numbers]
        until = self._written(first, -1 if first < 0 else max(known))
        since = self._written(min(number for number in known if last < 0 or number >= 0), last)
        return f'"{value}" goes past the end of the {self.turn}; write two: "{until}", "{since}"'

    def _written(self, first: int, last: int) -> str:
        names = {number: name for name, number in self.names.items()}
        return ":".join(dict.fromkeys(names.get(number, str(number)) for number in (first, last)))


_WEEKDAY = _Unit(
    "weekday",
    'write for example "monday" or "monday:friday"',
    names={name: number for number, name in enumerate(WEEKDAYS)},
    turn="week, which is saturday",
)
_DAY_OF_MONTH = _Unit(
    "day of a month",
    "write 1 to 31, or -1 to -31 counted from the month's end",
    numbers=(*range(-31, 0), *range(1, 32)),
    turn="month",
)
_MONTH = _Unit(
    "month",
    "write january to december, or 1 to 12",
    numbers=range(1, 13),
    names={name: number for number, name in enumerate(MONTHS, start=1)},
    turn="year",
)
_YEAR = _Unit("year", 'write for example 2026 or "2026:2028"', numbers=range(1, 10_000))


def _minute(value: object) -> int:
    if not isinstance(value, str):  # other readers of YAML take 18:00 for a number
        raise ValueError(f'{value!r} is no time; write it in quotes, for example "08:00"')
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", value):
        raise ValueError(f'"{value}" is no time; write for example "08:00", at most "24:00"')
    return int(value[:2]) * 60 + int(value[3:])


def _located(name: str) -> str:
    _zone(name)
    return name


Item = TypeVar("Item")


def _some(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:  # for Alertmanager it would never hold, which nobody means
        raise ValueError("is empty, so that it would never hold; name something, or leave the key out")
    return items


Some = Annotated[tuple[Item, ...], AfterValidator(_some)]
_RANGE = WithJsonSchema({"type": ["string", "integer"], "examples": ["monday:friday", "1:5"]})

Minute = Annotated[
    int, BeforeValidator(_minute), WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"})
]
Weekdays = Annotated[Range, BeforeValidator(_WEEKDAY.read), _RANGE]
DaysOfMonth = Annotated[Range, BeforeValidator(_DAY_OF_MONTH.read), _RANGE]
Months = Annotated[Range, BeforeValidator(_MONTH.read), _RANGE]
Years = Annotated[Range, BeforeValidator(_YEAR.read), _RANGE]


class TimeRange(Part):
    """Minutes of a day by the clock on the wall, without the last one; past midnight when the end comes first."""

    start_time: Minute = Field(examples=['"08:00"'])
    end_time: Minute = Field(examples=['"18:00"'])

    @model_validator(mode="after")
    def _some_minutes(self) -> Self:
        if self.start_time == DAY:
            raise ValueError('"24:00" can only be an end_time; begin at "00:00"')
        if self.start_time == self.end_time:
            raise ValueError('"start_time" and "end_time" are the same; the whole day is "00:00" to "24:00"')
        return self

    def day(self, local: datetime) -> date | None:
        """The day on which the range began that a moment lies in, if it lies in one."""
        minute = local.hour * 60 + local.minute
        if self.start_time < self.end_time:
            return local.date() if self.start_time <= minute < self.end_time else None
        if minute >= self.start_time:
            return local.date()
        return local.date() - timedelta(days=1) if minute < self.end_time else None


_WHOLE_DAY = TimeRange.model_validate({"start_time": "00:00", "end_time": "24:00"})


class TimeInterval(Part):
    """Holds when every field that is given does, and a field when one of its ranges does."""

    times: Some[TimeRange] = ()
    weekdays: Some[Weekdays] = ()
    days_of_month: Some[DaysOfMonth] = ()
    months: Some[Months] = ()
    years: Some[Years] = ()
    location: Annotated[str, AfterValidator(_located)] = "UTC"  #: an IANA name, or `Local` for the system's own zone

    def holds(self, moment: datetime) -> bool:
        local = moment.astimezone(_zone(self.location))
        days = (each.day(local) for each in self.times or [_WHOLE_DAY])
        return any(day is not None and self._on(day) for day in days)

    def boundaries(self, now: datetime) -> Iterator[datetime]:
        """Every moment from `now` on, for as long as `next_change` looks, at which `holds` can change; others too."""
        zone = _zone(self.location)
        today = now.astimezone(zone).date()
        minutes = {minute % DAY for each in self.times or [_WHOLE_DAY] for minute in (each.start_time, each.end_time)}
        # a day more at both ends, as clocks change dates; both folds, as an hour may come twice
        for days, minute, fold in product(range(-1, AHEAD.days + 2), minutes, (0, 1)):
            clock = time(*divmod(minute, 60), tzinfo=zone, fold=fold)
            yield datetime.combine(today + timedelta(days=days), clock).astimezone(UTC)
        for days in range(AHEAD.days):
            yield _shift(now + timedelta(days=days), zone)

    def _on(self, day: date) -> bool:
        _, length = monthrange(day.year, day.month)
        days_of_month = [
            Range(*(number if number > 0 else length + 1 + number for number in days)) for days in self.days_of_month
        ]
        return (
            _within(day.isoweekday() % 7, self.weekdays)
            and _within(day.day, days_of_month)
            and _within(day.month, self.months)
            and _within(day.year, self.years)
        )


class NamedIntervals(Part):
    """What playbooks name; it holds when one of its intervals does."""

    name: str = Field(min_length=1, examples=["daytime"])
    time_intervals: Some[TimeInterval] = Field(examples=['[{weekdays: ["monday:friday"]}]'])

    def holds(self, moment: datetime) -> bool:
        return any(interval.holds(moment) for interval in self.time_intervals)


def next_change(intervals: Sequence[NamedIntervals], moment: datetime) -> datetime | None:
    """The minute, in UTC, at which it next changes whether any of them holds; None if not within eight days."""
    now = moment.astimezone(UTC).replace(second=0, microsecond=0)

    def holds(at: datetime) -> bool:
        return any(named.holds(at) for named in intervals)

    held = holds(now)
    found = {at for named in intervals for interval in named.time_intervals for at in interval.boundaries(now)}
    ahead = sorted(at for at in found if now < at <= now + AHEAD)
    return next((at for at in ahead if holds(at) != held), None)


def _within(number: int, ranges: Sequence[Range]) -> bool:
    return not ranges or any(first <= number <= last for first, last in ranges)


def _shift(since: datetime, zone: tzinfo | None) -> datetime:
    """The minute within a day at which the zone's clocks are put forward or back, or the day's end.

    A range that begins or ends in an hour that they leap over begins or ends here.
    """
    offset = since.astimezone(zone).utcoffset()

    def shifted(minutes: int) -> bool:
        return (since + timedelta(minutes=minutes)).astimezone(zone).utcoffset() != offset

    return since + timedelta(minutes=bisect_left(range(DAY), 1, key=shifted))


@cache
def _zone(name: str) -> tzinfo | None:
    """None is the system's own zone, for `astimezone` and for a time without one alike."""
    if name == "Local":
        return None
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a directory
        near = _nearest(name, available_timezones(), "write an IANA name such as Europe/Berlin")
        raise ValueError(f'"{name}" is no time zone; {near}') from None


def _nearest(word: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f'did you mean "{near[0]}"?' if near else otherwise
