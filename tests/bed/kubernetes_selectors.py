"""Label and field selectors of the Kubernetes API; the fake server narrows its lists with them.

Budgets choose their pods by the same rules.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.bed.kubernetes_failures import Failure

Object = dict[str, Any]


def is_selected(found: Object, query: Mapping[str, str]) -> bool:
    labels = found["metadata"].get("labels") or {}
    return fits(labels, query.get("labelSelector", "")) and _has_fields(found, query.get("fieldSelector", ""))


def fits(values: Mapping[str, str], selector: str) -> bool:
    return all(_meets(values, term.strip()) for term in _terms(selector))


def _terms(selector: str) -> list[str]:
    """Commas between them, but not within brackets."""
    return [term for term in re.split(r",(?![^(]*\))", selector) if term]


def _meets(values: Mapping[str, str], term: str) -> bool:
    if found := re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", term):
        key, operator, members = found.groups()
        return (values.get(key) in members.split(",")) == (operator == "in")
    if "=" not in term:
        return (term.lstrip("!") in values) != term.startswith("!")
    key, _, wanted = term.replace("==", "=").partition("=")
    return (values.get(key.rstrip("!")) == wanted) != key.endswith("!")


def _has_fields(found: Object, selector: str) -> bool:
    fields = {"metadata.name": found["metadata"]["name"], "metadata.namespace": found["metadata"].get("namespace", "")}
    if found["kind"] == "Pod":
        fields |= {"spec.nodeName": found["spec"].get("nodeName", ""), "status.phase": found["status"]["phase"]}
    for term in _terms(selector):
        key = re.split("!?=", term)[0]
        if key not in fields:
            raise Failure(400, "BadRequest", f"field label not supported: {key}")
    return fits(fields, selector)
