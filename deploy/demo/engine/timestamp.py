"""Docker's timestamps: RFC 3339 with nanoseconds.

Every state and health record carries them.
"""

from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
