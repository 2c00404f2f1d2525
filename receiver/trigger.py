"""Alerts that a person makes up: what playbooks would do about one, or one that is answered like any other.

The doors call it. A trial asks the real platforms, Prometheus and the books, writes nothing and does nothing.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from receiver.actions import ACTIONS
from receiver.alerts import Alert, Message
from receiver.audit import Kind
from receiver.case import Case, World
from receiver.conventions import ALERTNAME
from receiver.decision import Judgement, gives_up
from receiver.matchers import all_match
from receiver.plan import Planned, plan
from receiver.playbook import Playbook
from receiver.run import MADE_UP, Episode, Phase, Refusal, Run, Status
from receiver.store import deliveries

NOTHING = 0  #: the id of an episode and a run that are not in the books


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a playbook would do about an alert."""

    playbook: Playbook
    passed: Sequence[str]  #: guards that let it
    refusal: Refusal | None
    asks: str  #: why people would be asked
    target: Mapping[str, Any] | None
    steps: Sequence[Mapping[str, Any]]
    on_failure: Sequence[Mapping[str, Any]]  #: what follows at once upon a no that is final

    @property
    def would(self) -> str:
        """In a word: `skip`, `ask`, `observe` or `act`."""
        if self.refusal:
            return "skip"
        if not self.playbook.enforced:
            return "observe"
        return "ask" if self.asks else "act"


@dataclass(frozen=True)
class Trigger:
    """Makes alerts up."""

    world: World
    judgement: Judgement
    playbooks: Callable[[], Sequence[Playbook]]
    wake: Callable[[], None]

    async def tried(self, alert: Alert) -> list[Trial]:
        """What each playbook that fits would do now; empty where none fits."""
        fitting = [each for each in self.playbooks() if all_match(each.matchers, alert.labels)]
        # at once: a platform that hangs keeps each of them waiting
        trials = [self._tried(each, alert) for each in fitting if each.on == alert.status]
        return await asyncio.gather(*trials)

    def missed(self, alert: Alert) -> list[tuple[Playbook, str]]:
        """Playbooks that name this alert and still do not fit, each with what is in the way."""
        found = []
        for playbook in self.playbooks():
            no = [each for each in playbook.matchers if not each.matches(alert.labels)]
            named = any(each.name == ALERTNAME for each in playbook.matchers)
            if not named or any(each.name == ALERTNAME for each in no):
                continue
            if no:
                found.append((playbook, f"not matched: {', '.join(map(str, no))}"))
            elif playbook.on != alert.status:
                found.append((playbook, f"on: {playbook.on}"))
        return found

    async def send(self, alert: Alert, *, by: str) -> int:
        """Store it as a delivery, which the playbooks in force then answer; its id."""
        message = Message(receiver=MADE_UP, group_key="", external_url="", truncated=0, alerts=(alert,))
        now = self.world.clock()

        def write(connection: sa.Connection) -> int:
            told = {
                "alertname": alert.labels.get(ALERTNAME, ""),
                "labels": alert.labels,
                "annotations": alert.annotations,
                "status": alert.status,
            }
            self.world.log.append(connection, Kind.TRIGGERED, at=now, data=told, actor=by)
            return deliveries.store(connection, message, source=MADE_UP, received_at=now, replica_labels=())

        stored = await self.world.ledger.write(write)
        self.wake()
        return stored

    async def _tried(self, playbook: Playbook, alert: Alert) -> Trial:
        case = self._case(playbook, alert)
        decision = await self.judgement.would(case)
        return Trial(
            playbook=playbook,
            passed=decision.passed,
            refusal=decision.refusal,
            asks=case.asks,
            target=case.target(),
            steps=[planned.shown() for planned in decision.plan],
            on_failure=[planned.shown() for planned in _gives_up(case, decision.refusal)],
        )

    def _case(self, playbook: Playbook, alert: Alert) -> Case:
        now = self.world.clock()
        episode = Episode(
            id=NOTHING,
            alert_key="",
            source=MADE_UP,
            fingerprint="",
            labels=alert.labels,
            annotations=alert.annotations,
            starts_at=alert.starts_at,
            last_starts_at=alert.starts_at,
            opened_at=now,
            last_seen_at=now,
        )
        run = Run(
            id=NOTHING,
            episode_id=NOTHING,
            playbook=playbook.name,
            attempt=1,
            mode=playbook.mode,
            status=Status.MATCHED,
            created_at=now,
            updated_at=now,
        )
        return Case(run, episode, playbook, now)


def _gives_up(case: Case, no: Refusal | None) -> Iterator[Planned]:
    """What `on_failure` would still do: a run that never acted touches no workload."""
    if no is None or not gives_up(case, no):
        return
    case.run = replace(case.run, status=Status.SKIPPED, reason=no.reason, detail=no.detail)
    for step in case.playbook.on_failure:
        if not ACTIONS[step.verb].intervenes:
            with suppress(Refusal):  # the others are done without it
                yield from plan(case, [step], phase=Phase.ON_FAILURE)
