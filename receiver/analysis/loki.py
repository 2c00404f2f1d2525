"""Loki, asked for a workload's latest log lines; what is asked for is put together from labels, never from text."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from receiver.errors import Permanent
from receiver.labels import quoted
from receiver.outbound import Outbound, brief

BACK = timedelta(minutes=15)  #: before the alert began
LARGEST = 1024 * 1024  #: bytes of an answer
ANSWER_WITHIN = 10.0  #: seconds


async def lines(
    url: str, labels: Mapping[str, str], outbound: Outbound, *, began: datetime, now: datetime, limit: int
) -> list[str]:
    """The latest lines of the streams with these labels, the oldest first; an AmendError when Loki does not tell."""
    selector = "{" + ", ".join(f"{name}={quoted(value)}" for name, value in labels.items()) + "}"
    asked = urlencode(
        {
            "query": selector,
            "start": _nanoseconds(began - BACK),
            "end": _nanoseconds(now),
            "limit": limit,
            "direction": "backward",
        }
    )
    status, text = await outbound.send(
        "GET", f"{url.rstrip('/')}/loki/api/v1/query_range?{asked}", within=ANSWER_WITHIN, largest=LARGEST
    )
    if status != 200:
        raise Permanent(f"Loki answered {status}: {brief(text)}")
    try:
        found = [(str(at), str(line)) for each in json.loads(text)["data"]["result"] for at, line in each["values"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Permanent(f"Loki gave no answer that can be read: {brief(text)}") from error
    return [line for _, line in sorted(found)][-limit:]


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
