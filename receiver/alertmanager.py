"""Alertmanager's API, as the worker asks it: which alerts it still knows."""

from collections.abc import Mapping

import httpx

from receiver.errors import Temporary
from receiver.labels import quoted


class Alertmanager:
    """One Alertmanager."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(timeout=5.0, follow_redirects=False)

    async def lists(self, labels: Mapping[str, str]) -> bool:
        """Whether it still has an active alert with exactly these labels; Temporary when it does not say."""
        matchers = [f"{name}={quoted(value)}" for name, value in labels.items()]
        try:
            response = await self._client.get(f"{self.url}/api/v2/alerts", params={"filter": matchers})
            response.raise_for_status()
            return any(alert["labels"] == dict(labels) for alert in response.json())
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Temporary(f"Alertmanager at {self.url} does not answer: {error or type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.aclose()
