"""What is left of a replacement while it is under way, or when it was cut off; host.py refuses to act beside it.

Two containers stand for one then, perhaps on the same volumes: to restart both would start what was stopped, and to
scale down could take away the one that runs.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from receiver.errors import Permanent
from receiver.targets.docker.compose import number
from receiver.targets.docker.container import Container
from receiver.workload import Selector

ID = 12  #: what docker shows of an id


def aside(container: str, name: str) -> str:
    """What a container is called while another one has its name."""
    return f"{container[:ID]}_{name}"


def refuse_left_behind(listed: Sequence[Mapping[str, Any]], selector: Selector) -> None:
    """Permanent when what is meant was put aside; it passes as soon as somebody has cleared up."""
    for found in listed:
        for name in (each.removeprefix("/") for each in found["Names"] or ()):
            was = name.removeprefix(aside(found["Id"], ""))
            # of containers, a part of the name has sufficed to be listed
            if was != name and (selector.kind != "container" or selector.name in (name, was)):
                raise Permanent(
                    f"{name} was put aside for another {was}, and is still there; "
                    f"remove it, or remove the other one and rename it to {was}"
                )


def refuse_twins(members: Sequence[Container], selector: Selector) -> None:
    """Permanent when two of them have one number: Compose itself replaces one by the other, or did not come to it."""
    for one, other in pairwise(members):
        if number(one) and number(one) == number(other):
            raise Permanent(
                f"{one.name} and {other.name} are both number {number(one)} of {selector}: one is being replaced"
            )
