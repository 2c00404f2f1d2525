"""What goes wrong in a demo, and which alert and playbook are to answer it.

`scripts/demo --scenario NAME` chooses one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from story import compose, deployment
from story.part import Broken
from story.stage import Stage
from story.versions import BAD, GOOD, tag

Strike = Callable[[Stage], None]


@dataclass(frozen=True)
class Scenario:
    name: str
    says: str  #: the fault, in words
    strike: Strike
    remedy: str
    detector: str
    alert: str
    playbook: str
    asks: bool = False  #: whether people must agree before the playbook acts
    service: str = "orders"
    places: int = 20  #: requests that an instance works on at once: enough not to wait, also on a busy machine


def faults(service: str, **amounts: float) -> Strike:
    """Injects them into every instance of the service."""

    def strike(stage: Stage) -> None:
        for container in compose.shop(stage.client, service):
            url = f"{compose.url(container, port=stage.engine.port)}/faults"
            answer = httpx.post(url, json=amounts, timeout=30, trust_env=False)
            if not answer.is_success:
                raise Broken(f"{container.name} refuses the fault: {answer.text}")

    return strike


def crowd(times: int) -> Strike:
    """So many times the usual visitors."""

    def strike(stage: Stage) -> None:
        for number in range(2, times + 1):
            compose.start(stage.client, "load", number=number, image=tag(GOOD), port=stage.engine.port)

    return strike


def deployed(service: str, version: str) -> Strike:
    """In the place of the version that ran."""

    def strike(stage: Stage) -> None:
        port, places = stage.engine.port, stage.places
        deployment.deploy(stage.client, stage.place, service, version, port=port, places=places)

    return strike


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="latency",
            says="orders answers 3 s late",
            strike=faults("orders", latency=3),
            remedy="restart",
            detector="latency_p95",
            alert="LatencyAnomaly",
            playbook="restart-slow-service",
        ),
        Scenario(
            name="errors",
            says="orders fails six requests in ten",
            strike=faults("orders", errors=0.6),
            remedy="restart",
            detector="error_ratio",
            alert="ErrorRatioAnomaly",
            playbook="restart-failing-service",
        ),
        Scenario(
            name="leak",
            says="orders keeps 8 MiB more each second",
            strike=faults("orders", leak=8),
            remedy="restart",
            detector="memory",
            alert="MemoryAnomaly",
            playbook="restart-leaking-service",
        ),
        Scenario(
            name="overload",
            says="four times the usual visitors",
            strike=crowd(4),
            remedy="scale",
            detector="waiting",
            alert="QueueAnomaly",
            playbook="scale-crowded-service",
            places=2,
        ),
        Scenario(
            name="bad-deploy",
            says=f"orders {BAD} has been deployed, and fails seven requests in ten",
            strike=deployed("orders", BAD),
            remedy="rollback",
            detector="error_ratio",
            alert="ErrorRatioAnomaly",
            playbook="undo-bad-deployment",
            asks=True,
        ),
    )
}
