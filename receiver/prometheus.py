"""Prometheus' HTTP API, as guards and verification ask it: instant queries and the rules it evaluates.

Every question is bounded in time. A Temporary means that it did not answer, a Permanent that it refused the question;
neither is ever an empty answer.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from receiver.errors import Permanent, Temporary

ANSWER_WITHIN = 5.0  #: seconds
RULES_KEPT = 5.0  #: seconds for which the list of rules is not asked for again


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

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(timeout=ANSWER_WITHIN, follow_redirects=False)
        self._rules: tuple[float, list[Rule]] = (-math.inf, [])

    async def query(self, expr: str, *, at: datetime | None = None) -> list[Sample]:
        """The instant vector (or scalar, as one sample without labels) that an expression gives."""
        form = {"query": expr, "timeout": f"{ANSWER_WITHIN:g}s"}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        data = await self._ask("POST", "/api/v1/query", data=form)
        result = data.get("result", [])
        if data.get("resultType") in {"scalar", "string"}:
            return [Sample({}, float(result[1]))]
        return [Sample(item["metric"], float(item["value"][1])) for item in result if "value" in item]

    async def rules(self) -> list[Rule]:
        """Every rule; up to five seconds old."""
        asked, rules = self._rules
        if time.monotonic() - asked > RULES_KEPT:
            data = await self._ask("GET", "/api/v1/rules")
            rules = [_rule(group, item) for group in data.get("groups", []) for item in group.get("rules", [])]
            self._rules = (time.monotonic(), rules)
        return rules

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        try:
            response = await self._client.request(method, self.url + path, **kwargs)
            body = response.json()
        except httpx.RequestError as error:
            raise Temporary(
                f"Prometheus at {self.url} does not answer: {str(error) or type(error).__name__}"
            ) from error
        except ValueError as error:
            raise Temporary(f"Prometheus at {self.url} answered {response.status_code} without JSON") from error
        if isinstance(body, dict) and body.get("status") == "success" and isinstance(body.get("data"), dict):
            data: dict[str, Any] = body["data"]
            return data
        said = body.get("error", response.status_code) if isinstance(body, dict) else response.status_code
        kind = Permanent if response.status_code in {400, 422} else Temporary
        raise kind(f"Prometheus at {self.url} refused: {said}")


def _rule(group: Mapping[str, Any], item: Mapping[str, Any]) -> Rule:
    return Rule(
        kind=item.get("type", ""),
        name=item.get("name", ""),
        expr=item.get("query", ""),
        labels=item.get("labels", {}),
        interval=float(group.get("interval", 60)),
        held=float(item.get("duration", 0)),
    )
