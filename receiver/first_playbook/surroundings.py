"""What amend.yml says that a first playbook depends on: the platforms, the receivers, whether Prometheus is asked.

The command reads it before there are secrets, so no secret is opened here; `amend check` reads the whole.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver.documents import Document, load, parse
from receiver.settings.platforms import Platforms


@dataclass(frozen=True)
class Surroundings:
    """With the defaults: nobody has written settings yet, and everything is possible."""

    config: Path | None = None
    platforms: Platforms = field(default_factory=Platforms)
    receivers: tuple[str, ...] = ()
    asks_prometheus: bool = True

    def has(self, platform: str) -> bool:
        return self.config is None or bool(getattr(self.platforms, platform))

    def instance(self, platform: str) -> str | None:
        """The name to choose by, where there are several."""
        known = getattr(self.platforms, platform)
        return known[0].name if len(known) > 1 else None

    @property
    def namespace(self) -> str | None:
        """One that Amend may act in."""
        return next((each.namespaces[0] for each in self.platforms.kubernetes), None)


def read(config: Path) -> Surroundings:
    """ConfigError or ConfigErrors where what is needed of it cannot be read."""
    document = load(config)
    value = document.value if isinstance(document.value, dict) else {}
    platforms = parse(document, Platforms, at=("platforms",)) if "platforms" in value else Platforms()
    return Surroundings(
        config=config,
        platforms=platforms,
        receivers=tuple(_names(document, value.get("receivers"))),
        asks_prometheus=bool(value.get("prometheus")),
    )


def _names(document: Document, receivers: Any) -> list[str]:
    if receivers is not None and not isinstance(receivers, list):
        raise document.error(("receivers",), "a list is expected: receivers: [{name: …}]")
    return [str(each["name"]) for each in receivers or () if isinstance(each, dict) and each.get("name")]
