"""Telling people about a run: the one place where a case becomes a notice, with all that a good message shows.

The execution tells through it for `notify` steps, the asking for questions. Nothing that a receiver does or leaves
undone keeps a run for longer than it says here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import stamina
import structlog

from receiver.approval import Approval
from receiver.case import Case, World
from receiver.conventions import SEVERITY, SUMMARY
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.notifiers.notice import Deed, Kind, Notice, Question
from receiver.run import Outcome, Run, Step
from receiver.store import StoreError, runs
from receiver.visible import cut

LONGEST = 200  #: characters of an alert's summary, a result and an argument that people are told
ASK_WITHIN = 15.0  #: seconds that everybody who is asked has to be told
ASK_TRIES = 3
AGAIN = (Temporary, Uncertain)  #: a question that is put twice is better than one that nobody hears

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Telling:
    """Tells people."""

    world: World

    async def tell(self, case: Case, name: str, message: str, *, said: dict[str, Any]) -> Mapping[str, Any]:
        """A message through one receiver; `said` holds what its places answered at earlier tries, and grows."""
        # the case holds the run as it was claimed; the store knows what has been done since
        try:
            run = await self.world.ledger.read(partial(runs.get, run_id=case.run.id)) or case.run
        except StoreError:
            run = case.run  # all the more reason to tell somebody
        done = tuple(_deed(step) for step in run.steps if step.finished_at)
        outcome = "" if run.outcome is Outcome.NONE else str(run.outcome)
        notice = replace(_about(case), message=message, link=self.world.link(run), done=done, outcome=outcome)
        return await self.world.receivers.tell(name, notice, said=said)

    async def ask(self, case: Case, approval: Approval, why: str) -> None:
        """Through the receivers that are called like the teams; whoever cannot be told does not keep the run."""
        notice = self._question(case, approval, why)
        names = [name for name in approval.approvers if name in self.world.receivers]
        await asyncio.gather(*(self._ask(case.run, name, notice) for name in names))

    async def _ask(self, run: Run, name: str, notice: Notice) -> None:
        said: dict[str, Any] = {}
        try:
            async with asyncio.timeout(ASK_WITHIN):
                async for attempt in stamina.retry_context(on=AGAIN, attempts=ASK_TRIES, wait_initial=0.2):
                    with attempt:
                        await self.world.receivers.tell(name, notice, said=said)
        except (Temporary, Permanent, Uncertain, TimeoutError) as error:
            why = str(error) or f"no answer within {ASK_WITHIN:g}s"
            log.error("not told of an approval", run=run.id, receiver=name, error=why)

    def _question(self, case: Case, approval: Approval, why: str) -> Notice:
        run, summary = case.run, cut(case.episode.annotations.get(SUMMARY, ""), LONGEST)
        plan = ", ".join(step["verb"] for step in approval.shown["steps"])
        alert = ", ".join(filter(None, (case.episode.alertname, case.episode.labels.get(SEVERITY))))
        about = f"run {run.id} ({alert}{': ' if summary else ''}{summary})"
        until = f"until {approval.expires_at:%H:%M:%S} UTC"
        asked = Question(
            steps=tuple(map(_step, approval.shown["steps"])),
            on_failure=tuple(map(_step, approval.shown["on_failure"])),
            why=why,
            until=approval.expires_at,
            digest=approval.digest,
            token=self.world.signer.approval(approval) if self.world.slack_buttons else "",
        )
        known = _about(case)
        return replace(
            known,
            kind=Kind.ASKED,
            message=f"{about}: may {case.playbook.name} do {plan} on {case.key}? Answer {until}; {why}",
            link=self.world.approval_link(approval),
            title=f"May {case.playbook.name} do {plan} on {case.key}?",
            key=f"{known.key}/question/{approval.id}",  # a pager must not take it for one that it has paged for
            question=asked,
        )


def _about(case: Case) -> Notice:
    """What there is to say about a case, whatever is told."""
    run, episode = case.run, case.episode
    return Notice(
        message="",
        link="",
        run={"id": run.id, "playbook": run.playbook, "attempt": run.attempt, "target": case.key},
        labels=episode.labels,
        title=f"{episode.alertname}: {case.playbook.name} on {case.key}",
        alert=episode.alertname,
        severity=episode.labels.get(SEVERITY, ""),
        summary=episode.annotations.get(SUMMARY, ""),
        numbers=case.numbers,
        # of this stretch of this alert; the episode's number alone would be another installation's, too
        key=f"amend/{episode.alert_key[:32]}/{episode.id}",
    )


def _deed(step: Step) -> Deed:
    return Deed(step.verb, str(step.status), cut(step.error or _pairs(step.result), LONGEST))


def _step(shown: Mapping[str, Any]) -> str:
    """`scale (to: 3)`."""
    told = _pairs(shown.get("arguments") or {})
    return f"{shown['verb']} ({told})" if told else str(shown["verb"])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {cut(str(value), LONGEST)}" for name, value in values.items())
