"""What playbooks may act on."""

import re
from pathlib import Path

from pydantic import Field, field_validator

from receiver.documents import Part


class Docker(Part):
    name: str = "local"
    url: str = "unix:///var/run/docker.sock"
    allow: tuple[str, ...] = ("amend.enable=true",)  #: label selectors; a container must carry all of one of them

    @field_validator("allow")
    @classmethod
    def _label_selectors(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not re.fullmatch(r"[^=,\s]+=[^,]*(,[^=,\s]+=[^,]*)*", entry):
                raise ValueError(f'"{entry}" selects no label; write KEY=VALUE, or several with commas between')
        return entries


class Kubernetes(Part):
    name: str = "default"
    context: str | None = None  #: of the kubeconfig; in-cluster when there is none
    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = Field(min_length=1)


class Platforms(Part):
    docker: tuple[Docker, ...] = ()
    kubernetes: tuple[Kubernetes, ...] = ()
