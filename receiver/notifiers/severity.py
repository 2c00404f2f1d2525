"""How bad an alert is, in the four words that pagers know; people call it many things.

The notifiers map an alert's `severity` label through it, and what is gathered is as bad as the worst of it.
"""

from typing import Literal

Severity = Literal["critical", "error", "warning", "info"]

ORDER: tuple[Severity, ...] = ("critical", "error", "warning", "info")
MEANT: dict[Severity, frozenset[str]] = {
    "critical": frozenset({"critical", "crit", "page", "fatal", "emergency", "disaster", "p1", "sev1"}),
    "error": frozenset({"error", "err", "high", "major", "alert", "p2", "sev2"}),
    "warning": frozenset({"warning", "warn", "medium", "minor", "average", "ticket", "p3", "sev3"}),
    "info": frozenset({"info", "information", "low", "notice", "none", "debug", "p4", "p5", "sev4", "sev5"}),
}


def severity_of(label: str) -> Severity:
    """`error` for a word that we do not know, or none: nobody should sleep through it, or be woken by everything."""
    return next((severity for severity, words in MEANT.items() if label.lower() in words), "error")


def worse(one: str, other: str) -> str:
    """The label that stands for more; an empty one stands for nothing."""
    known = [label for label in (one, other) if label]
    return min(known, key=lambda label: ORDER.index(severity_of(label)), default="")
