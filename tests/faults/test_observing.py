"""Observe mode in front of real HTTP: what is asked of a platform is asked to read, and nobody else hears anything."""

from contextlib import ExitStack
from pathlib import Path

from tests.bed.http_recorder import HttpRecorder
from tests.bed.kubernetes_api import KubernetesApi
from tests.bed.kubernetes_objects import deployment
from tests.bed.receiver import Receiver, alert

PLAYBOOK = """
playbooks:
- name: watch
  matchers: ['alertname="Broken"']
  target: {{kubernetes: {{kind: Deployment, namespace: shop, name: "{{{{ labels.service }}}}"}}}}
  steps:
  - restart: {{}}
  - scale: {{to: 5}}
  - http: {{url: "{url}/remedy"}}
  - notify: {{receiver: people, message: "restarted"}}
  verify: {{healthy: true, absent_for: 1s}}
  on_failure:
  - notify: {{receiver: people, message: "it did not help"}}
"""


def test_observing_only_reads(tmp_path: Path, running: ExitStack, recorder: HttpRecorder) -> None:
    api = running.enter_context(KubernetesApi())
    api.add(deployment("orders"))
    amend = running.enter_context(
        Receiver(
            tmp_path,
            playbooks=PLAYBOOK.format(url=recorder.url),
            outbound={"allow_hosts": ["127.0.0.1"]},
            receivers=[{"name": "people", "webhook": {"url": f"{recorder.url}/people"}}],
            platforms={
                "kubernetes": [{"kubeconfig": str(api.kubeconfig(tmp_path / "config")), "namespaces": ["shop"]}]
            },
        )
    )
    assert amend.post(alert("Broken", service="orders")).status_code == 200
    run = amend.run("done")
    assert run["outcome"] == "observed"
    assert run["detail"] == "would have done: restart, scale, http, notify"
    assert api.requests, "it looked"
    assert api.changes == []
    assert recorder.requests == []
