"""What a guard is, and how one is asked: those of the ledger together, the others one by one."""

from collections.abc import Awaitable
from typing import Protocol

import sqlalchemy as sa

from receiver.case import LATER, Case, World
from receiver.errors import Permanent, Temporary, Uncertain
from receiver.run import Reason


class Guard(Protocol):
    """Says no by raising."""

    @property
    def name(self) -> str: ...

    async def check(self, case: Case, world: World) -> None: ...


class LedgerGuard:
    """A guard that asks the store alone: with others in one look, and once more in the transaction of the claim."""

    name: str

    def judge(self, connection: sa.Connection, case: Case, world: World) -> None:
        raise NotImplementedError


async def ask(name: str, answer: Awaitable[None], case: Case) -> None:
    """A guard's answer; one that cannot be evaluated says no."""
    try:
        await answer
    except (Temporary, Permanent, Uncertain) as error:
        raise case.refuse(Reason.GUARD_ERROR, f"{name}: {error}", retry_in=LATER) from error
