"""What an answer means that is no yes; every notifier that speaks HTTP raises it.

A place that is busy or broken is worth another try, one that refuses is not.
"""

from receiver.errors import Permanent, Temporary
from receiver.outbound import brief


def refusal(who: str, status: int, said: str) -> Temporary | Permanent:
    """The error for an answer with its status and body."""
    kind = Temporary if status == 429 or status >= 500 else Permanent
    return kind(f"{who} answered {status}: {brief(said)}")
