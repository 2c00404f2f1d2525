"""The verbs of playbooks: one file each, found here by name.

An action gets its arguments with all templates filled in and the scene it plays in; it returns what it did, or raises
Temporary (nothing was sent), Uncertain (sent, no answer) or Permanent (it will not work).
"""

from collections.abc import Mapping

from pydantic import BaseModel

from receiver.actions.analyze import Analyze
from receiver.actions.command import Command
from receiver.actions.cordon import Cordon
from receiver.actions.delete_pod import DeletePod
from receiver.actions.drain import Drain
from receiver.actions.http import Http
from receiver.actions.notify import Notify
from receiver.actions.restart import Restart
from receiver.actions.rollback import Rollback
from receiver.actions.scale import Scale
from receiver.actions.silence import Silence
from receiver.actions.start import Start
from receiver.actions.stop import Stop
from receiver.actions.uncordon import Uncordon
from receiver.actions.verb import Verb
from receiver.actions.wait import Wait

ACTIONS: Mapping[str, Verb] = {
    "analyze": Analyze(),
    "command": Command(),
    "cordon": Cordon(),
    "delete_pod": DeletePod(),
    "drain": Drain(),
    "http": Http(),
    "notify": Notify(),
    "restart": Restart(),
    "rollback": Rollback(),
    "scale": Scale(),
    "silence": Silence(),
    "start": Start(),
    "stop": Stop(),
    "uncordon": Uncordon(),
    "wait": Wait(),
}

VERBS: Mapping[str, type[BaseModel]] = {verb: action.arguments for verb, action in ACTIONS.items()}
"""What playbook.py needs to read steps."""
