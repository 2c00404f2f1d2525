"""Ctrl-C and its kin: heard once, and then no more, so that nothing cuts short the stopping of the parts.

The demo starts to heed them first of all, and the stage ignores them from when it is taken down.
"""

import signal

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heed_endings() -> None:
    """Each of them raises KeyboardInterrupt, so that all lead through the same `finally`s."""
    for number in ENDINGS:
        signal.signal(number, _interrupt)


def ignore_endings() -> None:
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(*_: object) -> None:
    ignore_endings()
    raise KeyboardInterrupt
