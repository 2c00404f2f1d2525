"""A part of a transaction that can be taken back by itself.

The writer sets one for each of the writes that share a commit, and matching for each alert that may be a bad one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from receiver.store.statement import Statement

_SAVE = Statement(sa.text("SAVEPOINT here"))
_GO_BACK = Statement(sa.text("ROLLBACK TO SAVEPOINT here"))
_LET_GO = Statement(sa.text("RELEASE SAVEPOINT here"))


@contextmanager
def savepoint(connection: sa.Connection) -> Iterator[None]:
    """All that is done in the block, or nothing of it; one may stand in another, as the innermost is meant."""
    _SAVE.count(connection, {})
    try:
        yield
    except BaseException:
        _GO_BACK.count(connection, {})
        _LET_GO.count(connection, {})
        raise
    _LET_GO.count(connection, {})
