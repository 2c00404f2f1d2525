"""Deployment markers: what a rollback goes back to, and whether an alert came upon a deployment."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.audit import Kind
from receiver.deployments import Deployments, standing
from receiver.errors import Permanent
from receiver.marker import Marker, MarkerStatus
from receiver.run import Outcome, Reason
from receiver.workload import Selector
from tests.workbench import START, Bench, workload

ROLLBACK = """
- name: undo
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {compose: {project: shop, service: "{{ labels.service }}"}}}
  deployed_within: 30m
  steps:
  - rollback: {}
"""

IMAGE = "shop/orders:1.2@sha256:0123456789ab"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, ROLLBACK) as bench:
        selector = Selector(platform="docker", instance=None, kind="compose", name="orders", scope="shop")
        orders = workload("orders", replicas=2, ready=2, healthy=True, version=IMAGE)
        bench.platform.workloads["orders"] = replace(orders, selector=selector)
        yield bench


def deploy(bench: Bench, version: str, status: str = "succeeded", *, service: str = "orders", **metadata: str) -> None:
    known = Deployments(bench.ledger, bench.log, lambda: bench.now)
    marker = Marker(
        service=service, version=version, status=MarkerStatus(status), at=bench.now, by="ci", metadata=metadata
    )
    bench.do(known.mark(marker))


def test_a_rollback_goes_to_the_version_before_the_newest(bench: Bench) -> None:
    for version in ("1.0", "1.1", "1.2"):
        deploy(bench, version)
        bench.wait(minutes=20)
    bench.fire()
    assert bench.calls == [("rollback to shop/orders:1.1", "orders")]


def test_a_second_rollback_does_not_come_back_to_what_the_first_took_away(bench: Bench) -> None:
    bench.write_playbooks(ROLLBACK.replace("  steps:", "  max_attempts: {count: 2}\n  steps:"))
    for version in ("1.0", "1.1", "1.2"):
        deploy(bench, version)
    bench.fire()
    bench.resolve()
    bench.wait(minutes=20)
    bench.fire()
    assert bench.calls == [("rollback to shop/orders:1.1", "orders"), ("rollback to shop/orders:1.0", "orders")]
    told = [entry.data for entry in bench.audit() if entry.kind == Kind.DEPLOYED]
    assert {each["playbook"] for each in told[-2:]} == {"undo"}
    assert [(each["version"], each["status"]) for each in told[-2:]] == [
        ("1.2", "rolled_back"),
        ("1.1", "rolled_back"),
    ]


def test_a_version_whose_deployment_failed_is_not_gone_back_to(bench: Bench) -> None:
    deploy(bench, "1.0")
    deploy(bench, "1.1", "failed")
    deploy(bench, "1.2")
    bench.fire()
    assert bench.calls == [("rollback to shop/orders:1.0", "orders")]


def test_a_version_that_people_came_back_from_is_not_gone_to_again(bench: Bench) -> None:
    for version in ("1.0", "1.1", "1.2", "1.1"):
        deploy(bench, version)
        bench.wait(minutes=1)
    bench.fire()
    assert bench.calls == []
    assert "no marker tells which of them is good" in bench.run().detail


def test_what_people_said_they_rolled_back_is_passed_over(bench: Bench) -> None:
    for version in ("1.0", "1.1", "1.2"):
        deploy(bench, version)
        bench.wait(minutes=1)
    deploy(bench, "1.2", "rolled_back")
    deploy(bench, "1.1")
    bench.fire()
    assert bench.calls == [("rollback to shop/orders:1.0", "orders")]


def test_an_image_of_the_metadata_counts_more_than_a_tag(bench: Bench) -> None:
    deploy(bench, "1.0", image="registry.example:5000/orders@sha256:abc")
    deploy(bench, "1.2", service="shop/orders")
    bench.fire()
    assert bench.calls == [("rollback to registry.example:5000/orders@sha256:abc", "orders")]


@pytest.mark.parametrize("versions", [[], ["1.2"], ["1.2", "1.2"]])
def test_without_a_version_before_nothing_is_touched(bench: Bench, versions: list[str]) -> None:
    bench.write_playbooks(ROLLBACK.replace("  deployed_within: 30m\n", ""))
    for version in versions:
        deploy(bench, version)
    bench.fire()
    assert bench.calls == []
    assert bench.run().outcome is Outcome.FAILED
    assert "no deployment marker tells which version of compose/shop/orders was good" in bench.run().detail


def test_an_image_without_one_name_needs_the_markers_to_tell_it(bench: Bench) -> None:
    two = replace(bench.platform.workloads["orders"], version="shop/orders:1.1@sha256:1, shop/orders:1.2@sha256:2")
    deploy(bench, "1.0")
    deploy(bench, "1.2")
    with pytest.raises(Permanent, match="has no one name"):
        bench.do(Deployments(bench.ledger, bench.log, lambda: bench.now).good_image(two))


@pytest.mark.parametrize(
    ("image", "tagged"),
    [
        ("shop/orders:1.1@sha256:1", "shop/orders:9"),
        ("orders", "orders:9"),
        ("registry:5000/orders", "registry:5000/orders:9"),
        ("registry:5000/orders:1.1@sha256:1", "registry:5000/orders:9"),
    ],
)
def test_the_tag_of_an_image_is_told_from_its_registrys_port(bench: Bench, image: str, tagged: str) -> None:
    deploy(bench, "9")
    deploy(bench, "10")
    orders = replace(bench.platform.workloads["orders"], version=image)
    assert bench.do(Deployments(bench.ledger, bench.log, lambda: bench.now).good_image(orders)) == tagged


# ── deployed_within ──


def test_an_alert_long_after_a_deployment_is_not_its_doing(bench: Bench) -> None:
    deploy(bench, "1.0")
    deploy(bench, "1.2")
    bench.wait(minutes=31)
    bench.fire()
    assert bench.run().reason is Reason.CONDITION_FALSE
    assert bench.run().detail.endswith("over 30m before")
    assert bench.calls == []


def test_without_a_known_deployment_it_is_a_no(bench: Bench) -> None:
    deploy(bench, "1.0", service="other/orders")
    bench.fire()
    assert bench.run().detail == "no deployment of orders or shop/orders is known"


def test_a_deployment_that_mends_what_the_alert_is_about_is_not_taken_back(bench: Bench) -> None:
    deploy(bench, "1.0")
    began = bench.now
    bench.wait(minutes=10)
    deploy(bench, "1.2")
    bench.fire(started=began)
    assert "was deployed again" in bench.run().detail
    assert bench.calls == []


def test_a_marker_that_comes_a_little_late_still_counts(bench: Bench) -> None:
    deploy(bench, "1.0")
    bench.wait(hours=1)
    bench.fire()
    assert bench.calls == []
    bench.wait(minutes=2)
    deploy(bench, "1.2")
    bench.wait(minutes=1)
    assert bench.calls == [("rollback to shop/orders:1.0", "orders")]


def test_what_was_rolled_back_is_deployed_no_more(bench: Bench) -> None:
    deploy(bench, "1.0")
    bench.wait(hours=1)
    deploy(bench, "1.2")
    deploy(bench, "1.2", "rolled_back")
    bench.fire()
    assert bench.run().detail.endswith("over 30m before")


def test_a_platform_that_knows_of_a_rollout_needs_no_marker(bench: Bench) -> None:
    bench.platform.rolled_out = START - timedelta(minutes=10)
    bench.write_playbooks(ROLLBACK.replace("rollback: {}", "rollback: {to: shop/orders:1.0}"))
    bench.fire()
    assert bench.calls == [("rollback to shop/orders:1.0", "orders")]


def test_the_service_label_names_a_deployment_where_there_is_no_target(bench: Bench) -> None:
    without = ROLLBACK.replace('  target: {docker: {compose: {project: shop, service: "{{ labels.service }}"}}}\n', "")
    bench.write_playbooks(without.replace("rollback: {}", "wait: {for: 1ms}"))
    deploy(bench, "1.2")
    bench.fire(service="orders")
    bench.fire(service="users")
    assert [run.reason for run in bench.runs()] == [None, Reason.CONDITION_FALSE]


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), st.sampled_from(MarkerStatus)), max_size=12))
def test_what_stands_was_never_taken_away_later(story: list[tuple[str, MarkerStatus]]) -> None:
    markers = [
        Marker(id=number, service="a", version=version, status=status, at=START + timedelta(minutes=number), by="ci")
        for number, (version, status) in enumerate(story)
    ]
    left = standing(markers[::-1])
    assert all(each.status is not MarkerStatus.ROLLED_BACK for each in left)
    for each in left:
        later = [other for other in markers if other.id > each.id and other.version == each.version]
        assert all(other.status is not MarkerStatus.ROLLED_BACK for other in later)
    gone = [each for each in markers if each not in left and each.status is not MarkerStatus.ROLLED_BACK]
    for each in gone:
        assert any(
            o.id > each.id and o.version == each.version and o.status is MarkerStatus.ROLLED_BACK for o in markers
        )
