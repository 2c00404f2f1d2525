"""An image: a name for a configuration, since every child runs from the same files.

Read from the engine's images file; a container starts from the image's configuration with its own laid over it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Image:
    tag: str
    config: dict[str, Any]

    @property
    def id(self) -> str:
        return "sha256:" + hashlib.sha256(json.dumps([self.tag, self.config]).encode()).hexdigest()

    def configure(self, own: dict[str, Any]) -> dict[str, Any]:
        """The container's `Config`: the image's, overlaid by what the creator gave."""
        given = {key: value for key, value in own.items() if value is not None}
        env = dict(pair.split("=", 1) for pair in [*self.config.get("Env", []), *given.get("Env", [])])
        labels = {**self.config.get("Labels", {}), **given.get("Labels", {})}
        overlaid = {"Cmd": None, "ExposedPorts": {}, "Tty": False, **self.config, **given}
        return {**overlaid, "Env": [f"{key}={value}" for key, value in env.items()], "Labels": labels}

    def inspect(self) -> dict[str, Any]:
        return {**self.summary(), "Config": self.config, "Os": "linux", "Architecture": "amd64"}

    def summary(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "RepoTags": [self.tag],
            "RepoDigests": [],
            "Created": 0,
            "Size": 0,
            "Labels": self.config.get("Labels", {}),
        }


def read(path: Path) -> dict[str, Image]:
    """The images file: `{"shop:1.0.0": {"Env": ["PATH=…"], "WorkingDir": "…"}}`."""
    images: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {tag: Image(tag, config) for tag, config in images.items()}
