"""What is there when a step is carried out: handed to every action, together with its arguments."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from receiver.alertmanager import Alertmanager
from receiver.analysis.analyst import Analyst
from receiver.deployments import Deployments
from receiver.errors import Permanent
from receiver.outbound import Outbound
from receiver.programs import Programs
from receiver.run import Episode
from receiver.targets import Platform
from receiver.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is there when a step is carried out."""

    run_id: int
    playbook: str
    episode: Episode
    now: datetime
    within: timedelta
    workload: Workload | None
    platform: Platform | None
    leads_to: str  #: what a verb that `chooses` was foreseen to come to; "" for the others
    alertmanager: Alertmanager | None
    analyst: Analyst
    deployments: Deployments
    outbound: Outbound
    programs: Programs
    notify: Callable[[str, str], Awaitable[Mapping[str, Any]]]  #: (receiver's name, message)
    sleep: Callable[[timedelta], Awaitable[None]]

    def target(self) -> tuple[Platform, Workload]:
        """What to act on; a playbook without a target is refused when it is read, so this is a last line."""
        if self.platform is None or self.workload is None:
            raise Permanent("there is no target to act on")
        return self.platform, self.workload
