"""Deliveries lost, late, repeated and out of order, against the real ledger, beside a model that fits on a page.

The model is written from the rules of identity as the documentation tells them, for one alert at a time.
"""

import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, rule

from receiver.audit import Kind
from receiver.settings.limits import Limits
from tests.bed.receiver import alert
from tests.workbench import START, Bench

PLAYBOOKS = """
- name: restart
  mode: enforce
  matchers: ['alertname="Slow"']
  target: {docker: {container: "{{ labels.service }}"}}
  cooldown: 0s
  max_attempts: {count: 1000, within: 1h}
  steps:
  - restart: {}
"""

WINDOW = timedelta(minutes=10)

SERVICES = st.sampled_from(["orders", "users"])

Told = dict[str, Any]  #: one alert of a webhook


class Model:
    """What is known of one alert."""

    def __init__(self) -> None:
        self.open = False
        self.start = START  #: the earliest of the open episode
        self.heard = START  #: when the open episode was last spoken of
        self.end: datetime | None = None  #: the last one that we heard of
        self.acted = False  #: in the newest episode, of which we may have heard the end first
        self.did: Counter[str] = Counter()  #: what was made of its deliveries

    def hear(self, told: Told, now: datetime) -> None:
        start, end = (datetime.fromisoformat(told[key]) for key in ("startsAt", "endsAt"))
        self.did[self._firing(start, now) if told["status"] == "firing" else self._resolved(end)] += 1

    def _firing(self, start: datetime, now: datetime) -> str:
        if self.end and start <= self.end:
            return "late"
        lost = self.open and start > self.heard + WINDOW  # a `resolved` in between; there is no Prometheus to ask
        if lost:
            self.end = max(self.heard, self.end or self.heard)
            self.did["closed"] += 1
        known = self.open and not lost
        self.start = min(self.start, start) if known else start
        self.heard = now
        if known:
            return "refreshed"
        self.open = True
        another = lost or not self.end or start > self.end + WINDOW
        self.did["acted"] += another or not self.acted
        self.acted = True
        return "opened" if another else "reopened"

    def _resolved(self, end: datetime) -> str:
        if self.end and end <= self.end:
            return "repeated"
        if self.open and end < self.start:
            return "of another time"
        self.end = end
        was_open, self.open = self.open, False
        return "closed" if was_open else "remembered"


class Deliveries(RuleBasedStateMachine):
    """Alerts fire and end; what is told of that arrives at some time, once, never, or again and again."""

    told = Bundle("told")

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        directory = Path(self.opened.enter_context(tempfile.TemporaryDirectory()))
        limits = Limits(actions_per_minute=10_000, targets_per_10m=100)
        self.bench = self.opened.enter_context(Bench(directory, PLAYBOOKS, limits=limits))
        self.began: dict[str, datetime] = {}
        self.models = {"orders": Model(), "users": Model()}

    def teardown(self) -> None:
        self.opened.close()

    @rule(seconds=st.sampled_from([1, 30, 599, 601, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.bench.now += timedelta(seconds=seconds)

    @rule(target=told, service=SERVICES, drift=st.sampled_from([0, 0, -900, -5, 5, 900]))
    def it_fires(self, service: str, drift: int) -> Told:
        """Told again and again while it does, now and then with another start."""
        began = self.began.setdefault(service, self.bench.now)
        return alert("Slow", service=service, started=began + timedelta(seconds=drift))

    @rule(target=told, service=SERVICES)
    def it_ends(self, service: str) -> Told | MultipleResults[Told]:
        if service not in self.began:
            return multiple()
        began = self.began.pop(service)
        return alert("Slow", service=service, started=began, ended=max(began, self.bench.now))

    @rule(first=told, more=st.lists(told, max_size=2))
    def some_of_it_arrives(self, first: Told, more: list[Told]) -> None:
        each = {told["labels"]["service"]: told for told in (first, *more)}  # a group holds an alert once
        calls, late = len(self.bench.calls), sum(model.did["late"] for model in self.models.values())
        for service, told in each.items():
            self.models[service].hear(told, self.bench.now)
        self.bench.deliver(*each.values())
        if len(each) == sum(model.did["late"] for model in self.models.values()) - late:
            assert len(self.bench.calls) == calls, "a late firing acted"

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        episodes = self.bench.episodes()
        for service, model in self.models.items():
            ours = [episode for episode in episodes if episode.labels["service"] == service]
            assert sum(episode.open for episode in ours) == model.open
            assert max((episode.ends_at for episode in ours if episode.ends_at), default=None) == model.end
            rows = Counter(
                entry.kind for entry in self.bench.audit() if entry.data.get("labels", {}).get("service") == service
            )
            assert rows[Kind.EPISODE_OPENED] == model.did["opened"]
            assert rows[Kind.EPISODE_REOPENED] == model.did["reopened"]
            assert rows[Kind.EPISODE_CLOSED] == model.did["closed"]
            assert rows[Kind.ALERT_STALE] == model.did["late"]
            assert self.bench.calls.count(("restart", service)) == model.did["acted"]


Deliveries.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],  # looking for a shorter story takes minutes; add Phase.shrink for one
)


TestDeliveriesInAnyOrder = Deliveries.TestCase
