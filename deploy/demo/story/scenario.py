"""What goes wrong in a demo, and which alert and playbook are to answer it.

`scripts/demo --scenario NAME` chooses one.
"""

from dataclasses import dataclass

import httpx

from story import compose
from story.engines import Engine
from story.part import Broken


@dataclass(frozen=True)
class Scenario:
    name: str
    says: str  #: the fault, in words
    remedy: str
    detector: str
    alert: str
    playbook: str
    faults: dict[str, float]
    service: str = "orders"

    def strike(self, client: compose.Client, engine: Engine) -> None:
        for container in compose.shop(client, self.service):
            url = f"{compose.url(container, port=engine.port)}/faults"
            answer = httpx.post(url, json=self.faults, timeout=5, trust_env=False)
            if not answer.is_success:
                raise Broken(f"{container.name} refuses the fault: {answer.text}")


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="latency",
            says="orders answers 0.8 s late",
            remedy="restart",
            detector="latency_p95",
            alert="LatencyAnomaly",
            playbook="restart-slow-service",
            faults={"latency": 0.8},
        ),
        Scenario(
            name="errors",
            says="orders fails four requests in ten",
            remedy="restart",
            detector="error_ratio",
            alert="ErrorRatioAnomaly",
            playbook="restart-failing-service",
            faults={"errors": 0.4},
        ),
        Scenario(
            name="leak",
            says="orders keeps 8 MiB more each second",
            remedy="restart",
            detector="memory",
            alert="MemoryAnomaly",
            playbook="restart-leaking-service",
            faults={"leak": 8},
        ),
    )
}
