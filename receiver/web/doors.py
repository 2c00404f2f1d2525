"""What the web doors use of the rest of the receiver, and nothing more; `serve` fills it in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from receiver.approvals import Approvals
from receiver.deployments import Deployments
from receiver.outbound import Outbound
from receiver.playbook import Playbook
from receiver.settings import Settings
from receiver.signing import Signer
from receiver.standstill import Standstill
from receiver.store import Ledger
from receiver.trigger import Trigger


@dataclass(frozen=True, kw_only=True)
class Doors:
    settings: Settings
    ledger: Ledger
    clock: Callable[[], datetime]
    wake: Callable[[], None]  #: called after a delivery was stored, so that the worker looks at once
    reload: Callable[[str], Awaitable[None]]  #: by whom; ConfigError(s) when the new set is bad, the old one stays
    playbooks: Callable[[], Sequence[Playbook]]  #: those in force
    replica: str
    config_hash: Callable[[], str]
    signer: Signer
    standstill: Standstill
    approvals: Approvals
    deployments: Deployments
    trigger: Trigger
    outbound: Outbound
