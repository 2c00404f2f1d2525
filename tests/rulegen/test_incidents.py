"""Incidents that people write down, in three formats, and pages held against them.

Every mistake names its line and the way out.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.errors import ConfigError, ConfigErrors
from receiver.rulegen.generate import load_specs
from receiver.rulegen.incidents import Incident, load_incidents, quality
from receiver.rulegen.pages import Page, episodes
from receiver.rulegen.spec import Detector
from tests.rulegen.proof import spec

YAML = """\
incidents:
- {start: "2026-03-02T10:00:00Z", end: "2026-03-02T11:00:00Z", detector: load, labels: {host: a}, note: "disk, full"}
- {start: 2026-03-03 10:00, end: 2026-03-03 11:00}
"""
JSON = """\
{"incidents": [
  {"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T11:00:00Z",
   "detector": "load", "labels": {"host": "a"}, "note": "disk, full"},
  {"start": "2026-03-03T11:00:00+01:00", "end": "2026-03-03T12:00:00+01:00"}
]}
"""
CSV = """\
start,end,host,detector,note
2026-03-02T10:00:00Z,2026-03-02T11:00:00Z,a,load,"disk, full"
2026-03-03T10:00:00,2026-03-03T11:00:00,,,
"""


@pytest.fixture
def detectors(tmp_path: Path) -> list[Detector]:
    specs = spec(tmp_path / "specs", "{name: load, expr: x, by: [host]}", "{name: rate, expr: y, by: [job]}")
    return list(load_specs(specs).specs[0].detectors)


def at(hour: float, day: int = 2) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC) + timedelta(hours=hour)


def page(host: str, hour: float) -> Page:
    return Page(series=(("host", host),), severity="high", start=at(hour), end=at(hour + 0.5))


@pytest.mark.parametrize(("name", "text"), [("i.yml", YAML), ("i.json", JSON), ("i.csv", CSV)])
def test_the_formats_mean_the_same(tmp_path: Path, detectors: list[Detector], name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert load_incidents(tmp_path / name, detectors) == [
        Incident(start=at(10), end=at(11), detector="load", labels={"host": "a"}, note="disk, full"),
        Incident(start=at(10, 3), end=at(11, 3)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("i.yml", "incidents:\n- {start: soon, end: 2026-03-02}\n", 'i.yml:2: "soon" is not a time; write for example'),
        ("i.yml", "incidents:\n- {begin: 2026-03-02}\n", 'i.yml:2: unknown key "begin"'),
        (
            "i.yml",
            "incidents:\n\n- {start: 2026-03-02, end: 2026-03-03, detector: lode}\n",
            'i.yml:3: no spec has a detector "lode"; did you mean "load"?',
        ),
        (
            "i.yml",
            "incidents:\n- {start: 2026-03-02, end: 2026-03-03, detector: load, labels: {job: a}}\n",
            'i.yml:2: no series in question has the label "job"; known here: host',
        ),
        ("i.yml", "incidents:\n- {start: 2026-03-03, end: 2026-03-02}\n", "i.yml:2: the incident ends"),
        ("i.csv", "start,end\n2026-03-02,2026-03-03\nx,2026-03-03\n", 'i.csv:3: "x" is not a time'),
        ("i.csv", "begin,end\n", "i.csv:1: the first line must name the columns"),
        ("i.csv", "start,end\n2026-03-02\n", "i.csv:2: has another number of columns"),
        ("i.csv", 'start,end\n"2026', "i.csv:2: not CSV"),
    ],
)
def test_a_mistake_names_its_line_and_the_way_out(
    tmp_path: Path, detectors: list[Detector], name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises((ConfigError, ConfigErrors)) as caught:
        load_incidents(tmp_path / name, detectors)
    assert said in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path, detectors: list[Detector]) -> None:
    for name in ("no.csv", "no.yml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_incidents(tmp_path / name, detectors)


def test_pages_are_right_where_they_begin_in_an_incident_of_their_series() -> None:
    incidents = [
        Incident(start=at(10), end=at(11), labels={"host": "a"}),
        Incident(start=at(14), end=at(15)),
        Incident(start=at(20), end=at(21)),
    ]
    pages = [page("a", 10.25), page("b", 10.25), page("b", 13.75), page("b", 14.5), page("a", 14.75), page("a", 3)]
    found = quality(pages, incidents)
    assert (found.incidents, found.found, found.pages, found.right) == (3, 2, 6, 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.precision == 0.5
    assert found.f1 == pytest.approx(4 / 7)
    assert found.delay == timedelta(minutes=22.5)


def test_without_pages_nothing_is_said_of_their_precision() -> None:
    found = quality([], [Incident(start=at(10), end=at(11))])
    assert (found.recall, found.precision, found.f1, found.delay) == (0, None, None, None)


def test_an_incident_concerns_the_detectors_that_have_its_labels(detectors: list[Detector]) -> None:
    load, rate = detectors
    anywhere = Incident(start=at(1), end=at(2), labels={"host": "a"})
    assert anywhere.concerns(load)
    assert not anywhere.concerns(rate)
    assert not Incident(start=at(1), end=at(2), detector="load").concerns(rate)


def test_what_fires_again_within_an_hour_is_the_same_episode() -> None:
    minute = timedelta(minutes=1)
    assert episodes([5, 6, 66, 127], minute) == [(5, 66), (127, 127)]
    assert episodes([1, 2, 4], timedelta(hours=2)) == [(1, 2), (4, 4)], "steps longer than an hour"
