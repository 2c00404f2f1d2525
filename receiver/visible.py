"""Text of strangers as people may be shown it: whatever cannot be seen, or moves what is around it, is spelled out.

The pages and the notifications show labels through it.
"""

import unicodedata

# controls, formats (bidi, zero width), surrogates, private use; line and paragraph separators
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def visible(text: str) -> str:
    """The text with every character that cannot be seen, or that moves others, as its escape: `\\x1b`, `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(char) if unicodedata.category(char) in _HIDDEN else char for char in text)


def visible_lines(text: str) -> str:
    """The same of a text whose line feeds are meant."""
    return "\n".join(visible(line) for line in text.split("\n"))


def cut(text: str, longest: int) -> str:
    """No more than so many characters, and a mark where there were more."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode()
