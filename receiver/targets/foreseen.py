"""That a rollback still leads where it was said to lead: the platforms ask before they send anything.

People agreed to that, or a guard looked at what ran then; what was deployed since is nobody's to take back.
"""

from receiver.errors import Permanent
from receiver.workload import Workload


def hold_to(foreseen: str, way: str, workload: Workload) -> None:
    """Where nothing was foreseen, nobody is held to it."""
    if foreseen and way != foreseen:
        raise Permanent(f"{workload} would go to {way} by now; it was to go to {foreseen}")
