"""A container in the place of another, of another image: what of the old one it takes over; rollback.py asks.

As `docker compose up` would make it: what the old image had brought goes with it, and what the service says, its
networks and its data stay. Nothing is sent from here.
"""

from collections.abc import Mapping
from posixpath import normpath
from typing import Any

from receiver.errors import Permanent
from receiver.targets.docker.blueprint import Blueprint, Endpoint
from receiver.targets.docker.compose import IMAGE, REPLACES
from receiver.targets.docker.container import Container
from receiver.targets.docker.image import Image

COMPOSE = "com.docker.compose."
SIMPLE = ("User", "WorkingDir", "StopSignal")
ENDPOINT = ("IPAMConfig", "Links", "DriverOpts")  #: said of the service; the rest of an endpoint is the engine's


def replacement(old: Container, was: Image, *, image: Image, called: str) -> Blueprint:
    """Of `image`, by what it is `called`; Permanent when the old container would not outlast being stopped."""
    if old.host.get("AutoRemove"):
        raise Permanent(f"{old.name} is removed when it stops (--rm), and could not be put back")
    config = {
        **_own_config(old, was.config),
        "Image": called,
        "Labels": _labels(old, was.config, image),
        "HostConfig": _with_its_volumes(old),
    }
    endpoints = {network: _endpoint(old, endpoint) for network, endpoint in old.networks.items()}
    return Blueprint.like(old, name=old.name, config=config, endpoints=endpoints)


def _own_config(old: Container, was: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is equal to the old image's: the new image's own stands there instead."""
    brought = {key for key in SIMPLE if old.config.get(key) == was.get(key)}
    if old.config.get("Hostname") == old.id[:12] or old.network_mode.partition(":")[0] in ("host", "container"):
        brought |= {"Hostname", "Domainname"}  # given by the engine, not by the service
    published = old.host.get("PortBindings") or {}
    ports = _other(old.config.get("ExposedPorts"), was.get("ExposedPorts"))
    return {
        **{key: value for key, value in old.config.items() if key not in brought | {"Entrypoint", "Cmd"}},
        **_command(old.config, was),
        "Env": [entry for entry in old.config.get("Env") or () if entry not in (was.get("Env") or ())],
        "ExposedPorts": {**ports, **{port: {} for port in published}},
        "Volumes": _other(old.config.get("Volumes"), was.get("Volumes")),
        "Healthcheck": _healthcheck(old.config.get("Healthcheck") or {}, was.get("Healthcheck") or {}),
    }


def _other(mine: Mapping[str, Any] | None, brought: Mapping[str, Any] | None) -> dict[str, Any]:
    there = brought or {}
    return {key: value for key, value in (mine or {}).items() if key not in there or there[key] != value}


def _healthcheck(mine: Mapping[str, Any], brought: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """All of it where the service says what is asked; else what it says of how often."""
    return (mine if mine.get("Test") != brought.get("Test") else _other(mine, brought)) or None


def _command(config: Mapping[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    """An entrypoint that the service says takes the image's command away, so that both are the service's then."""
    entrypoint, command = config.get("Entrypoint") or [], config.get("Cmd") or []
    brought, usual = was.get("Entrypoint") or [], was.get("Cmd") or []
    if entrypoint == brought and (command or not usual):
        return {} if command == usual else {"Cmd": command}
    return {"Entrypoint": entrypoint or [""], "Cmd": command}  # [""] is how the engine is told: none


def _labels(old: Container, was: Mapping[str, Any], image: Image) -> dict[str, str]:
    """Compose's own stay, though a built image carries some; its hash of the configuration, too: that is unchanged."""
    brought = was.get("Labels") or {}
    kept = {
        label: value
        for label, value in old.labels.items()
        if label != REPLACES and (label.startswith(COMPOSE) or brought.get(label) != value)
    }
    return kept | ({IMAGE: image.id} if IMAGE in kept else {})


def _with_its_volumes(old: Container) -> dict[str, Any]:
    """Its host configuration, with volumes that had no name by the names that the engine gave them."""
    mounts = [mount for mount in old.host.get("Mounts") or () if not _nameless(mount)]
    binds = [bind for bind in old.host.get("Binds") or () if _place(bind)]
    said = {normpath(mount["Target"]) for mount in mounts} | {_place(bind) for bind in binds}
    given = [
        f"{mount['Name']}:{mount['Destination']}" + ("" if mount["RW"] else ":ro")
        for mount in old.description.get("Mounts") or ()
        if mount["Type"] == "volume" and mount["Destination"] not in said
    ]
    return {**old.host, "Binds": [*binds, *given], "Mounts": mounts}


def _place(bind: str) -> str:
    """Where `source:place:options` puts something; "" for `place` and `place:options`, which name no source."""
    _, _, rest = bind.partition(":")
    return normpath(rest.partition(":")[0]) if rest.startswith("/") else ""


def _nameless(mount: Mapping[str, Any]) -> bool:
    return mount.get("Type") == "volume" and not mount.get("Source")


def _endpoint(old: Container, endpoint: Endpoint) -> Endpoint:
    kept = {key: endpoint[key] for key in ENDPOINT if endpoint.get(key)}
    aliases = [alias for alias in endpoint.get("Aliases") or () if alias != old.id[:12]]
    return {**kept, "Aliases": aliases} if aliases else kept
