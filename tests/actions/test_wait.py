"""`wait` gives things time, whatever the step's time-out is, and is no intervention."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.run import Outcome
from tests.workbench import RESTART, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def waits(bench: Bench, how: str) -> None:
    bench.write_playbooks(RESTART.replace("- restart: {}", f"- wait: {how}\n  - restart: {{}}"))


def test_the_next_step_comes_after_it(bench: Bench) -> None:
    slept: list[timedelta] = []

    async def sleep(span: timedelta) -> None:
        slept.append(span)
        assert bench.calls == []

    bench.sleep = sleep
    waits(bench, "{for: 90s}")
    bench.fire()
    assert (slept, bench.calls) == ([timedelta(seconds=90)], [("restart", "orders")])


def test_a_wait_longer_than_a_steps_time_is_not_cut_off(bench: Bench) -> None:
    waits(bench, "{for: 1500ms}\n    timeout: 1ms")
    bench.another_worker("real")
    bench.fire()
    assert bench.run().steps[0].result == {"waited": "1s500ms"}
    assert bench.run().outcome is Outcome.NONE


@pytest.mark.parametrize("how", ["{for: 0s}", "{for: 61m}", "{}", "{span: 5s}"])
def test_what_is_no_wait_is_refused_when_it_is_read(bench: Bench, how: str) -> None:
    with pytest.raises(ConfigErrors, match="for"):
        waits(bench, how)
