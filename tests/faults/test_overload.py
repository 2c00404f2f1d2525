"""Too much, too slow, or never an end: deliveries are answered all the same, and what works goes on working."""

import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bed.http_recorder import HttpRecorder
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.processes import answers, until
from tests.bed.proxy import Fault, Proxy
from tests.bed.receiver import Receiver, alert

PLAYBOOKS = """
playbooks:
- name: docker
  mode: enforce
  matchers: ['alertname="OnDocker"']
  target: {{docker: {{container: "{{{{ labels.service }}}}"}}}}
  steps: [restart: {{}}]
- name: kubernetes
  mode: enforce
  matchers: ['alertname="OnKubernetes"']
  target: {{kubernetes: {{kind: Deployment, namespace: shop, name: "{{{{ labels.service }}}}"}}}}
  steps: [restart: {{}}]
- name: prometheus
  mode: enforce
  matchers: ['alertname="AsksPrometheus"']
  only_if: up > 0
  steps:
  - http: {{url: "{url}/never"}}
- name: well
  mode: enforce
  matchers: ['alertname="Well"']
  steps:
  - http: {{url: "{url}/remedy/{{{{ labels.service }}}}"}}
"""

AT_ONCE = 8 + 64  #: runs that hang at least, of more than there are
STORM = 300  #: alerts per platform: what lets them have all of it is busy with them for two minutes


def port(url: str) -> tuple[str, int]:
    return "127.0.0.1", int(url.rpartition(":")[2])


def hanging(amend: Receiver) -> int:
    """How many runs are in progress."""
    with sqlite3.connect(f"file:{amend.database}?mode=ro", uri=True) as books:
        count: int = books.execute("select count(*) from runs where lease_until is not null").fetchone()[0]
        return count


@pytest.mark.parametrize("fault", [Fault.STALL_AFTER_CONNECT, Fault.STALL_IN_HEADERS, Fault.STALL_IN_BODY])
def test_platforms_and_a_prometheus_that_hang_hold_up_neither_deliveries_nor_other_runs(
    tmp_path: Path, running: ExitStack, recorder: HttpRecorder, fault: Fault
) -> None:
    kubernetes = running.enter_context(KubernetesApi())
    behind = running.enter_context(HttpRecorder())  # nothing gets its whole answer
    behind.answer(200, b"{}")
    to_docker, to_prometheus = (running.enter_context(Proxy(port(behind.url))) for _ in range(2))
    to_kubernetes = running.enter_context(Proxy(port(kubernetes.url)))
    for proxy in (to_docker, to_kubernetes, to_prometheus):
        proxy.fail(fault)
    kubeconfig = kubernetes.kubeconfig(tmp_path / "kubeconfig", server=to_kubernetes.url)
    amend = running.enter_context(
        Receiver(
            tmp_path,
            playbooks=PLAYBOOKS.format(url=recorder.url),
            outbound={"allow_hosts": ["127.0.0.1"]},
            prometheus={"url": to_prometheus.url},
            platforms={
                "docker": [{"name": "local", "url": to_docker.url}],
                "kubernetes": [{"kubeconfig": str(kubeconfig), "namespaces": ["shop"]}],
            },
        )
    )
    for name in ("OnDocker", "OnKubernetes", "AsksPrometheus"):
        assert amend.post(*(alert(name, service=f"s{number}") for number in range(STORM))).status_code == 200

    took = []
    for number in range(50):
        until(lambda: hanging(amend) >= AT_ONCE, why="they hang")
        begun = time.monotonic()
        name = "Nobody" if number else "Well"
        assert amend.post(alert(name, service=f"s{number}")).status_code == 200
        took.append(time.monotonic() - begun)
    assert sorted(took)[len(took) // 2] < 1  # the 99th of a hundred, too, on a machine that does nothing else
    assert recorder.wait_for(1, within=30)[0].path == "/remedy/s0"
    assert answers(f"{amend.url}/-/ready")
    assert len(recorder.requests) == 1
    amend.kill9()  # a stop would wait for what hangs
