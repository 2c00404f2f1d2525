"""What one look makes of a verification."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.alert_evidence import Look, Sight
from receiver.playbook import Verify
from receiver.run import Outcome
from receiver.verify import Watch, judge

START = datetime(2026, 3, 2, tzinfo=UTC)
VERIFY = Verify.model_validate({"resolved_within": "60s", "absent_for": "20s"})

FIRING = Look(Sight.FIRING, "still true")
QUIET = Look(Sight.QUIET, "false, with samples")
BLIND = Look(Sight.BLIND, "no samples")


def verdict(*looks: tuple[float, Look]) -> tuple[Outcome, float] | None:
    """The outcome of a verification with these looks (seconds after its begin), and when it came."""
    watch = Watch(since=START, fired_at=START)
    for seconds, look in looks:
        watch, found = judge(watch, look, VERIFY, now=START + timedelta(seconds=seconds))
        watch = Watch.from_state(watch.as_state())  # as it is kept between two looks
        if found:
            return found.outcome, seconds
    return None


def every(step: float, look: Look, *, since: float = 0, until: float = 200) -> list[tuple[float, Look]]:
    return [(since + number * step, look) for number in range(int((until - since) / step) + 1)]


def test_what_stays_false_is_fixed_as_soon_as_it_has_been_so_for_absent_for() -> None:
    assert verdict(*every(5, QUIET)) == (Outcome.FIXED, 20)
    assert verdict(*every(5, FIRING, until=30), *every(5, QUIET, since=35)) == (Outcome.FIXED, 55)


def test_what_stays_true_is_not_fixed_at_the_deadline() -> None:
    assert verdict(*every(5, FIRING)) == (Outcome.NOT_FIXED, 80)


def test_what_cannot_be_seen_is_unknown_at_the_deadline() -> None:
    assert verdict(*every(5, BLIND)) == (Outcome.UNKNOWN, 80)


@pytest.mark.parametrize("between", [FIRING, BLIND])
def test_absent_for_begins_anew_after_anything_but_quiet(between: Look) -> None:
    looks = [*every(5, QUIET, until=15), (17, between), *every(5, QUIET, since=20)]
    assert verdict(*looks) == (Outcome.FIXED, 40)


def test_what_became_false_only_just_before_the_deadline_is_unknown() -> None:
    assert verdict(*every(5, FIRING, until=70), *every(5, QUIET, since=75)) == (Outcome.UNKNOWN, 80)


def test_a_long_time_without_a_look_proves_nothing() -> None:
    assert verdict((0, QUIET), (5, QUIET), (70, QUIET)) is None
    assert verdict((0, QUIET), (5, QUIET), (70, QUIET), (80, QUIET)) == (Outcome.UNKNOWN, 80)
