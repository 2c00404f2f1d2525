"""What `amend rules init` makes of labels, names, scrape intervals and retention, each for itself.

test_init.py shows the whole on a real Prometheus.
"""

import string
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from receiver.rulegen.checks import check
from receiver.rulegen.choice import propose
from receiver.rulegen.first_spec import memory, named_apart, scalar, text
from receiver.rulegen.grouping import MOST_SERIES, Grouping, group
from receiver.rulegen.live import LivePrometheus, Metadata, Rule, Sample, Target
from receiver.rulegen.proposals import LeftOut, Proposal
from receiver.rulegen.spec import load_spec
from receiver.rulegen.survey import EVERYTHING, Kind, Survey, selection, visible

PROPOSAL = Proposal(
    metric="queue_length",
    kind=Kind.GAUGE,
    help="",
    name="queue_length",
    description="Queue length",
    expr="sum by (job) (queue_length)",
    by=("job",),
    series=1,
    unit="",
    why=("because",),
)


# ── which labels ──


def grouped(*, of_instances: bool = False, **values: int) -> Grouping:
    """Of series with so many values of each label, in every combination."""
    combined = product(*([f"{name}-{index}" for index in range(count)] for name, count in values.items()))
    series = [dict(zip(values, each, strict=True)) for each in combined]

    def count(by: Sequence[str]) -> int:
        return len({tuple(labels.get(name) for name in by) for labels in series})

    return group(series, count, of_instances=of_instances)


def test_the_workload_is_what_tells_series_apart() -> None:
    found = grouped(namespace=2, deployment=3, pod=4, code=5)
    assert (found.by, found.series) == (("namespace", "deployment"), 6)
    assert "added up over code" in found.why
    assert "not by pod, which changes with each rollout" in found.why


def test_without_a_workload_the_job_stands_for_it() -> None:
    assert grouped(job=2, instance=3, method=2).by == ("job",)


def test_levels_are_told_for_each_instance_unless_a_workload_has_them() -> None:
    assert grouped(job=2, instance=3, of_instances=True).by == ("job", "instance")
    found = grouped(deployment=2, instance=3, of_instances=True)
    assert found.by == ("deployment",)
    assert found.merges_instances


def test_parts_belong_to_levels_alone() -> None:
    assert grouped(job=1, queue=3, of_instances=True).by == ("job", "queue")
    assert grouped(job=1, queue=3).by == ("job",)


def test_the_exporters_job_is_dropped_beside_a_workload_that_tells_as_much() -> None:
    assert grouped(namespace=1, deployment=3, job=1).by == ("namespace", "deployment")
    assert grouped(namespace=1, deployment=3, job=2).by == ("namespace", "deployment", "job")


def test_labels_that_make_too_many_series_are_given_up_with_the_reason() -> None:
    found = grouped(job=1, instance=MOST_SERIES + 1, of_instances=True)
    assert (found.by, found.series) == (("job",), 1)
    assert f"not by instance, which would make more than {MOST_SERIES}" in found.why


def test_labels_that_amend_writes_or_old_prometheus_cannot_name_are_left_alone() -> None:
    series = [{"job": "a", "detector": "x", "severity": "high", "alertname": "y", "service.name": "z\n"}]
    found = group(series, lambda by: 1, of_instances=False)
    assert found.by == ("job",)
    assert "not by detector, which Amend or Prometheus writes" in found.why


def test_a_label_that_some_series_lack_tells_nothing_apart() -> None:
    assert group([{"job": "a", "namespace": "b"}, {"job": "a"}], lambda by: 1, of_instances=False).by == ("job",)


# ── which series ──


def test_a_selectors_matchers_go_into_every_expression() -> None:
    selected = selection("""http_requests_total{job="shop",code!~'5..'}""")
    assert selected.of("x", 'a="b"') == 'x{job="shop",code!~"5..",a="b"}'
    assert EVERYTHING.of("x") == "x"


@given(st.text())
def test_a_value_is_quoted_in_printable_characters_and_means_the_same(value: str) -> None:
    selector = f"x{{job={visible(value)}}}"
    assert selector.isprintable()
    assert selection(selector).of("x") == selector


# ── how often, how long ──


class Scraped(LivePrometheus):
    """A Prometheus that answers from memory: metrics that move, of which each series has these labels."""

    def __init__(self, pace: timedelta | None = None, *, name: str = "queue_length", **labels: str) -> None:
        self._pace = pace
        self._labels = {"__name__": name, "job": "shop", **labels}

    def instant(self, expr: str, at: object = None) -> list[Sample]:
        return [Sample(self._labels, 3)]

    def metadata(self, metric: str = "") -> dict[str, Metadata]:
        name = self._labels["__name__"]
        return {name: Metadata("counter" if name.endswith("_total") else "gauge", "Mails\nthat wait", "")}

    def targets(self) -> list[Target]:
        return [Target({"job": "shop"}, "up", self._pace)]

    def rules(self) -> list[Rule]:
        return []


def proposed(pace: timedelta | None) -> Proposal | LeftOut:
    (choice,) = propose(Survey(Scraped(pace)), [EVERYTHING], most=9)
    return choice


@pytest.mark.parametrize(
    ("pace", "interval"),
    [
        (None, None),
        (timedelta(seconds=1), None),
        (timedelta(seconds=30), None),
        (timedelta(minutes=1), timedelta(minutes=1)),
        (timedelta(milliseconds=45_500), timedelta(seconds=46)),
        (timedelta(minutes=5), timedelta(minutes=5)),
    ],
)
def test_rules_are_evaluated_no_more_often_than_samples_come(
    pace: timedelta | None, interval: timedelta | None
) -> None:
    found = proposed(pace)
    assert isinstance(found, Proposal)
    assert found.interval == interval


def test_what_is_scraped_more_seldom_than_prometheus_looks_back_is_left_out() -> None:
    assert proposed(timedelta(minutes=10)) == LeftOut(
        "queue_length", "scraped every 10m, and Prometheus looks back 5m for a sample"
    )


def written(folder: Path, proposals: Sequence[Proposal], *, retention: timedelta | None = None) -> Path:
    path = folder / "first.yml"
    path.write_text(text("shop", proposals, source="http://x", memory=memory(retention, proposals)))
    return path


@pytest.mark.parametrize("retention", [timedelta(hours=hours) for hours in (1, 2, 3, 6, 12, 24)])
@pytest.mark.parametrize("interval", [None, timedelta(minutes=1)])
def test_a_short_retention_makes_a_window_that_fits(
    tmp_path: Path, retention: timedelta, interval: timedelta | None
) -> None:
    spec = load_spec(written(tmp_path, [replace(PROPOSAL, interval=interval)], retention=retention))
    assert check([spec]).errors == ()
    assert spec.detectors[0].window <= max(retention, timedelta(hours=1))
    told = memory(retention, [PROPOSAL])
    assert told
    assert "Prometheus keeps" in told.warning


@pytest.mark.parametrize("retention", [None, timedelta(days=15)])
def test_enough_retention_leaves_the_window_to_the_preset(tmp_path: Path, retention: timedelta | None) -> None:
    path = written(tmp_path, [PROPOSAL], retention=retention)
    assert "window" not in path.read_text()


# ── what names tell ──


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("node_memory_MemAvailable_bytes", "below"),
        ("disk_free_bytes", "below"),
        ("replicas_unavailable", "above"),
        ("requests_in_flight", "above"),
        ("replication_delay_seconds", "above"),
        ("node_load1", "above"),
        ("sessions", "both"),
    ],
)
def test_a_levels_name_tells_which_side_is_bad(name: str, direction: str) -> None:
    (choice,) = propose(Survey(Scraped(name=name)), [EVERYTHING], most=9)
    assert isinstance(choice, Proposal)
    assert choice.direction == direction


def test_idle_time_is_left_out_of_a_machines_time() -> None:
    cpu = Scraped(name="node_cpu_seconds_total", instance="a", mode="idle")
    (choice,) = propose(Survey(cpu), [EVERYTHING], most=9)
    assert isinstance(choice, Proposal)
    assert choice.expr == 'sum by (job, instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m]))'
    assert choice.unit == "seconds per second"


# ── what is written ──


def test_a_spec_is_short_and_each_detector_tells_why(tmp_path: Path) -> None:
    (choice,) = propose(Survey(Scraped(timedelta(minutes=1))), [selection('{job="shop"}')], most=9)
    assert isinstance(choice, Proposal)
    lines = written(tmp_path, [choice]).read_text().splitlines()
    assert lines[lines.index("detectors:") + 1 :] == [
        "# queue_length, a gauge: Mails that wait",
        "# - it piles up when something is wrong",
        "# - job makes 1 series",
        "# - scraped every 1m",
        "- name: queue_length",
        "  description: Queue length",
        "  expr: |",
        '    sum by (job) (queue_length{job="shop"})',
        "  by: [job]",
        "  direction: above",
        "  interval: 1m",
    ]


@given(st.text(min_size=1) | st.text(string.printable, min_size=1))
def test_a_scalar_is_read_as_what_it_was(value: str) -> None:
    encodable = value.encode(errors="replace").decode()
    assert yaml.safe_load(f"key: {scalar(encodable)}") == {"key": encodable}


@given(st.text(), st.text())
def test_no_words_of_strangers_change_what_a_spec_says(help_text: str, service: str) -> None:
    told = replace(PROPOSAL, help=help_text)
    whole = text(service, [told], source=help_text, memory=None)
    read = yaml.safe_load(whole)
    assert read["service"] == service
    assert [set(each) for each in read["detectors"]] == [{"name", "description", "expr", "by"}]


def test_names_are_unique_in_the_file_and_beside_others() -> None:
    found = named_apart([PROPOSAL, PROPOSAL, PROPOSAL], service="My-Shop", taken={"queue_length"})
    assert [each.name for each in found] == ["my_shop_queue_length", "queue_length_2", "queue_length_3"]
