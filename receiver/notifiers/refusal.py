"""What an answer means that is no yes; every notifier that speaks HTTP raises it.

A place that is busy or broken is worth another try, one that refuses is not.
"""

from receiver.errors import Permanent, Temporary
from receiver.outbound import brief


def insist(who: str, status: int, said: str) -> None:
    """Temporary or Permanent, with the answer's beginning, unless it is a yes."""
    if 200 <= status < 300:
        return
    kind = Temporary if status in {408, 429} or status >= 500 else Permanent
    raise kind(f"{who} answered {status}: {brief(said)}")
