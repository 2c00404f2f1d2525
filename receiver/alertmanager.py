"""Alertmanager's API, spoken to by the worker, the guards and `silence`: which alerts it knows, what is silenced."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.labels import quoted
from receiver.matchers import Matcher, all_match

ANSWER_WITHIN = 5.0  #: seconds
OPERATORS = {(True, False): "=", (True, True): "=~", (False, False): "!=", (False, True): "!~"}
"""Of a silence's matchers, by `isEqual` and `isRegex`."""

_IS = {operator: {"isEqual": equal, "isRegex": regex} for (equal, regex), operator in OPERATORS.items()}


@dataclass(frozen=True, kw_only=True)
class Silence:
    """One that is in force."""

    id: str
    by: str
    comment: str
    ends_at: datetime
    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        return f"silenced by {self.by} until {self.ends_at:%Y-%m-%d %H:%M:%S} UTC: {self.comment}"


class Alertmanager:
    """One Alertmanager."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=ANSWER_WITHIN, follow_redirects=False, trust_env=False, transport=transport
        )
        self._asking = asyncio.Lock()
        self._begun = 0  #: how often we asked for silences
        self._silences: list[Silence] | Temporary = []

    async def lists(self, labels: Mapping[str, str]) -> bool:
        """Whether it still has an active alert with exactly these labels; Temporary when it does not say."""
        matchers = [f"{name}={quoted(value)}" for name, value in labels.items()]
        try:
            alerts = await self._get("alerts", filter=matchers)
            return any(alert["labels"] == dict(labels) for alert in alerts)
        except (KeyError, TypeError) as error:
            raise self._silent(error) from error

    async def silence(self, labels: Mapping[str, str]) -> Silence | None:
        """A silence that is in force for an alert with these labels; Temporary when it does not say.

        In a storm all who wait share one answer, or the lack of one; it was asked for after they came.
        """
        begun = self._begun
        async with self._asking:
            if self._begun == begun:
                self._begun += 1
                try:
                    self._silences = await self._in_force()
                except Temporary as error:
                    self._silences = error
            known = self._silences
        if isinstance(known, Temporary):
            raise Temporary(str(known))
        return next((each for each in known if all_match(each.matchers, labels)), None)

    async def put_silence(self, matchers: Sequence[Matcher], *, since: datetime, until: datetime, comment: str) -> str:
        """Silence what fits all of these; the silence's id. Temporary, Uncertain or Permanent as an action's errors."""
        body = {
            "matchers": [{"name": each.name, "value": each.value, **_IS[each.operator]} for each in matchers],
            "startsAt": since.isoformat(),
            "endsAt": until.isoformat(),
            "createdBy": "amend",
            "comment": comment,
        }
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                response = await self._client.post(f"{self.url}/api/v2/silences", json=body)
            if response.is_client_error:
                raise Permanent(f"Alertmanager at {self.url} answered {response.status_code}: {response.text[:200]}")
            response.raise_for_status()
            return str(response.json()["silenceID"])
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._silent(error) from error
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError, KeyError, TypeError) as error:
            told = str(error) or type(error).__name__
            raise Uncertain(f"Alertmanager at {self.url} was told, and did not answer: {told}") from error

    async def _in_force(self) -> list[Silence]:
        try:
            return [_silence(each) for each in await self._get("silences") if each["status"]["state"] == "active"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._silent(error) from error

    async def _get(self, path: str, **parameters: Any) -> Any:
        try:
            # the client's own time-out begins anew with every byte
            async with asyncio.timeout(ANSWER_WITHIN):
                response = await self._client.get(f"{self.url}/api/v2/{path}", params=parameters)
            response.raise_for_status()
            return response.json()
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> Temporary:
        return Temporary(f"Alertmanager at {self.url} does not answer: {str(error) or type(error).__name__}")

    async def close(self) -> None:
        await self._client.aclose()


def _silence(found: Mapping[str, Any]) -> Silence:
    """One as `GET /api/v2/silences` gives it."""
    return Silence(
        id=found["id"],
        by=found["createdBy"],
        comment=found["comment"],
        ends_at=datetime.fromisoformat(found["endsAt"]),
        matchers=tuple(
            Matcher.of(each["name"], OPERATORS[each.get("isEqual", True), each["isRegex"]], each["value"])
            for each in found["matchers"]
        ),
    )
