"""The format `prometheusrule`: a PrometheusRule object per spec, for clusters where the Prometheus operator runs.

`amend rules generate --format prometheusrule` lays files out with it. The objects hold the very rules of the plain
files, comments included, and are what the operator's schema asks for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent
from typing import Final

from receiver.errors import ConfigError
from receiver.rulegen.pieces import Pieces
from receiver.rulegen.rules import quoted

#: `role` is what the operator's own examples select rules by; release labels and the like come with --object-label.
LABELS: Final = {"app.kubernetes.io/managed-by": "amend", "role": "alert-rules"}

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_WORD = r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_LABEL: Final = re.compile(rf"((?:{_DNS_LABEL}(?:\.{_DNS_LABEL})*/)?{_WORD})=((?:{_WORD})?)")
_NAMESPACE: Final = re.compile(_DNS_LABEL)


def object_label(text: str) -> tuple[str, str]:
    """`release=monitoring` as name and value; ValueError where Kubernetes would refuse it."""
    found = _LABEL.fullmatch(text)
    if not found:
        raise ValueError(f'"{text}" is no label; write for example release=monitoring')
    return found[1], found[2]


def object_namespace(text: str) -> str:
    """The same word; ValueError where Kubernetes would refuse it."""
    if not _NAMESPACE.fullmatch(text):
        raise ValueError(f'"{text}" is no namespace; small letters, digits and "-" make one')
    return text


@dataclass(frozen=True, kw_only=True)
class PrometheusRules:
    """The layout, with what the operator finds the objects by."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  #: on top of LABELS

    def __call__(self, pieces: Sequence[Pieces]) -> Mapping[str, str]:
        named: dict[str, Pieces] = {}
        for each in pieces:
            other = named.setdefault(object_name(each), each)
            if other is not each:
                same = f'its PrometheusRule would be called "{object_name(each)}" like that of {other.spec.path}'
                raise ConfigError(each.spec.path, None, f"{same}; rename one of the files")
        return {f"{each.name}.prometheusrule.yml": self._object(name, each) for name, each in named.items()}

    def _object(self, name: str, pieces: Pieces) -> str:
        labels = {**LABELS, **self.labels}
        return "\n".join(
            (
                *pieces.header,
                "apiVersion: monitoring.coreos.com/v1",
                "kind: PrometheusRule",
                "metadata:",
                f"  name: {quoted(name)}",
                *([f"  namespace: {quoted(self.namespace)}"] if self.namespace else []),
                "  labels:",
                *(f"    {key}: {quoted(value)}" for key, value in labels.items()),
                "spec:",
                "  groups:",
                "",
                "\n\n".join(indent(group.text(), "  ") for group in pieces.groups),
                "",
            )
        )


def object_name(pieces: Pieces) -> str:
    """A name that Kubernetes takes, whatever the spec file is called."""
    return re.sub("[^a-z0-9]+", "-", f"amend-{pieces.name}".lower()).strip("-")
