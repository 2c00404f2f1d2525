"""The page of promises: each has a number and names tests that there are."""

import re

from tests.bed.parts import ROOT
from tests.docs.page import Page

PROMISES = Page(ROOT / "docs" / "reliability.md").rows("Promises", "#")


def test_every_promise_has_its_number() -> None:
    assert [row.cells[0] for row in PROMISES] == [str(number) for number in range(1, 25)]


def test_every_test_that_is_named_is_there_and_every_fault_test_is_named() -> None:
    named = {name for row in PROMISES for name in re.findall(r"`([\w/]+\.py)`", row.cells[2])}
    assert {name for name in named if not (ROOT / "tests" / name).exists()} == set()
    faults = {f"faults/{path.name}" for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    assert faults - named == set()


def test_a_promise_without_a_test_says_that_it_is_not_kept_yet() -> None:
    bare = [row for row in PROMISES if ".py`" not in row.cells[2]]
    assert all("Not there yet" in row.cells[3] for row in bare)
