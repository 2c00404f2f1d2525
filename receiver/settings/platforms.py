"""What playbooks may act on."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from receiver.documents import Part


def _label_selector(entry: str) -> str:
    if not re.fullmatch(r"[^=,\s]+=[^,]*(,[^=,\s]+=[^,]*)*", entry):
        raise ValueError(f'"{entry}" selects no label; write KEY=VALUE, or several with commas between')
    return entry


LabelSelectors = tuple[Annotated[str, AfterValidator(_label_selector)], ...]
"""`k=v,k2=v2` each: what may be acted on carries all the labels of one of them."""


def selected(labels: Mapping[str, str], allow: LabelSelectors) -> bool:
    """Whether something with these labels may be acted on."""
    return any(all(labels.get(key) == value for key, value in _pairs(entry)) for entry in allow)


def _pairs(entry: str) -> Iterator[tuple[str, str]]:
    for pair in entry.split(","):
        key, _, value = pair.partition("=")
        yield key, value


class Docker(Part):
    name: str = "local"
    url: str = "unix:///var/run/docker.sock"
    allow: LabelSelectors = ("amend.enable=true",)


class Kubernetes(Part):
    name: str = "default"
    context: str | None = None  #: of the kubeconfig; in-cluster when there is none
    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = Field(min_length=1)
    allow_nodes: LabelSelectors = ()  #: nodes that may be cordoned and drained; none where nothing is said


class Platforms(Part):
    docker: tuple[Docker, ...] = ()
    kubernetes: tuple[Kubernetes, ...] = ()
