"""The verbs of playbooks: one file each, found here by name.

An action gets its arguments with all templates filled in and the scene it plays in; it returns what it did, or raises
Temporary (nothing was sent), Uncertain (sent, no answer) or Permanent (it will not work).
"""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel

from receiver.actions.http import Http
from receiver.actions.notify import Notify
from receiver.actions.restart import Restart
from receiver.actions.scale import Scale
from receiver.actions.scene import Scene


class Action(Protocol):
    """One verb."""

    @property
    def arguments(self) -> type[BaseModel]: ...

    @property
    def changes_target(self) -> bool:
        """It acts on the workload, and so needs one."""

    @property
    def idempotent(self) -> bool:
        """Doing it twice does no more than doing it once."""

    async def __call__(self, arguments: Any, scene: Scene) -> Mapping[str, Any]: ...


ACTIONS: Mapping[str, Action] = {
    "http": Http(),
    "notify": Notify(),
    "restart": Restart(),
    "scale": Scale(),
}

VERBS: Mapping[str, type[BaseModel]] = {verb: action.arguments for verb, action in ACTIONS.items()}
"""What playbook.py needs to read steps."""
