"""The receiver's benchmark, on few deliveries: that it works and counts truly. Times are for people."""

import json
import subprocess
import sys

import pytest

from tests.bed.parts import ROOT


@pytest.mark.timeout(600)
def test_each_subject_takes_deliveries_and_acts_on_every_alert_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.receiver", "--quick", "-o", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = {each["subject"]: each for each in json.loads(done.stdout)["results"]}
    assert list(results) == ["floor", "sqlite", "postgresql"]
    for each in results.values():
        assert 0 < each["p50"] <= each["p99"]
        assert all(rate > 0 for rate in each["accepts"].values())
        assert each["resident_bytes"] > 10e6
