"""Whether a playbook may act alone, by what came of it so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.autonomy import lower_bound


@pytest.mark.parametrize(
    ("fixed", "attempted", "percent"),
    [(0, 0, 0), (5, 5, 83), (4, 4, 80), (3, 3, 75), (9, 10, 77), (80, 100, 76), (0, 9, 0)],
)
def test_the_bound_is_lower_the_less_there_is_to_go_by(fixed: int, attempted: int, percent: int) -> None:
    assert round(100 * lower_bound(fixed, attempted)) == percent


@given(st.integers(1, 500), st.data())
def test_the_bound_is_never_above_what_was_seen(attempted: int, data: st.DataObject) -> None:
    fixed = data.draw(st.integers(0, attempted))
    assert 0 <= lower_bound(fixed, attempted) <= fixed / attempted + 1e-12
