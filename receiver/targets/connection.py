"""What a failed connection tells; engine.py and apiserver.py ask before they call a failure Temporary or Uncertain.

A socket that refuses, is missing, or may not be opened never carried a request. Anything later may have.
"""

from collections.abc import Iterator

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

NEVER_CONNECTED = (
    ConnectionRefusedError,
    FileNotFoundError,
    PermissionError,
    NewConnectionError,
    ConnectTimeoutError,
)


def never_sent(error: BaseException) -> bool:
    """Certainly nothing left this machine."""
    return any(isinstance(cause, NEVER_CONNECTED) for cause in _causes(error))


def first_cause(error: BaseException) -> str:
    """What the socket said, below everything that clients wrap around it."""
    *_, first = _causes(error)
    if isinstance(first, FileNotFoundError):
        return f"{first.filename or 'its socket'} is not there"  # a socket's error names no file
    return str(first) or type(first).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
