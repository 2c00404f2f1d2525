"""Prometheus' HTTP API, as guards and verification ask it: instant queries and the rules it evaluates.

Every question is bounded in time and size. A Temporary means that it did not answer, or not as Prometheus does, a
Permanent that it refused the question; neither is ever an empty answer.
"""

import asyncio
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from receiver.errors import Permanent, Temporary

ANSWER_WITHIN = 5.0  #: seconds
HISTORY_WITHIN = 60.0
LARGEST_ANSWER = 32 * 1024**2  #: bytes: the rules of a large Prometheus fit, an answer without end does not
RULES_KEPT = 5.0  #: seconds for which the list of rules is not asked for again

MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading an answer raises that has another form than Prometheus' own."""


@dataclass(frozen=True)
class Sample:
    """One series of an answer with its value."""

    labels: Mapping[str, str]
    value: float

    @property
    def usable(self) -> bool:
        """NaN says nothing: it is what 0/0 gives without traffic."""
        return not math.isnan(self.value)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule as Prometheus evaluates it. Durations are in seconds."""

    kind: str  #: `alerting` or `recording`
    name: str
    expr: str
    labels: Mapping[str, str]
    interval: float
    held: float = 0.0  #: `for`


class Prometheus:
    """One Prometheus, or anything that answers like it."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=ANSWER_WITHIN, follow_redirects=False, trust_env=False, transport=transport
        )
        self._rules: tuple[float, list[Rule]] = (-math.inf, [])

    async def query(self, expr: str, *, at: datetime | None = None) -> list[Sample]:
        """The instant vector (or scalar, as one sample without labels) that an expression gives."""
        form = {"query": expr, "timeout": f"{ANSWER_WITHIN:g}s"}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        data = await self._ask("POST", "/api/v1/query", data=form)
        try:
            return _samples(data)
        except MISSHAPEN as error:
            raise self._odd(error) from error

    async def history(
        self, expr: str, *, start: datetime, end: datetime, step: timedelta
    ) -> list[tuple[Mapping[str, str], list[float]]]:
        """Of each series that an expression gave: its labels, and the seconds since 1970 at which it had a sample."""
        form = {
            "query": expr,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{step.total_seconds():g}s",
        }
        data = await self._ask("POST", "/api/v1/query_range", within=HISTORY_WITHIN, data=form)
        try:
            return [(dict(each["metric"]), [float(at) for at, _ in each["values"]]) for each in data["result"]]
        except MISSHAPEN as error:
            raise self._odd(error) from error

    async def rules(self) -> list[Rule]:
        """Every rule; up to five seconds old."""
        asked, rules = self._rules
        if time.monotonic() - asked > RULES_KEPT:
            data = await self._ask("GET", "/api/v1/rules")
            try:
                rules = [_rule(group, item) for group in data.get("groups", []) for item in group.get("rules", [])]
            except MISSHAPEN as error:
                raise self._odd(error) from error
            self._rules = (time.monotonic(), rules)
        return rules

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, *, within: float = ANSWER_WITHIN, **kwargs: Any) -> dict[str, Any]:
        try:
            # the client's own time-out begins anew with every byte
            async with asyncio.timeout(within):
                status, text = await self._fetch(method, path, timeout=within, **kwargs)
            body = json.loads(text)
        except (httpx.RequestError, TimeoutError) as error:
            raise Temporary(
                f"Prometheus at {self.url} does not answer: {str(error) or type(error).__name__}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise Temporary(f"Prometheus at {self.url} answered {status} without JSON") from error
        if isinstance(body, dict) and body.get("status") == "success" and isinstance(body.get("data"), dict):
            data: dict[str, Any] = body["data"]
            return data
        said = body.get("error", status) if isinstance(body, dict) else status
        kind = Permanent if status in {400, 422} else Temporary
        raise kind(f"Prometheus at {self.url} refused: {said}")

    async def _fetch(self, method: str, path: str, **kwargs: Any) -> tuple[int, bytes]:
        """Status and body; Temporary as soon as there is more of it than anybody can need."""
        body = bytearray()
        async with self._client.stream(method, self.url + path, **kwargs) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise Temporary(f"Prometheus at {self.url} answered more than {LARGEST_ANSWER // 1024**2} MiB")
        return response.status_code, bytes(body)

    def _odd(self, error: Exception) -> Temporary:
        return Temporary(f"Prometheus at {self.url} answered in a form that is not Prometheus': {error!r}")


def _samples(data: Mapping[str, Any]) -> list[Sample]:
    result = data.get("result", [])
    if data.get("resultType") in {"scalar", "string"}:
        return [Sample({}, float(result[1]))]
    return [Sample(dict(item["metric"]), float(item["value"][1])) for item in result if "value" in item]


def _rule(group: Mapping[str, Any], item: Mapping[str, Any]) -> Rule:
    return Rule(
        kind=item.get("type", ""),
        name=item.get("name", ""),
        expr=item.get("query", ""),
        labels=item.get("labels", {}),
        interval=float(group.get("interval", 60)),
        held=float(item.get("duration", 0)),
    )
