"""Time intervals: what Alertmanager reads is read, what it means is meant, and a night belongs to its evening."""

import json
import time
from calendar import day_name, monthrange
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from receiver import documents
from receiver.errors import ConfigErrors
from receiver.time_intervals import NamedIntervals, TimeInterval, next_change
from tests.bed.alertmanager import amtool

BERLIN = "Europe/Berlin"
MINUTE = timedelta(minutes=1)


def named(*intervals: dict[str, Any]) -> NamedIntervals:
    return NamedIntervals.model_validate({"name": "some", "time_intervals": intervals})


def between(start: str, end: str) -> list[dict[str, str]]:
    return [{"start_time": start, "end_time": end}]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN))


NIGHT = between("22:00", "06:00")
OFFICE = named({"weekdays": ["monday:friday"], "times": between("08:00", "18:00"), "location": BERLIN})

# ── what holds ──


@pytest.mark.parametrize(
    ("interval", "holds", "not_"),
    [
        ({}, ["2026-10-25 00:00", "2026-02-28 23:59"], []),
        ({"times": between("08:00", "18:00")}, ["2026-10-07 08:00", "2026-10-07 17:59:59"], ["2026-10-07 07:59:59"]),
        ({"times": between("08:00", "18:00")}, [], ["2026-10-07 18:00"]),
        ({"times": between("18:00", "24:00")}, ["2026-10-07 23:59:59"], ["2026-10-08 00:00"]),
        (
            {"times": [*between("06:00", "07:00"), *between("08:00", "09:00")]},
            ["2026-10-07 08:30"],
            ["2026-10-07 07:30"],
        ),
        ({"weekdays": ["monday:friday"]}, ["2026-10-05 00:00", "2026-10-09 23:59"], ["2026-10-10 00:00"]),
        ({"weekdays": ["sunday", "Saturday"]}, ["2026-10-10 12:00", "2026-10-11 12:00"], ["2026-10-12 12:00"]),
        ({"days_of_month": [1, "14:15"]}, ["2026-10-01 12:00", "2026-10-15 12:00"], ["2026-10-16 12:00"]),
        ({"days_of_month": [-1]}, ["2026-02-28 00:00", "2028-02-29 00:00"], ["2028-02-28 00:00", "2026-03-01 00:00"]),
        ({"days_of_month": ["-3:-1"]}, ["2026-02-26 00:00", "2026-04-28 00:00"], ["2026-02-25 23:59"]),
        ({"days_of_month": ["-31:-29"]}, ["2026-10-03 00:00", "2026-04-02 00:00"], ["2026-02-01 00:00"]),
        ({"days_of_month": ["20:-2"]}, ["2026-02-27 00:00", "2026-10-30 00:00"], ["2026-02-28 00:00"]),
        ({"days_of_month": ["30:31"]}, ["2026-04-30 00:00"], ["2026-02-28 00:00", "2026-05-01 00:00"]),
        ({"months": ["june:AUGUST", 12]}, ["2026-06-01 00:00", "2026-08-31 23:59"], ["2026-05-31 23:59"]),
        ({"months": ["1:3", "12"]}, ["2026-03-31 00:00", "2026-12-01 00:00"], ["2026-04-01 00:00"]),
        ({"years": ["2026:2027", 2030]}, ["2026-01-01 00:00", "2030-12-31 00:00"], ["2028-01-01 00:00"]),
        (
            {"weekdays": ["friday"], "days_of_month": [13]},
            ["2026-11-13 00:00"],
            ["2026-10-13 00:00", "2026-11-20 00:00"],
        ),
        ({"times": between("08:00", "18:00"), "location": BERLIN}, ["2026-07-01 06:00"], ["2026-07-01 16:00"]),
        ({"times": between("08:00", "18:00"), "location": BERLIN}, ["2026-12-01 07:00"], ["2026-12-01 06:59"]),
        ({"times": between("08:00", "18:00"), "location": ""}, ["2026-07-01 08:00"], ["2026-07-01 18:00"]),
        # 22:30 in UTC is the next day in Berlin
        ({"weekdays": ["saturday"], "location": BERLIN}, ["2026-10-09 22:30"], ["2026-10-10 22:30"]),
    ],
)
def test_every_field_must_fit_and_of_each_one_range(
    interval: dict[str, Any], holds: list[str], not_: list[str]
) -> None:
    assert [at for at in (*holds, *not_) if named(interval).holds(utc(at))] == holds


@pytest.mark.parametrize(
    ("interval", "holds", "not_"),
    [
        (
            {"weekdays": ["friday"]},
            ["2026-10-09 22:00", "2026-10-09 23:59", "2026-10-10 00:00", "2026-10-10 05:59"],
            ["2026-10-09 00:00", "2026-10-09 05:59", "2026-10-09 21:59", "2026-10-10 06:00", "2026-10-10 22:00"],
        ),
        ({"days_of_month": [-1]}, ["2026-02-28 22:00", "2026-03-01 05:59"], ["2026-02-28 05:59", "2026-03-01 22:00"]),
        ({"months": ["december"]}, ["2026-12-31 23:00", "2027-01-01 05:00"], ["2026-12-01 05:00"]),
        ({"years": [2026]}, ["2027-01-01 05:59"], ["2026-01-01 05:59", "2027-01-01 22:00"]),
    ],
)
def test_what_crosses_midnight_belongs_to_the_day_before(
    interval: dict[str, Any], holds: list[str], not_: list[str]
) -> None:
    assert [at for at in (*holds, *not_) if named({"times": NIGHT, **interval}).holds(utc(at))] == holds


def test_a_range_until_midnight_may_say_so_in_two_ways() -> None:
    for end in ("00:00", "24:00"):
        evening = named({"times": between("22:00", end), "weekdays": ["friday"]})
        assert evening.holds(utc("2026-10-09 23:59"))
        assert not evening.holds(utc("2026-10-10 00:00"))


def test_names_hold_when_one_of_their_intervals_does() -> None:
    both = named({"weekdays": ["saturday"]}, {"times": between("20:00", "21:00")})
    assert both.holds(utc("2026-10-10 12:00"))
    assert both.holds(utc("2026-10-09 20:00"))
    assert not both.holds(utc("2026-10-09 12:00"))


def test_an_hour_that_does_not_exist_never_holds() -> None:
    lost = named({"times": between("02:00", "03:00"), "location": BERLIN})
    assert not any(lost.holds(utc("2026-03-29 00:00") + count * MINUTE) for count in range(4 * 60))
    assert next_change([lost], utc("2026-03-28 02:00")) == utc("2026-03-30 00:00")


def test_an_hour_that_comes_twice_holds_twice() -> None:
    twice = named({"times": between("02:00", "03:00"), "location": BERLIN})
    assert sum(twice.holds(utc("2026-10-25 00:00") + count * MINUTE) for count in range(4 * 60)) == 120
    assert next_change([twice], utc("2026-10-25 00:00")) == utc("2026-10-25 02:00")


# The system's own zone is the whole process', so that no other test may see it changed. A past year in its test: rules
# to come differ between the releases of the zones that C and Python read.
@pytest.fixture
def havana(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/Havana")
        time.tzset()
        yield "America/Havana"
    time.tzset()


def test_local_is_the_systems_own_zone(havana: str) -> None:
    local, same = (named({"times": between("00:15", "00:45"), "location": zone}) for zone in ("Local", havana))
    for start in ("2019-03-05 12:20", "2019-10-30 12:20"):  # clocks go forward and back at midnight there
        at: datetime | None = utc(start)
        while at and at < utc(start) + timedelta(days=6):
            assert local.holds(at) == same.holds(at)
            assert next_change([local], at) == next_change([same], at)
            at = next_change([same], at)
        assert at


# ── when it changes ──


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-10-07 07:59:59.999", "2026-10-07 08:00"),
        ("2026-10-07 08:00", "2026-10-07 18:00"),
        ("2026-10-07 17:59:59", "2026-10-07 18:00"),
        ("2026-10-09 18:00", "2026-10-12 08:00"),
        ("2026-10-23 18:00", "2026-10-26 08:00"),
        ("2026-03-27 18:00", "2026-03-30 08:00"),
    ],
)
def test_the_next_change_is_by_the_clock_on_the_wall(now: str, then: str) -> None:
    change = next_change([OFFICE], berlin(now))
    assert change == berlin(then)
    assert change.tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "end", "change"),
    [("02:30", "12:00", "2026-03-29 01:00"), ("01:00", "02:30", "2026-03-29 01:00")],
)
def test_what_begins_or_ends_in_the_lost_hour_does_so_when_clocks_leap(start: str, end: str, change: str) -> None:
    lost = named({"times": between(start, end), "location": BERLIN})
    assert next_change([lost], utc("2026-03-29 00:30")) == utc(change)


def test_a_boundary_that_comes_twice_is_one_both_times() -> None:
    twice = named({"times": between("01:00", "02:30"), "location": BERLIN})
    changes: list[datetime] = []
    at = next_change([twice], utc("2026-10-24 12:00"))
    while at and len(changes) < 4:
        changes.append(at)
        at = next_change([twice], at)
    assert changes == [utc(f"2026-10-{at}") for at in ("24 23:00", "25 00:30", "25 01:00", "25 01:30")]


def test_clocks_that_go_back_past_midnight_pass_the_evening_again() -> None:
    late = named({"times": between("23:30", "23:45"), "location": "America/St_Johns"})
    assert next_change([late], utc("2006-10-29 02:30")) == utc("2006-10-29 03:00")


def test_one_interval_that_takes_over_from_another_is_no_change() -> None:
    day, night = named({"times": between("06:00", "22:00")}), named({"times": NIGHT})
    assert next_change([day], utc("2026-10-07 12:00")) == utc("2026-10-07 22:00")
    assert next_change([day, night], utc("2026-10-07 12:00")) is None


def test_nothing_never_changes() -> None:
    assert next_change([], utc("2026-10-07 12:00")) is None
    assert next_change([named({})], utc("2026-10-07 12:00")) is None


def test_what_is_more_than_eight_days_away_is_not_told() -> None:
    november = named({"months": ["november"]})
    assert next_change([november], utc("2026-10-24 00:00")) == utc("2026-11-01 00:00")
    assert next_change([november], utc("2026-10-24 12:00")) == utc("2026-11-01 00:00")
    assert next_change([november], utc("2026-10-23 23:59")) is None
    # eight days of which one has 23 hours end on the ninth date
    thirtieth = named({"days_of_month": [30], "location": BERLIN})
    assert next_change([thirtieth], berlin("2026-03-21 23:30")) == berlin("2026-03-30 00:00")


# ── against a simple model: for every local day, the minutes that it owns, written out ──

ZONES = [
    *("UTC", BERLIN, "America/St_Johns", "America/Havana", "America/Sao_Paulo", "Asia/Beirut", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"),
]
SHIFTS = [
    *("2026-03-29 01:00", "2026-10-25 01:00"),  # Berlin
    *("2006-10-29 02:31", "2007-03-11 03:31"),  # St John's: at one minute past midnight
    *("2019-03-10 05:00", "2019-11-03 05:00"),  # Havana: at midnight, and back to it
    *("2018-11-04 03:00", "2018-02-18 02:00"),  # São Paulo: from midnight back into the day before
    *("2026-04-04 15:00", "2026-10-03 15:30"),  # Lord Howe: by half an hour
    "2011-12-30 10:00",  # Apia: a whole day left out
]
# Where clocks leap and around midnight there is more to get wrong.
MINUTES = st.sampled_from([0, 1, 30, 60, 90, 119, 120, 150, 180, 1380, 1410, 1439]) | st.integers(0, 1439)
MOMENTS = st.builds(
    lambda seconds: utc("2000-01-01 00:00") + timedelta(seconds=seconds), st.integers(0, 37 * 365 * 86_400)
) | st.builds(
    lambda shift, minutes: utc(shift) - minutes * MINUTE,
    st.sampled_from(SHIFTS),
    st.integers(-180, 180) | st.integers(-180, 9 * 24 * 60),
)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def ranges(low: int, high: int) -> st.SearchStrategy[list[str]]:
    pairs = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    return st.lists(pairs.map(lambda pair: f"{pair[0]}:{pair[1]}"), min_size=1, max_size=2)


TIMES = st.lists(
    st.tuples(MINUTES, MINUTES | st.just(1440))
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: {"start_time": clock(pair[0]), "end_time": clock(pair[1])}),
    min_size=1,
    max_size=3,
)
NAMES = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
WEEKDAYS = ranges(0, 6).map(
    lambda found: [":".join(NAMES[int(number)] for number in each.split(":")) for each in found]
)
INTERVALS = st.fixed_dictionaries(
    {"location": st.sampled_from(ZONES)},
    optional={
        "times": TIMES,
        "weekdays": WEEKDAYS,
        "days_of_month": ranges(1, 31) | ranges(-31, -1),
        "months": ranges(1, 12),
        "years": ranges(2005, 2036),
    },
)


def both_ends(text: str, count: int) -> set[int]:
    """The numbers of a range; what is counted from the end of `count` is counted from its beginning."""
    first, last = (int(each) if int(each) > 0 else count + 1 + int(each) for each in text.split(":"))
    return set(range(first, last + 1))


def owns(interval: dict[str, Any], day: date) -> bool:
    weekday = NAMES.index(day_name[day.weekday()].lower())
    numbers = [
        ":".join(str(NAMES.index(name) + 1) for name in each.split(":")) for each in interval.get("weekdays", [])
    ]
    return all(
        not written or any(number in both_ends(each, count) for each in written)
        for number, count, written in [
            (weekday + 1, 7, numbers),
            (day.day, monthrange(day.year, day.month)[1], interval.get("days_of_month")),
            (day.month, 12, interval.get("months")),
            (day.year, 0, interval.get("years")),
        ]
    )


def reference(interval: dict[str, Any], around: datetime) -> set[tuple[date, int]]:
    """Every local day and minute, of some days around a moment, that the interval holds in."""
    found = set()
    for day in (around.date() + timedelta(days=days) for days in range(-3, 12)):
        for each in interval.get("times", between("00:00", "24:00")) if owns(interval, day) else []:
            start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (each["start_time"], each["end_time"]))
            for minute in range(start, end if start < end else end + 1440):
                found.add((day + timedelta(days=minute // 1440), minute % 1440))
    return found


@settings(max_examples=80)
@given(st.lists(INTERVALS, min_size=1, max_size=3), MOMENTS)
@example(
    [{"location": "America/Sao_Paulo", "times": NIGHT, "weekdays": ["saturday:saturday"]}], utc("2018-02-18 01:00")
)
@example([{"location": "Pacific/Apia", "times": NIGHT, "days_of_month": ["30:30"]}], utc("2011-12-29 12:00"))
def test_it_holds_and_changes_as_going_through_the_minutes_says(
    intervals: list[dict[str, Any]], moment: datetime
) -> None:
    sets = [(reference(interval, moment), ZoneInfo(interval["location"])) for interval in intervals]

    def expected(at: datetime) -> bool:
        locals_ = [(found, at.astimezone(zone)) for found, zone in sets]
        return any((local.date(), local.hour * 60 + local.minute) in found for found, local in locals_)

    some = named(*intervals)
    held = expected(moment)
    assert some.holds(moment) == held
    minutes = [moment.replace(second=0, microsecond=0) + count * MINUTE for count in range(8 * 24 * 60 + 1)]
    changes = [at for before, at in pairwise(minutes) if expected(at) != expected(before)]
    at: datetime | None = moment
    for change in changes[:20]:
        assert at
        assert some.holds(at) == held
        at = next_change([some], at)
        assert at == change
        held = not held
    if not changes:
        assert next_change([named(interval) for interval in intervals], moment) is None


# ── what is written ──

READ: dict[str, list[Any]] = {
    "times": [("08:00", "18:00"), ("00:00", "24:00"), ("23:59", "24:00")],
    "weekdays": ["monday", "Monday:FRIDAY", "sunday:saturday", "tuesday:tuesday"],
    "days_of_month": [1, 31, "-1", "1:15", "-31:-1", "1:-1", "27:-1", "+5", "05"],
    "months": ["january", "May:august", 1, "12", "1:december"],
    "years": [2026, "2026:2028"],
    "location": ["UTC", "Local", "", BERLIN],
}
REFUSED: dict[str, list[Any]] = {
    "times": [("8:00", "18:00"), ("08:00", "24:01"), ("08:00", "08:00"), ("08:60", "09:00"), ("24:00", "24:00")],
    "weekdays": [
        "saturday:monday",
        "monday:sunday",
        "mon",
        1,
        "monday:",
        "monday:tuesday:friday",
        "monday :friday",
        "",
    ],
    "days_of_month": [0, 32, -32, "28:3", "-3:2", "-1:-3", "28:-1", "1-5", "1:", 1.5],
    "months": ["november:february", "jan", "january:", "12:1"],
    "years": ["2027:2026", "soon", ":2026"],
    "location": ["Europe/Berln", "../etc/localtime", "Europe"],
}
EACH_READ = [(key, value) for key, values in READ.items() for value in values]
EACH_REFUSED = [(key, value) for key, values in REFUSED.items() for value in values]


def interval(key: str, value: Any) -> dict[str, Any]:
    if key == "times":
        return {"times": between(*value)}
    return {key: value if key == "location" else [value]}


def alertmanager_reads(directory: Path, *intervals: dict[str, Any]) -> None:
    file = directory / "alertmanager.yml"
    some = [{"name": "some", "time_intervals": intervals}]
    file.write_text(f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\ntime_intervals: {json.dumps(some)}\n")
    amtool("check-config", file)


def test_what_is_read_alertmanager_reads_too(tmp_path: Path) -> None:
    every = [interval(key, value) for key, value in EACH_READ]
    named(*every)
    alertmanager_reads(tmp_path, *every)


@pytest.mark.parametrize(("key", "value"), EACH_REFUSED)
def test_what_is_refused_alertmanager_refuses_too(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        named(interval(key, value))
    with pytest.raises(AssertionError, match="FAILED"):
        alertmanager_reads(tmp_path, interval(key, value))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            'times: [{start_time: "25:00", end_time: "26:00"}]',
            '"25:00" is no time; write for example "08:00", at most "24:00"',
        ),
        (
            "times: [{start_time: 480, end_time: 18:00}]",
            'start_time: 480 is no time; write it in quotes, for example "08:00"',
        ),
        ('times: [{start_time: "08:00"}]', '"end_time" is missing; write for example end_time: "18:00"'),
        (
            'times: [{start_time: "24:00", end_time: "06:00"}]',
            '"24:00" can only be an end_time; begin at "00:00"',
        ),
        (
            'times: [{start_time: "08:00", end_time: "08:00"}]',
            '"start_time" and "end_time" are the same; the whole day is "00:00" to "24:00"',
        ),
        ("times: []", "times: is empty, so that it would never hold; name something, or leave the key out"),
        ("weekday: [monday]", 'unknown key "weekday"; did you mean "weekdays"?'),
        ("weekdays: monday", '"weekdays" must be a list, not text'),
        ("weekdays: [mondy]", '"mondy" is no weekday; did you mean "monday"?'),
        ("weekdays: [1]", '"1" is no weekday; write for example "monday" or "monday:friday"'),
        (
            "weekdays: [friday:sunday]",
            '"friday:sunday" goes past the end of the week, which is saturday; write two: "friday:saturday", "sunday"',
        ),
        ("days_of_month: [0]", '"0" is no day of a month; write 1 to 31, or -1 to -31 counted from the month\'s end'),
        ("days_of_month: [28:3]", '"28:3" goes past the end of the month; write two: "28:31", "1:3"'),
        ("days_of_month: [-3:2]", '"-3:2" goes past the end of the month; write two: "-3:-1", "1:2"'),
        ("days_of_month: [-1:-3]", '"-1:-3" goes past the end of the month; write two: "-1", "-31:-3"'),
        (
            "days_of_month: [28:-1]",
            '"28:-1" may end before it begins; count from one end, as "28:31" or "-4:-1" do',
        ),
        ("months: [13]", '"13" is no month; write january to december, or 1 to 12'),
        ("months: [febuary]", '"febuary" is no month; did you mean "february"?'),
        ("months: [11:2]", '"11:2" goes past the end of the year; write two: "november:december", "january:february"'),
        ("years: [2027:2026]", '"2027:2026" ends before it begins; write "2026:2027"'),
        ("location: Europe/Berln", '"Europe/Berln" is no time zone; did you mean "Europe/Berlin"?'),
        ("location: here", '"here" is no time zone; write an IANA name such as Europe/Berlin'),
        ("location: 1", '"location" must be text; put quotes around 1'),
    ],
)
def test_a_mistake_tells_its_line_and_the_way_out(line: str, told: str) -> None:
    text = f"name: daytime\ntime_intervals:\n- months: [1:12]\n  {line}\n"
    if line.startswith("months"):
        text = f"name: daytime\ntime_intervals:\n- years: [2026]\n  {line}\n"
    with pytest.raises(ConfigErrors) as raised:
        documents.parse(documents.loads(text, Path("web.yml")), NamedIntervals)
    assert f"web.yml:4: {told}" in str(raised.value).splitlines()


def test_a_definition_without_intervals_is_refused() -> None:
    with pytest.raises(ValidationError, match="it would never hold"):
        named()


def test_the_example_of_the_playbooks_is_read_with_and_without_quotes() -> None:
    for quote in ('"', ""):
        text = """
        name: daytime
        time_intervals:
        - {weekdays: [~monday:friday~], times: [{start_time: ~08:00~, end_time: ~18:00~}], location: Europe/Berlin}
        """.replace("~", quote)
        found = documents.parse(documents.loads(text, Path("web.yml")), NamedIntervals)
        assert found.time_intervals == OFFICE.time_intervals


@given(st.text() | st.from_regex(r"\A[-+]?\w{1,8}(:[-+]?\w{1,8}){0,2}\Z"))
def test_whatever_is_written_it_is_read_or_a_validation_error(text: str) -> None:
    for key in READ:
        with suppress(ValidationError):
            TimeInterval.model_validate(interval(key, (text, "12:00") if key == "times" else text))
