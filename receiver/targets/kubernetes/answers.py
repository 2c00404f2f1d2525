"""What it means when an API server does not say yes; apiserver.py turns each such answer into an error with it.

The error's type says what may be done about it, and its words name the missing right, or are the server's own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.errors import Permanent, Temporary, Uncertain


class Gone(Permanent):
    """There is none of that name."""


class Rejected(Permanent):
    """The change does not fit what is there; so answers a JSON patch one of whose tests failed."""


class Blocked(Temporary):
    """A PodDisruptionBudget does not allow it now; nothing was done."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a call asks for, in the words of a Role: a 403 is answered with it."""

    verb: str
    resource: str
    group: str
    namespace: str  #: "" for the whole cluster

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"

    @property
    def right(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in the cluster"
        return f'"{self.verb}" on {self.resource} ({self.group or "core"}) {where}'


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One that is not a yes."""

    code: int
    phrase: str
    status: Mapping[str, Any]  #: the object of the kind Status; a proxy in between may have answered in HTML
    delay: float | None = None  #: seconds that it asked to wait

    @property
    def words(self) -> str:
        return str(self.status.get("message") or f"{self.code} {self.phrase}")

    @property
    def causes(self) -> Mapping[str, str]:
        causes = (self.status.get("details") or {}).get("causes") or ()
        return {str(cause.get("reason")): str(cause.get("message") or "") for cause in causes}


def read(code: int | None, phrase: str | None, body: Any, headers: Mapping[str, str] | None) -> Answer:
    try:
        status = json.loads(body or "")
    except ValueError:
        status = {}
    after = (headers or {}).get("Retry-After", "")
    return Answer(
        code=code or 0,
        phrase=phrase or "",
        status=status if isinstance(status, dict) else {},
        delay=float(after) if after.isdigit() else None,
    )


def error_for(
    answer: Answer, asked: Asked, *, server: str, otherwise: type[Temporary | Uncertain]
) -> Temporary | Permanent | Uncertain:
    """`otherwise` is what a server in trouble (5xx) leaves behind: etcd may have written before it gave up."""
    words = f"{server}: {asked}: {answer.words}"
    if answer.code == 403 and _lacks_right(answer):
        return Permanent(f"{server}: the right {asked.right} is missing: {answer.words}")
    if answer.code == 404:
        return Gone(words)
    if answer.code == 409:  # by the precondition that every write carries, so that nothing was changed
        return Temporary(f"{words}; it changed at the same moment, and nothing was done")
    if answer.code == 422:
        return Rejected(words)
    if answer.code == 429 and _is_about_budget(answer, asked):
        return Blocked(" ".join([words, *answer.causes.values()]), delay=answer.delay)
    if answer.code == 429:  # turned away at the door, before anything is looked at
        return Temporary(f"{words}; nothing was done", delay=answer.delay)
    if answer.code == 500 and "more than one PodDisruptionBudget" in answer.words:
        return Permanent(words)  # not a server in trouble: its eviction says no with this code, whoever asks
    return Permanent(words) if 300 <= answer.code < 500 else otherwise(words)


def _lacks_right(answer: Answer) -> bool:
    """An admission webhook, and a namespace that is being deleted, forbid with the same code and other words."""
    return not answer.status or " cannot " in answer.words


def _is_about_budget(answer: Answer, asked: Asked) -> bool:
    """A server that is busy says when to come again; one that keeps a budget mostly does not."""
    return asked.resource == "pods/eviction" and (answer.delay is None or "DisruptionBudget" in answer.causes)
