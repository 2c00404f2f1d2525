"""Several receivers on one store, as a load balancer or a cluster of Alertmanagers sees them: one set of playbooks."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx

from tests.faults.altered import Altered


class Replicas:
    """`count` of them, from entering to leaving its `with` block; settings and alterations are everybody's."""

    def __init__(
        self, directory: Path, *, store: str, count: int = 3, altered: Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        self.all = [Altered(directory, altered=altered or {}, store={"url": store}, **settings) for _ in range(count)]
        for each in self.all[1:]:
            each.follow(self.all[0])
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(len(self.all)) as at_once:
            for started in [at_once.submit(self._open.enter_context, each) for each in self.all]:
                started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[Altered]:
        return iter(self.all)

    def __getitem__(self, number: int) -> Altered:
        return self.all[number]

    def post_to_all(self, *alerts: Mapping[str, Any]) -> list[httpx.Response]:
        """Deliver the same alerts to each of them at the same time."""
        with ThreadPoolExecutor(len(self.all)) as at_once:
            return list(at_once.map(lambda each: each.post(*alerts), self.all))

    def name(self, replica: Altered) -> str:
        """As the audit log knows it."""
        return f"amend/{replica.get('status')['replica']}"
