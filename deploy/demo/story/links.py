"""The links of the loop, from the anomaly to the verified audit log, each seen where it happens.

The story asks for one after the other. A link answers in words once it has been observed, and with None until then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from docker.models.containers import Container

from story import compose
from story.approver import COMMENT, NAME, Approver
from story.part import PATIENCE, Broken, finished
from story.parts import AMEND
from story.scenario import Scenario
from story.stage import Stage

VERDICT = 300  # seconds, more than the playbooks give a remedy to show
SCRAPES = 4  # of each service, after which rates stand on what is, not on the history


@dataclass(frozen=True)
class Link:
    name: str
    what: str  #: what is missing when it does not close
    seen: Callable[[], str | None]
    within: int = PATIENCE  #: seconds after the link before it


@dataclass(frozen=True)
class Life:
    """A container from one start to its end."""

    name: str
    image: str
    started_at: str

    @classmethod
    def of(cls, container: Container) -> "Life":
        config, state = container.attrs["Config"], container.attrs["State"]
        return cls(str(container.name), config["Image"], state["StartedAt"])

    def begun(self, before: "Sequence[Life]") -> str:
        """In words; the image where it is another than that of the life before."""
        begun = f"{self.name} started {_clock(self.started_at)}"
        other = any(life.name == self.name and life.image != self.image for life in before)
        return f"{begun} from {self.image}" if other else begun


class Loop:
    """One alert's way through the parts."""

    def __init__(self, stage: Stage, scenario: Scenario) -> None:
        self._stage = stage
        self._scenario = scenario
        self._prometheus = httpx.Client(base_url=f"http://{stage.place.prometheus}/api/v1", timeout=30, trust_env=False)
        self._amend = httpx.Client(
            base_url=f"http://{stage.place.amend}/api/v1",
            headers={"Authorization": f"Bearer {stage.place.key('demo')}"},
            timeout=30,
            trust_env=False,
        )
        self._approver = Approver(stage)
        self._before = self._running()

    def strike(self) -> None:
        self._scenario.strike(self._stage)
        self._before = self._running()

    def links(self) -> Sequence[Link]:
        asking = (
            Link("asked", "a question in the team's inbox", self._asked),
            Link("agreed", "an answer that Amend takes", self._agreed),
        )
        return (
            Link("anomaly", "an alert of Prometheus that is at least pending", self._anomaly),
            Link("alert", "an alert of Prometheus that fires", self._firing),
            Link("webhook", "the alert's episode in Amend", self._webhook),
            *(asking if self._scenario.asks else ()),
            Link("guards", "a run of the playbook that was allowed to act", self._guards),
            Link("action", f"a finished {self._scenario.remedy}", self._action),
            Link("notified", "the notification in the team's inbox", self._notified),
            Link("verified", "the run's outcome", self._verified, VERDICT),
            Link("audit", "a log that `amend audit verify` finds whole", self._audit),
        )

    def ready(self) -> str | None:
        """Before the fault: Prometheus has seen the shop live, the detector has a band, and nothing fires."""
        detector = f'{{detector="{self._scenario.detector}",service="{self._scenario.service}"}}'
        seen = self._query(f'sum_over_time(up{{job="shop"}}[30s]) >= {SCRAPES}')
        usual = self._query(f"amend:band_mean{detector} and amend:zscore{detector}")
        if len(seen) < len(compose.SERVICES) or not usual or self._alerts():
            return None
        return f"{self._scenario.detector} of {self._scenario.service} is usually {usual[0]:.3g}; nothing fires"

    def _anomaly(self) -> str | None:
        alert = self._alert()
        if alert is None:
            return None
        numbers = alert["annotations"]
        return (
            f"{self._scenario.detector} of {self._scenario.service} is {numbers['value']}, "
            f"usually {numbers['mean']}: z-score {numbers['z_score']}"
        )

    def _firing(self) -> str | None:
        alert = self._alert()
        if alert is None or alert["state"] != "firing":
            return None
        return f"{alert['labels']['alertname']} ({alert['labels']['severity']}) fires in Prometheus"

    def _webhook(self) -> str | None:
        episode = self._episode()
        return f"Alertmanager's delivery is stored: episode {episode['id']}" if episode else None

    def _asked(self) -> str | None:
        self._run()  # which says so when there is nothing to ask about
        letter = self._approver.question()
        return f'the team is asked "{letter["title"]}"' if letter else None

    def _agreed(self) -> str | None:
        letter = self._approver.question()
        if letter is None:
            return None
        self._approver.agree(letter)
        return f'{NAME} agrees: "{COMMENT}"'

    def _guards(self) -> str | None:
        run = self._run()
        if run is None or run["status"] in ("matched", "waiting_approval", "queued"):
            return None
        return f"{len(run['guards'])} guards let run {run['id']} of {run['playbook']} act on {run['target']['name']}"

    def _action(self) -> str | None:
        started = [each for each in self._running() if each not in self._before]
        run = self._run()
        if not started or run is None or run["status"] not in ("verifying", "done"):
            return None
        return f"{run['steps'][0]['verb']}: {', '.join(life.begun(self._before) for life in started)}"

    def _notified(self) -> str | None:
        letters = [letter for letter in self._stage.inbox.letters if not letter["question"]]
        return f'the team got "{letters[-1]["message"]}"' if letters else None

    def _verified(self) -> str | None:
        run = self._run()
        if run is None or run["status"] != "done":
            return None
        if run["outcome"] != "fixed":
            raise Broken(f"the outcome of run {run['id']} is {run['outcome']}: {run['detail']}")
        return f"fixed: {run['detail']}"

    def _audit(self) -> str | None:
        argv = [str(AMEND), "audit", "verify", str(self._stage.place.root / "amend.db")]
        done = finished(argv, what="amend audit verify")
        if done.returncode:
            raise Broken(f"amend audit verify: {done.stdout}{done.stderr}")
        return done.stdout.partition(" (")[0].strip()

    def _running(self) -> Sequence[Life]:
        """The lives of the service's containers, as the engine tells them."""
        lives = map(Life.of, compose.shop(self._stage.client, self._scenario.service))
        return sorted(lives, key=lambda life: life.name)

    def _alerts(self) -> list[dict[str, Any]]:
        answer = self._prometheus.get("/alerts").raise_for_status().json()
        alerts: list[dict[str, Any]] = answer["data"]["alerts"]
        return [alert for alert in alerts if alert["labels"]["alertname"] != "Watchdog"]

    def _alert(self) -> dict[str, Any] | None:
        wanted = {"alertname": self._scenario.alert, "service": self._scenario.service}
        return next((alert for alert in self._alerts() if wanted.items() <= alert["labels"].items()), None)

    def _query(self, query: str) -> list[float]:
        answer = self._prometheus.get("/query", params={"query": query}).raise_for_status().json()
        return [float(each["value"][1]) for each in answer["data"]["result"]]

    def _episode(self) -> dict[str, Any] | None:
        episodes: list[dict[str, Any]] = self._amend.get("/episodes").raise_for_status().json()["episodes"]
        wanted = {"alertname": self._scenario.alert, "service": self._scenario.service}
        return next((each for each in episodes if wanted.items() <= each["labels"].items()), None)

    def _run(self) -> dict[str, Any] | None:
        """The run of the playbook, once there is one; Broken when it was decided against."""
        wanted = {"playbook": self._scenario.playbook, "label": f"service={self._scenario.service}"}
        runs: list[dict[str, Any]] = self._amend.get("/runs", params=wanted).raise_for_status().json()["runs"]
        if not runs:
            return None
        run = self._amend.get(f"/runs/{runs[0]['id']}").raise_for_status().json()
        if run["status"] in ("skipped", "cancelled"):
            raise Broken(f"run {run['id']} of {run['playbook']} was {run['status']}: {run['reason']}: {run['detail']}")
        return dict(run)


def _clock(at: str) -> str:
    """An engine's timestamp as local time; its nanoseconds are more than Python reads."""
    return datetime.fromisoformat(f"{at[:19]}+00:00").astimezone().strftime("%H:%M:%S")
