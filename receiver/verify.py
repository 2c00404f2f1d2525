"""Did it help? Looks at the alert's own expression, at the samples behind it, and at the workload.

The pipeline asks again and again until the verdict is in. Silence is never success: without samples, with a filtered
value or a baseline that has learned the fault the verdict is `unknown`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.alert_evidence import AlertEvidence, Evidence, Look, Sight, alerting_rules
from receiver.errors import AmendError
from receiver.evidence import holds
from receiver.playbook import Verify
from receiver.prometheus import Prometheus
from receiver.run import Episode, Outcome
from receiver.workload import Workload

BLINK = timedelta(minutes=1)  #: a longer time without a look, and what was seen before it counts no more

UNREADABLE = "a rule's expression is in a dialect that cannot be read"
UNSEEN = Look(Sight.BLIND, "not looked yet")


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A verification under way, as it is kept with the run."""

    since: datetime  #: when the steps were done
    fired_at: datetime  #: when the alert began: what the baseline was then
    quiet_since: datetime | None = None
    looked_at: datetime | None = None
    last: Look = UNSEEN

    @classmethod
    def from_state(cls, state: Mapping[str, str | None]) -> "Watch":
        quiet, looked = state.get("quiet_since"), state.get("looked_at")
        return cls(
            since=datetime.fromisoformat(state["since"] or ""),
            fired_at=datetime.fromisoformat(state["fired_at"] or ""),
            quiet_since=datetime.fromisoformat(quiet) if quiet else None,
            looked_at=datetime.fromisoformat(looked) if looked else None,
            last=Look(Sight(state["sight"] or "blind"), state["why"] or ""),
        )

    def as_state(self) -> dict[str, str | None]:
        return {
            "since": self.since.isoformat(),
            "fired_at": self.fired_at.isoformat(),
            "quiet_since": self.quiet_since.isoformat() if self.quiet_since else None,
            "looked_at": self.looked_at.isoformat() if self.looked_at else None,
            "sight": self.last.sight,
            "why": self.last.why,
        }


@dataclass(frozen=True)
class Verdict:
    """The outcome, and what it rests on."""

    outcome: Outcome
    why: str


def judge(watch: Watch, look: Look, verify: Verify, *, now: datetime) -> tuple[Watch, Verdict | None]:
    """What a new look makes of the verification: go on watching, or a verdict."""
    seen_before = watch.quiet_since if watch.looked_at and now - watch.looked_at <= BLINK else None
    quiet_since = (seen_before or now) if look.sight is Sight.QUIET else None
    seen = Watch(since=watch.since, fired_at=watch.fired_at, quiet_since=quiet_since, looked_at=now, last=look)
    if quiet_since and now - quiet_since >= verify.absent_for:
        return seen, Verdict(Outcome.FIXED, look.why)
    if now - watch.since < verify.deadline:
        return seen, None
    outcome = Outcome.NOT_FIXED if look.sight is Sight.FIRING else Outcome.UNKNOWN
    why = look.why if look.sight is not Sight.QUIET else "false only since a moment ago: not long enough to tell"
    return seen, Verdict(outcome, why)


class Verifier:
    """Looks with Prometheus' eyes."""

    def __init__(self, prometheus: Prometheus | None) -> None:
        self._prometheus = prometheus

    async def look(self, verify: Verify, episode: Episode, workload: Workload | None, *, fired_at: datetime) -> Look:
        """One look at everything that `verify` asks for; the least favourable part decides."""
        looks = [Look(Sight.QUIET, "")]
        if verify.healthy:
            looks.append(_health(workload))
        if verify.query is not None:
            looks.append(await self._query(verify.query))
        if verify.resolved_within is not None:
            looks.append(await self._expression(episode, fired_at))
        worst = _worst(looks)
        if worst.sight is Sight.QUIET:
            return Look(Sight.QUIET, "; ".join(look.why for look in looks if look.why))
        return worst

    async def _query(self, expr: str) -> Look:
        if self._prometheus is None:
            return Look(Sight.BLIND, "no Prometheus is configured")
        try:
            true = holds(await self._prometheus.query(expr), expr)
            blind = await Evidence(self._prometheus, await self._prometheus.rules()).missing(expr, true=true)
        except AmendError as error:
            return Look(Sight.BLIND, str(error))
        except ValueError as error:
            return Look(Sight.BLIND, f"{UNREADABLE}: {error}")
        if blind:
            return Look(Sight.BLIND, blind)
        return Look(Sight.QUIET, f"true: {expr}") if true else Look(Sight.FIRING, f"not true: {expr}")

    async def _expression(self, episode: Episode, fired_at: datetime) -> Look:
        if self._prometheus is None:
            return Look(Sight.BLIND, "no Prometheus is configured")
        try:
            rules = await self._prometheus.rules()
            fitting = [
                AlertEvidence(self._prometheus, rules, rule, episode.labels)
                for rule in alerting_rules(rules, episode.labels)
            ]
            if not fitting:
                return Look(Sight.BLIND, f'Prometheus has no rule for the alert "{episode.alertname}" with its labels')
            if any([await evidence.fires() for evidence in fitting]):
                return Look(Sight.FIRING, "the alert's expression is still true")
            # Of several rules of this name, those that were true when it fired are those that raised it.
            raised = [evidence for evidence in fitting if len(fitting) == 1 or await evidence.fires(at=fired_at)]
            return _worst([await evidence.look(fired_at) for evidence in raised or fitting])
        except AmendError as error:
            return Look(Sight.BLIND, str(error))
        except ValueError as error:
            return Look(Sight.BLIND, f"{UNREADABLE}: {error}")


def _worst(looks: Iterable[Look]) -> Look:
    order = (Sight.FIRING, Sight.BLIND, Sight.QUIET)
    return min(looks, key=lambda look: order.index(look.sight))


def _health(workload: Workload | None) -> Look:
    if workload is None:
        return Look(Sight.BLIND, "the workload cannot be looked at")
    if workload.healthy:
        return Look(Sight.QUIET, f"{workload} is healthy")
    return Look(Sight.FIRING, f"{workload} is not healthy: {workload.why}")
