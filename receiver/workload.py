"""What an action acts on: a selector as a playbook names it, and the one workload that it turned out to be.

The platforms in targets/ turn the one into the other by listing; locks, cooldowns and limits use the workload's key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Selector:
    """A rendered target: names only, nothing looked up yet."""

    platform: str  #: `docker` or `kubernetes`
    instance: str | None  #: the configured platform's name; None where there is just one
    kind: str  #: `container`, `compose`, `service`; `Deployment`, `StatefulSet`, `DaemonSet`, `Pod`, `Node`
    name: str
    scope: str | None = None  #: the namespace, or the Compose project; a node and a Swarm's service have none

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.scope, self.name) if part)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The one thing that a selector named when it was looked up."""

    key: str  #: `docker/local/compose/shop/orders`: what locks, cooldowns and limits count by
    selector: Selector
    uid: str  #: the precondition of every call: a container's id, an object's uid
    members: tuple[str, ...] = ()  #: ids of the containers, in order; the one container itself
    replicas: int = 1  #: wanted
    ready: int = 0
    version: str = ""  #: image, or revision
    healthy: bool = False  #: by the platform's own judgement: health check, rollout status
    why: str = ""  #: why it is not healthy, in words
    detail: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.selector.name

    def __str__(self) -> str:
        return str(self.selector)
