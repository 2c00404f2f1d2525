"""A notice as plain text, for whatever shows no more than that: a mail, and what Apprise reaches.

Nothing in it is markup, and what cannot be seen is spelled out.
"""

import re
from collections.abc import Iterator

from receiver.notifiers.notice import Notice
from receiver.visible import cut, visible, visible_lines

LONGEST_TITLE = 150  #: characters
LONGEST = 8000  #: characters of all of it
MOST_LABELS = 40


def plain_title(notice: Notice) -> str:
    """One line."""
    return cut(visible(" ".join(notice.headline.split())), LONGEST_TITLE)


def plain_text(notice: Notice) -> str:
    """The message, then the facts, one to a line."""
    link = f"\n\n{notice.link}" if notice.link else ""
    return cut("\n".join(_lines(notice)), LONGEST) + link


def calling_nobody(text: str) -> str:
    """Without what chats take for a call to everybody in a channel, though it looks the same."""
    return re.sub(r"@(?=(?:channel|here|everyone|all)\b)", "@\u2060", text, flags=re.IGNORECASE)


def _lines(notice: Notice) -> Iterator[str]:
    if notice.gathered:
        yield f"{notice.count} more messages within a minute:"
        yield from (f"- {visible(text)}" for text in notice.gathered)
        if notice.count > len(notice.gathered):
            yield "- …"
        return
    yield visible_lines(cut(notice.message, LONGEST // 2))
    asked = notice.question
    if asked:
        yield ""
        yield "It would do:"
        yield from (f"- {visible(step)}" for step in asked.steps)
        if asked.on_failure:
            yield "And if that does not help:"
            yield from (f"- {visible(step)}" for step in asked.on_failure)
        yield f"Answer until {asked.until:%Y-%m-%d %H:%M:%S} UTC."
    facts = {"alert": notice.alert, "severity": notice.severity, "summary": notice.summary, **notice.numbers}
    facts |= {"outcome": notice.outcome, **notice.about}
    yield ""
    yield from (f"{name}: {visible(cut(text, 500))}" for name, text in facts.items() if text)
    if notice.done:
        yield "done:"
        for deed in notice.done:
            yield f"- {deed.verb}: {deed.status}{f' ({visible(deed.said)})' if deed.said else ''}"
    if notice.labels:
        yield "labels:"
        yield from (f"- {visible(name)}: {visible(cut(value, 200))}" for name, value in _first(notice))


def _first(notice: Notice) -> list[tuple[str, str]]:
    return list(notice.labels.items())[:MOST_LABELS]
