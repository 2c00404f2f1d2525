"""The breaker, from the times of failures alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.breaker import closes_at
from receiver.settings.limits import Breaker

ZERO = datetime(2026, 3, 2, tzinfo=UTC)
RULE = Breaker(failures=3, within=timedelta(minutes=10), storm_cooldown=timedelta(minutes=5))


def at(minutes: float) -> datetime:
    return ZERO + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("failures", "closes"),
    [
        ((), None),
        ((0, 1), None),
        ((0, 5, 10), None),  # the first has left the window by then
        ((0, 5, 9), 15),  # when of the three no more than one is left, which is later than the rest
        ((0, 1, 2), 11),
        ((0, 0, 0), 10),
        ((0, 1, 2, 30), 11),  # one failure long after does not open it again
        ((0, 1, 2, 8), 13),  # one that comes while it is open counts
    ],
)
def test_it_opens_at_so_many_in_the_window_and_closes_when_few_are_left(
    failures: tuple[float, ...], closes: float | None
) -> None:
    assert closes_at([at(each) for each in failures], RULE) == (None if closes is None else at(closes))


def test_it_rests_for_the_storm_cooldown_however_few_are_left() -> None:
    rule = RULE.model_copy(update={"storm_cooldown": timedelta(hours=1)})
    assert closes_at([at(0), at(1), at(2)], rule) == at(62)


def test_a_single_failure_can_be_enough() -> None:
    rule = RULE.model_copy(update={"failures": 1})
    assert closes_at([at(0)], rule) == at(10)


@given(
    st.lists(st.integers(0, 120), max_size=30).map(sorted),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_it_is_open_exactly_when_a_breaker_that_is_looked_at_each_minute_is(
    minutes: list[int], failures: int, within: int, cooldown: int
) -> None:
    rule = Breaker(failures=failures, within=timedelta(minutes=within), storm_cooldown=timedelta(minutes=cooldown))
    opened: int | None = None
    for now in range(200):
        recent = sum(now - within < each <= now for each in minutes)
        if now in minutes and recent >= failures:
            opened = now
        elif opened is not None and now >= opened + cooldown and recent <= failures // 2:
            opened = None
        seen = [at(each) for each in minutes if each <= now]
        closes = closes_at(seen, rule)
        assert (closes is not None and at(now) < closes) == (opened is not None), f"at minute {now}"
