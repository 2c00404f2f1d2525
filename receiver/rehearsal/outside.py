"""What a rehearsal has in place of the world: workloads that do what they are told, and somebody who answers questions.

Everything that is done or told is written down here, in order.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import promql_parser as promql

from receiver.alertmanager import Alertmanager, Silence
from receiver.errors import Permanent, Uncertain
from receiver.matchers import Matcher, all_match
from receiver.outbound import Outbound
from receiver.programs import Programs, Said
from receiver.prometheus import Prometheus, Rule
from receiver.rehearsal.script import State
from receiver.run import Reason, Refusal
from receiver.workload import Selector, Workload

ALERT = "rehearsed_alert"
"""The series that stands for whatever an alert's rule watches: 1 while the alert fires, 0 after that."""

Labels = frozenset[tuple[str, str]]

FOR_EVER = datetime(9800, 1, 1, tzinfo=UTC)  #: until the test says otherwise


@dataclass
class Outside:
    """All that there is, as it is now."""

    clock: Callable[[], datetime]
    workloads: dict[tuple[str, str], State] = field(default_factory=dict)  #: by platform and name
    values: dict[str, float | None] = field(default_factory=dict)  #: by PromQL, written as the parser writes it
    answers: dict[str, int] = field(default_factory=dict)  #: statuses by the beginning of a URL
    alerts: dict[Labels, bool] = field(default_factory=dict)  #: those that ever fired, and whether they do
    silences: list[Silence] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def set_values(self, values: Mapping[str, float | None]) -> None:
        self.values |= {promql.parse(expr).prettify(): value for expr, value in values.items()}

    def set_silence(self, labels: Mapping[str, str]) -> None:
        """Alerts with these labels are silenced from now on; with none, nothing is."""
        self.silences.clear()
        if labels:
            matchers = [Matcher.of(name, "=", value) for name, value in labels.items()]
            self.silence(matchers, by="the test", until=FOR_EVER)

    def silence(self, matchers: Sequence[Matcher], *, by: str, until: datetime) -> str:
        """A further silence; its id."""
        self.silences = [each for each in self.silences if each.ends_at > self.clock()]
        number = str(len(self.silences) + 1)
        self.silences.append(Silence(id=number, by=by, comment="", ends_at=until, matchers=tuple(matchers)))
        return number


@dataclass
class Stage:
    """A simulated Docker host or cluster: every name exists that the test gives a state, and no other."""

    name: str
    kind: str
    outside: Outside

    async def resolve(self, selector: Selector) -> Workload:
        state = self.outside.workloads.get((self.kind, str(selector)))
        if state is None:
            known = ", ".join(name for kind, name in self.outside.workloads if kind == self.kind) or "none"
            raise Refusal(Reason.NO_TARGET, f"the test has no {self.kind} workload {selector}; it has {known}")
        ready = state.replicas if state.ready is None else state.ready
        healthy = ready >= state.replicas if state.healthy is None else state.healthy
        return Workload(
            key=f"{self.kind}/{self.name}/{selector}",
            selector=selector,
            uid=state.uid or str(selector),
            replicas=state.replicas,
            ready=ready,
            version=state.version,
            healthy=healthy,
            why="" if healthy else f"{ready} of {state.replicas} replicas are ready",
        )

    async def restart(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        self._take(workload)
        return {"before": workload.ready, "after": workload.ready}

    async def scale(self, workload: Workload, replicas: int, *, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        self._change(workload, replicas=replicas, ready=None)
        return {"before": workload.replicas, "after": replicas}

    async def way_back(self, workload: Workload, *, to: str | None) -> str:
        return f"{to or 'the one before'} in place of {workload.version}"

    async def rollback(
        self,
        workload: Workload,
        *,
        to: str | None,
        within: timedelta,  # noqa: ARG002
        foreseen: str = "",  # noqa: ARG002
    ) -> Mapping[str, Any]:
        self._change(workload, version=to or "the one before")
        return {"before": workload.version, "after": to or "the one before"}

    async def rolled_out_at(self, workload: Workload) -> datetime | None:  # noqa: ARG002
        return None

    async def stop(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        self._change(workload, ready=0)
        return {}

    async def start(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        self._change(workload, ready=None)
        return {}

    async def delete_pod(
        self,
        workload: Workload,
        *,
        grace: int | None,  # noqa: ARG002
        force: bool,  # noqa: ARG002
        within: timedelta,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        self._take(workload)
        del self.outside.workloads[self.kind, str(workload)]
        return {}

    async def cordon(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        self._take(workload)
        return {}

    async def uncordon(self, workload: Workload, *, within: timedelta) -> Mapping[str, Any]:  # noqa: ARG002
        self._take(workload)
        return {}

    async def drain(
        self,
        workload: Workload,
        *,
        delete_emptydir_data: bool,  # noqa: ARG002
        within: timedelta,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        self._take(workload)
        return {}

    async def close(self) -> None:
        """Nothing is open."""

    def _change(self, workload: Workload, **update: Any) -> None:
        state = self._take(workload)
        self.outside.workloads[self.kind, str(workload)] = state.model_copy(update=update)

    def _take(self, workload: Workload) -> State:
        state = self.outside.workloads[self.kind, str(workload)]
        if state.fails:
            raise Permanent(state.fails)
        if state.cut_off:
            raise Uncertain("sent, and no answer: the test says so")
        return state


class Addressees(Outbound):
    """Takes requests and messages, and sends nothing anywhere."""

    def __init__(self, outside: Outside) -> None:
        super().__init__((), transport=NOWHERE)
        self._outside = outside

    async def send_allowed(self, method: str, url: str, *, within: float, **kwargs: Any) -> tuple[int, str]:
        return await self.send(method, url, within=within, **kwargs)

    async def send(
        self,
        method: str,  # noqa: ARG002
        url: str,
        *,
        within: float,  # noqa: ARG002
        json: Any = None,
        content: str | None = None,  # noqa: ARG002
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
        largest: int = 0,  # noqa: ARG002
    ) -> tuple[int, str]:
        if (urlsplit(url).hostname or "").endswith(RECEIVERS):
            self._outside.told.append(str(json["message"]))
        status = next((status for begin, status in self._outside.answers.items() if url.startswith(begin)), 200)
        return status, ""


NOWHERE = httpx.MockTransport(lambda _: httpx.Response(501))
"""For clients that are never asked: one that could reach something would first read all certificates of the machine."""

RECEIVERS = ".receiver.invalid"
"""The end of the addresses that receivers have in a rehearsal (RFC 2606: such a host never exists)."""


class Quiet(Alertmanager):
    """Knows the alerts and the silences of the test."""

    def __init__(self, outside: Outside) -> None:
        super().__init__("http://alertmanager.invalid", transport=NOWHERE)
        self._outside = outside

    async def lists(self, labels: Mapping[str, str]) -> bool:
        return self._outside.alerts.get(frozenset(labels.items()), False)

    async def silence(self, labels: Mapping[str, str]) -> Silence | None:
        now = self._outside.clock()
        in_force = (each for each in self._outside.silences if each.ends_at > now)
        found = next((each for each in in_force if all_match(each.matchers, labels)), None)
        # whether the test has ended its own is looked at soon
        return replace(found, ends_at=now + timedelta(minutes=1)) if found and found.ends_at == FOR_EVER else found

    async def put_silence(
        self,
        matchers: Sequence[Matcher],
        *,
        since: datetime,  # noqa: ARG002
        until: datetime,
        comment: str,  # noqa: ARG002
    ) -> str:
        return self._outside.silence(matchers, by="amend", until=until)


class Pretended(Programs):
    """Runs nothing: each command ends with the code that the test gives it."""

    def __init__(self, codes: Mapping[str, int]) -> None:
        super().__init__({})
        self._codes = codes

    async def run(self, name: str, args: Sequence[str], *, within: float, run_id: int) -> Said:  # noqa: ARG002
        if code := self._codes.get(name, 0):
            raise Permanent(f"{name} ended with code {code}: the test says so")
        return Said("")


class Oracle(Prometheus):
    """Answers in JSON, with the values that the test gives, and has a rule for each alert that ever fired."""

    def __init__(self, outside: Outside) -> None:
        super().__init__("http://prometheus.invalid", transport=NOWHERE)
        self._outside = outside
        self._known = 0  #: alerts that there were when the rules were asked for last

    async def rules(self) -> list[Rule]:
        if len(self._outside.alerts) != self._known:  # minutes of a rehearsal are shorter than what is kept
            self._known = len(self._outside.alerts)
            self._rules = (-math.inf, [])
        return await super().rules()

    async def _fetch(self, method: str, path: str, **kwargs: Any) -> tuple[int, bytes]:  # noqa: ARG002
        if path.endswith("/rules"):
            return _success({"groups": [{"name": "rehearsed", "interval": 15, "rules": self._alerting()}]})
        expr = promql.parse(kwargs["data"]["query"])
        result = [
            {"metric": dict(labels), "value": [self._outside.clock().timestamp(), str(value)]}
            for labels, value in self._evaluate(expr)
        ]
        return _success({"resultType": "vector", "result": result})

    def _alerting(self) -> list[dict[str, Any]]:
        names = {dict(labels).get("alertname", "") for labels in self._outside.alerts}
        return [
            {"type": "alerting", "name": name, "query": f"{_series(name)} > 0", "duration": 0, "labels": {}}
            for name in sorted(names)
        ]

    def _evaluate(self, expr: Any) -> list[tuple[Labels, float]]:
        known = self._outside.values
        text = expr.prettify()
        if text in known:
            value = known[text]
            return [] if value is None else [(frozenset(), value)]
        if isinstance(expr, promql.ParenExpr):
            return self._evaluate(expr.expr)
        if isinstance(expr, promql.BinaryExpr) and isinstance(expr.rhs, promql.NumberLiteral):
            holds = _COMPARISONS.get(str(expr.op))
            if holds:
                return [each for each in self._evaluate(expr.lhs) if holds(each[1], expr.rhs.val)]
        if isinstance(expr, promql.AggregateExpr):
            each = [(labels, 1.0) for labels, _ in self._evaluate(expr.expr)]
            return each if expr.modifier else each[:1]  # `by` keeps alerts of one name apart
        if isinstance(expr, promql.VectorSelector):
            return self._rehearsed(expr.name or "") or self._behind(text)
        return []

    def _rehearsed(self, series: str) -> list[tuple[Labels, float]]:
        return [
            (frozenset(pair for pair in labels if pair[0] != "alertname"), float(fires))
            for labels, fires in self._outside.alerts.items()
            if _series(dict(labels).get("alertname", "")) == series
        ]

    def _behind(self, series: str) -> list[tuple[Labels, float]]:
        """A series that only stands inside of an expression that the test gives a value has samples."""
        inside = any(series in text for text, value in self._outside.values.items() if value is not None)
        return [(frozenset(), 1.0)] if inside else []


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
}


def _series(alertname: str) -> str:
    """The series of an alert; by a digest, as an alert may be called anything."""
    return f"{ALERT}_{hashlib.sha256(alertname.encode()).hexdigest()[:12]}"


def _success(data: Mapping[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps({"status": "success", "data": data}).encode()
