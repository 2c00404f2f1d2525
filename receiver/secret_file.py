"""A secret in a file of its own: every file that holds one is read here, by the settings and by the commands.

White space around it is none of it, so that an editor's last line feed does no harm.
"""

from pathlib import Path

from receiver.errors import AmendError


class NoSecret(AmendError):
    """The file cannot be read, or holds nothing: which of them, for a sentence that begins with the file."""


def secret_in(path: Path) -> str:
    """The secret; NoSecret otherwise."""
    try:
        text = path.read_text().strip()
    except OSError as error:
        raise NoSecret(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NoSecret("cannot be read: it is not text") from error
    if not text:
        raise NoSecret("is empty")
    return text
