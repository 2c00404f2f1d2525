"""Which episode a delivery belongs to, whatever order deliveries come in: nothing late ever begins anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.alerts import Alert
from receiver.identity import Change, Windows, judge
from receiver.run import Episode

ZERO = datetime(2026, 3, 2, tzinfo=UTC)
WINDOWS = Windows(reopen=timedelta(minutes=10))


def at(minutes: float) -> datetime:
    return ZERO + timedelta(minutes=minutes)


def firing(start: float) -> Alert:
    return Alert.model_validate({"status": "firing", "labels": {"a": "b"}, "startsAt": at(start)})


def resolved(start: float, end: float) -> Alert:
    ends = {"status": "resolved", "labels": {"a": "b"}, "startsAt": at(start), "endsAt": at(end)}
    return Alert.model_validate(ends)


def episode(start: float, *, seen: float | None = None, end: float | None = None, again: bool = False) -> Episode:
    """One that ended, if it has an end and did not go on `again`."""
    return Episode(
        id=1,
        alert_key="key",
        source="default",
        fingerprint="",
        labels={},
        annotations={},
        starts_at=at(start),
        last_starts_at=at(start),
        opened_at=at(start),
        last_seen_at=at(start if seen is None else seen),
        ends_at=None if end is None else at(end),
        closed_at=None if end is None or again else at(end),
    )


@pytest.mark.parametrize(
    ("alert", "current", "last", "change"),
    [
        (firing(0), None, None, Change.OPEN),
        (firing(0), episode(0), None, Change.REFRESH),
        (firing(5), episode(0), None, Change.REFRESH),  # startsAt drifted
        (firing(-5), episode(0), None, Change.REFRESH),  # a second source with an earlier start
        (firing(10), episode(0, seen=0), None, Change.REFRESH),
        (firing(11), episode(0, seen=0), None, Change.ASK),  # or its `resolved` was lost
        (firing(11), episode(0, seen=5), None, Change.REFRESH),
        (firing(0), None, episode(0, end=5), Change.STALE),  # a late firing
        (firing(5), None, episode(0, end=5), Change.STALE),
        (firing(6), None, episode(0, end=5), Change.REOPEN),  # Prometheus was away, and the resolved false
        (firing(15), None, episode(0, end=5), Change.REOPEN),
        (firing(16), None, episode(0, end=5), Change.OPEN),
        (firing(3), episode(10), episode(0, end=5), Change.STALE),  # of the time before the open one
        (resolved(0, 5), episode(0), None, Change.CLOSE),
        (resolved(-9, 0), episode(0), None, Change.CLOSE),
        (resolved(-9, -1), episode(0), None, Change.STALE),  # of the time before the open one
        (resolved(0, 5), None, episode(0, end=5), Change.STALE),  # sent twice
        (resolved(0, 9), None, episode(0, end=5), Change.REMEMBER),
        (resolved(0, 5), episode(0, end=5, again=True), None, Change.STALE),  # sent twice, and between them it went on
        (firing(4), episode(0, end=5, again=True), None, Change.STALE),
        (resolved(0, 9), episode(0, end=5, again=True), None, Change.CLOSE),
        (resolved(0, 5), None, None, Change.REMEMBER),  # it came before its firing
    ],
)
def test_what_an_alert_changes(alert: Alert, current: Episode | None, last: Episode | None, change: Change) -> None:
    assert judge(alert, current=current, last=last, windows=WINDOWS) is change


def test_a_resolved_without_its_end_closes_what_it_began_with() -> None:
    alert = Alert.model_validate({"status": "resolved", "labels": {"a": "b"}, "startsAt": at(3)})
    assert judge(alert, current=episode(3), last=None, windows=WINDOWS) is Change.CLOSE


# ── histories, delivered in any order ──


@dataclass
class Books:
    """What the ledger keeps of one alert key, changed as the store changes it."""

    current: Episode | None = None
    last: Episode | None = None

    def take(self, alert: Alert, *, received: datetime, gap: bool) -> Change:
        change = judge(alert, current=self.current, last=self.last, windows=WINDOWS)
        made = change
        if change is Change.ASK:
            assert self.current
            if gap:
                self.last = replace(self.current, ends_at=self.current.last_seen_at, closed_at=received)
                self.current = None
            change = Change.OPEN if gap else Change.REFRESH
        self._apply(change, alert, received)
        return made

    def _apply(self, change: Change, alert: Alert, received: datetime) -> None:
        match change:
            case Change.OPEN:
                fresh = episode(0)
                self.current = replace(fresh, starts_at=alert.starts_at, last_seen_at=received)
            case Change.REFRESH | Change.REOPEN:
                known = self.current or self.last
                assert known
                start = min(known.starts_at, alert.starts_at)
                self.current = replace(known, starts_at=start, last_seen_at=received, closed_at=None)
                self.last = None if change is Change.REOPEN else self.last
            case Change.CLOSE:
                assert self.current
                end = max(alert.end, self.current.ends_at or alert.end)
                self.last = replace(self.current, ends_at=end, closed_at=received)
                self.current = None
            case Change.REMEMBER:
                self.last = replace(self.last or episode(0), ends_at=alert.end, closed_at=received)


@st.composite
def histories(draw: st.DrawFn) -> list[Alert]:
    """Firings and the resolved of some stretches of one alert, in any order, some of them twice."""
    sent: list[Alert] = []
    clock = 0
    for length, pause, firings in draw(
        st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 3)), min_size=1, max_size=4)
    ):
        sent += [firing(clock)] * firings
        sent.append(resolved(clock, clock + length))
        clock += length + pause
    return list(draw(st.permutations(sent)))


def played(alerts: Sequence[Alert], gaps: Sequence[bool]) -> tuple[Books, list[Change]]:
    """Everything delivered minutes after the last thing happened, one delivery a second."""
    books = Books()
    begun = at(600)
    changes = [
        books.take(alert, received=begun + timedelta(seconds=number), gap=gaps[number % len(gaps)])
        for number, alert in enumerate(alerts)
    ]
    return books, changes


GAPS = st.lists(st.booleans(), min_size=1, max_size=5)


@given(histories(), GAPS)
def test_when_all_is_told_nothing_is_open(alerts: list[Alert], gaps: list[bool]) -> None:
    books, _ = played(alerts, gaps)
    assert books.current is None


@given(histories(), GAPS)
def test_a_firing_of_what_is_known_to_be_over_changes_nothing(alerts: list[Alert], gaps: list[bool]) -> None:
    _, changes = played(alerts, gaps)
    over: datetime | None = None
    for alert, change in zip(alerts, changes, strict=True):
        if alert.firing and over and alert.starts_at <= over and change in {Change.OPEN, Change.REOPEN}:
            raise AssertionError(f"a firing of {alert.starts_at} began something after {over} was known to be the end")
        if not alert.firing and change in {Change.CLOSE, Change.REMEMBER}:
            over = max(over or alert.end, alert.end)


@given(histories(), GAPS)
def test_a_delivery_that_comes_twice_begins_and_ends_nothing_the_second_time(
    alerts: list[Alert], gaps: list[bool]
) -> None:
    twice = [alert for alert in alerts for _ in range(2)]
    _, changes = played(twice, gaps)
    again = changes[1::2]
    assert set(again) <= {Change.REFRESH, Change.STALE}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_a_start_that_drifts_while_it_fires_stays_one_episode(drifts: list[int]) -> None:
    books = Books()
    changes = [
        books.take(firing(number + drift), received=at(number + drift), gap=True)
        for number, drift in enumerate(sorted(drifts))
    ]
    assert changes[0] is Change.OPEN
    assert set(changes[1:]) <= {Change.REFRESH}
