"""Names that may stand in a path to a Kubernetes API server; cluster.py refuses all others before it asks.

A workload's key is made of them.
"""

import re

from receiver.run import Reason, Refusal
from receiver.workload import Selector

ROLLED = ("Deployment", "StatefulSet", "DaemonSet")  #: those whose pods are replaced when their template changes
KINDS = (*ROLLED, "Pod", "Node")

# RFC 1123, as the API server checks it: a name is labels with dots between, a namespace is one label.
LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*")
NAMESPACE = re.compile(LABEL)


def refuse_odd(selector: Selector) -> None:
    if selector.kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise Refusal(
            Reason.NO_TARGET, f"{ascii(selector.kind)[:80]} is not a kind that can be acted on; write {kinds}"
        )
    if selector.kind == "Node":
        if selector.scope is not None:
            raise Refusal(Reason.NO_TARGET, f"a Node is in no namespace, not in {ascii(selector.scope)[:80]}")
    elif not NAMESPACE.fullmatch(selector.scope or ""):
        raise Refusal(Reason.NO_TARGET, f"{ascii(selector.scope)[:80]} is not the name of a namespace")
    if not NAME.fullmatch(selector.name):
        raise Refusal(Reason.NO_TARGET, f"{ascii(selector.name)[:80]} is not the name of a {selector.kind}")


def key(cluster: str, selector: Selector) -> str:
    """What locks, cooldowns and limits count by; no namespace is called as a kind is, which begins with a capital."""
    place = f"{selector.scope}/" if selector.scope else ""
    return f"kubernetes/{cluster}/{place}{selector.kind}/{selector.name}"
