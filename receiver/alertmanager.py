"""Alertmanager's API, as the worker asks it: which alerts it still knows."""

import asyncio
from collections.abc import Mapping

import httpx

from receiver.errors import Temporary
from receiver.labels import quoted

ANSWER_WITHIN = 5.0  #: seconds


class Alertmanager:
    """One Alertmanager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(timeout=ANSWER_WITHIN, follow_redirects=False, trust_env=False)

    async def lists(self, labels: Mapping[str, str]) -> bool:
        """Whether it still has an active alert with exactly these labels; Temporary when it does not say."""
        matchers = [f"{name}={quoted(value)}" for name, value in labels.items()]
        try:
            # the client's own time-out begins anew with every byte
            async with asyncio.timeout(ANSWER_WITHIN):
                response = await self._client.get(f"{self.url}/api/v2/alerts", params={"filter": matchers})
            response.raise_for_status()
            return any(alert["labels"] == dict(labels) for alert in response.json())
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError, KeyError, TypeError) as error:
            why = str(error) or type(error).__name__
            raise Temporary(f"Alertmanager at {self.url} does not answer: {why}") from error

    async def close(self) -> None:
        await self._client.aclose()
