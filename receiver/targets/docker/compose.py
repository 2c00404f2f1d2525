"""What Docker Compose writes on its containers, and what one more of them is made of; host.py asks.

Nothing is sent from here: a service that cannot have one more container is refused in words before anything is.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from receiver.errors import Permanent
from receiver.targets.docker.blueprint import Blueprint
from receiver.targets.docker.container import Container

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONEOFF = "com.docker.compose.oneoff"
REPLACES = "com.docker.compose.replace"
IMAGE = "com.docker.compose.image"

ANONYMOUS = re.compile(r"[0-9a-f]{64}")
"""The name that an engine gives to a volume without one: it belongs to one container alone."""


def service_of(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Project and service, if Compose keeps this container; a one-off of `compose run` belongs to nobody."""
    project, service = labels.get(PROJECT), labels.get(SERVICE)
    if not project or not service or labels.get(ONEOFF, "").lower() == "true":
        return None
    return project, service


def number(container: Container) -> int:
    """Its place in the service, counted from 1; 0 when somebody else wrote its labels."""
    text = container.labels.get(NUMBER, "")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def siblings(members: Sequence[Container], wanted: int) -> list[Blueprint]:
    """The containers to add, like the newest member; Permanent when a second one of it would collide."""
    if wanted <= len(members):
        return []
    model = max(members, key=number)
    _refuse_collisions(model)
    return [_sibling(model, number(model) + more) for more in range(1, wanted - len(members) + 1)]


def _refuse_collisions(model: Container) -> None:
    ports = sorted(_fixed_ports(model.host))
    if ports:
        raise Permanent(f"{model.name} publishes the fixed host port {', '.join(ports)}; a second one cannot have it")
    mode = model.network_mode
    if mode == "host" or mode.startswith("container:"):
        raise Permanent(f'{model.name} has no network of its own (network_mode "{mode}"); a second one would collide')
    for network, endpoint in model.networks.items():
        if any((endpoint.get("IPAMConfig") or {}).values()):
            raise Permanent(f"{model.name} has a fixed address in the network {network}; a second one cannot have it")
    if not _prefix(model):
        raise Permanent(f"{model.name} has a name of its own (container_name); a second one cannot be numbered")


def _fixed_ports(host: Mapping[str, Any]) -> set[str]:
    """Without "" and "0", which are ephemeral, and without ranges, which leave room."""
    bindings = chain.from_iterable(ports or () for ports in (host.get("PortBindings") or {}).values())
    return {binding["HostPort"] for binding in bindings if binding.get("HostPort", "").strip("0").isdigit()}


def _prefix(model: Container) -> str:
    """The name before its number: `shop-orders-`, or `shop_orders_` as older Compose wrote it; "" if it is neither."""
    for between in "-_":
        prefix = f"{model.labels[PROJECT]}{between}{model.labels[SERVICE]}{between}"
        if model.name == f"{prefix}{number(model)}":
            return prefix
    return ""


def _sibling(model: Container, place: int) -> Blueprint:
    name = f"{_prefix(model)}{place}"
    config = {
        **_own_config(model),
        "Image": model.image,
        "Labels": {key: value for key, value in model.labels.items() if key != REPLACES} | {NUMBER: str(place)},
        "HostConfig": _host_config(model.host),
    }
    endpoints = {network: {"Aliases": _aliases(model, each, name)} for network, each in model.networks.items()}
    return Blueprint.like(model, name=name, config=config, endpoints=endpoints)


def _own_config(model: Container) -> dict[str, Any]:
    kept = {key: value for key, value in model.config.items() if key != "MacAddress"}
    if kept.get("Hostname") == model.id[:12]:  # given by the engine, not by the service
        del kept["Hostname"]
    return kept


def _host_config(host: Mapping[str, Any]) -> dict[str, Any]:
    """Without volumes that belong to the model alone: two databases on one anonymous volume would destroy it."""
    binds = [bind for bind in host.get("Binds") or () if not ANONYMOUS.fullmatch(bind.partition(":")[0])]
    mounts = [mount for mount in host.get("Mounts") or () if not ANONYMOUS.fullmatch(mount.get("Source", ""))]
    return {**host, "Binds": binds, "Mounts": mounts}


def _aliases(model: Container, endpoint: Mapping[str, Any], name: str) -> list[str]:
    """Those of the service, and its own name in place of the model's; the default bridge has none at all."""
    shared = [alias for alias in endpoint.get("Aliases") or () if alias not in (model.id[:12], model.name)]
    return [*shared, name] if shared else []
