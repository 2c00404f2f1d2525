"""What a verb is: its arguments, what it acts on, and what the guards and the pipeline need to know of it.

Every action is one; actions/ registers them by the name that a playbook uses.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import BaseModel

from receiver.actions.scene import Scene
from receiver.deployments import Deployments
from receiver.documents import Part
from receiver.targets import Platform
from receiver.workload import Workload


class NoArguments(Part):
    """None: `restart: {}`."""

    EXAMPLE = "{}"


class Verb(ABC):
    """One verb, as careful as most of them unless it says otherwise."""

    arguments: ClassVar[type[BaseModel]] = NoArguments
    kinds: ClassVar[Collection[str]] = ()
    """The kinds of targets that it acts on; none when it needs no target."""
    intervenes: ClassVar[bool] = True
    """It changes what runs: people who must agree are asked about it, and it never follows upon their no."""
    counts: ClassVar[bool] = True
    """limits.actions_per_minute counts it."""
    replaces: ClassVar[bool] = False
    """What the target is made of may be something else afterwards."""
    chooses: ClassVar[bool] = False
    """Its arguments leave open what it comes to: that is looked up, shown to people, and held to."""
    idempotent: ClassVar[bool] = False
    """Doing it twice does no more than doing it once, so that it may be tried again when no answer came."""

    def takes(self, arguments: Any) -> timedelta:  # noqa: ARG002
        """The least that it takes, whatever the step's time-out is."""
        return timedelta()

    async def leads_to(
        self,
        arguments: Any,  # noqa: ARG002
        *,
        platform: Platform,  # noqa: ARG002
        workload: Workload,  # noqa: ARG002
        deployments: Deployments,  # noqa: ARG002
    ) -> str:
        """What it comes to, in words, of a verb that `chooses`; Permanent when it would come to nothing."""
        return ""

    @abstractmethod
    async def __call__(self, arguments: Any, scene: Scene) -> Mapping[str, Any]:
        """Do it, and tell what was done.

        Temporary: nothing was sent. Uncertain: sent, and no answer. Permanent: it will not work.
        """
