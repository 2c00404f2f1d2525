"""What one receiver is spared: so many messages go out within a minute, and what is more is kept to be sent as one.

receivers.py asks it before each message. It holds no more than it will show, however many there are.
"""

from collections import deque

from receiver.notifiers.notice import Kind, Notice
from receiver.notifiers.severity import worse
from receiver.visible import cut

WINDOW = 60.0  #: seconds
SHOWN = 20  #: messages that are told of those that were gathered
LONGEST = 300  #: characters of each


class Gathering:
    """The messages of one receiver; every moment is given, in seconds."""

    def __init__(self, most: int) -> None:
        self._sent: deque[float] = deque(maxlen=most)  #: when the last ones went out
        self._only: Notice | None = None  #: the first that is kept
        self._count = 0
        self._texts: list[str] = []
        self._severity = ""

    def give(self, notice: Notice, now: float) -> int:
        """0 when it goes out now; otherwise it is kept, and this is how many wait."""
        if not self._count and self.has_room(now):
            self.note(now)
            return 0
        self._count += 1
        self._only = self._only or notice
        self._severity = worse(self._severity, notice.severity)
        if len(self._texts) < SHOWN:
            self._texts.append(f"{cut(notice.message, LONGEST)}{' ' if notice.link else ''}{notice.link}")
        return self._count

    def note(self, now: float) -> None:
        """Something went out, whether or not there was room."""
        self._sent.append(now)

    def has_room(self, now: float) -> bool:
        return len(self._sent) < (self._sent.maxlen or 0) or self._sent[0] + WINDOW <= now

    @property
    def due(self) -> float | None:
        """When what is kept may go out; None when nothing is."""
        if not self._count:
            return None
        return self._sent[0] + WINDOW if len(self._sent) == self._sent.maxlen else 0.0

    def collect(self) -> Notice | None:
        """All that is kept, as one; it is kept no longer."""
        count, only, texts, severity = self._count, self._only, self._texts, self._severity
        self._count, self._only, self._texts, self._severity = 0, None, [], ""
        if count == 1:
            return only
        if not count:
            return None
        more = " …" if count > len(texts) else ""
        return Notice(
            kind=Kind.GATHERED,
            message=f"{count} more: {'; '.join(texts)}{more}",
            link="",
            run={},
            labels={},
            title=f"{count} more messages within a minute",
            severity=severity,
            gathered=tuple(texts),
            count=count,
        )
