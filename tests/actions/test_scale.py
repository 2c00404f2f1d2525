"""`scale` goes to a number, by a difference or by a factor, and never beyond its bounds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.actions.scale import Arguments
from receiver.run import Outcome
from tests.workbench import RESTART, Bench, workload


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


@pytest.mark.parametrize(
    ("arguments", "now", "wanted"),
    [
        ({"to": 3}, 1, 3),
        ({"to": 30}, 1, 10),
        ({"to": 0}, 1, 1),
        ({"to": 0, "min": 0}, 1, 0),
        ({"by": 1}, 2, 3),
        ({"by": 1, "max": 3}, 3, 3),
        ({"by": -1}, 2, 1),
        ({"by": -5}, 2, 1),
        ({"factor": 1.5}, 2, 3),
        ({"factor": 1.5}, 1, 2),
        ({"factor": 0.5}, 3, 2),
        ({"factor": 100}, 3, 10),
    ],
)
def test_the_number_wanted_is_within_the_bounds(arguments: dict[str, Any], now: int, wanted: int) -> None:
    assert Arguments.model_validate(arguments).wanted(now) == wanted


@pytest.mark.parametrize("arguments", [{}, {"to": 1, "by": 1}, {"by": 1, "min": 5, "max": 4}, {"factor": 0}])
def test_there_is_exactly_one_way_to_scale(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Arguments.model_validate(arguments)


def scales(how: str) -> str:
    return RESTART.replace("restart: {}", f"scale: {{{how}}}")


def test_it_counts_from_the_replicas_that_there_are(bench: Bench) -> None:
    bench.platform.workloads["orders"] = workload("orders", replicas=4)
    bench.write_playbooks(scales("by: 2"))
    bench.fire()
    assert bench.calls == [("scale to 6", "orders")]


@pytest.mark.parametrize(
    ("how", "detail"), [("by: 1, max: 4", "max does not allow 5"), ("by: -1, min: 4", "min does not allow 3")]
)
def test_at_its_bound_it_has_failed_and_says_so(bench: Bench, how: str, detail: str) -> None:
    bench.platform.workloads["orders"] = workload("orders", replicas=4)
    bench.write_playbooks(scales(how))
    bench.fire()
    assert bench.calls == []
    assert bench.run().outcome is Outcome.FAILED
    assert detail in bench.run().detail


def test_being_there_already_is_told_as_that(bench: Bench) -> None:
    bench.platform.workloads["orders"] = workload("orders", replicas=4)
    bench.write_playbooks(scales("to: 4"))
    bench.fire()
    assert bench.run().detail == "scale: container/orders has 4 replicas already"
