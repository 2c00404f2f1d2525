"""What the words in a metric's name tell: its unit, whether it counts failures, which side of it is bad.

proposals.py and choice.py read names here. These are the conventions of Prometheus and of common exporters.
"""

import re
from typing import Final

STATUS: Final = (
    *("code", "status", "status_code", "http_code", "http_status", "http_status_code", "http_response_status_code"),
    *("response_code", "result", "outcome", "state"),
)
FAILED: Final = frozenset(("error", "errors", "failed", "failure", "fail", "exception"))

FAILURES: Final = FAILED | {
    *("failures", "exceptions", "timeouts", "timeout", "dropped", "drops", "drop", "rejected", "retries", "retry"),
    *("panics", "lost", "evicted", "unavailable", "errs", "oom", "aborted", "denied", "throttled"),
}
PILES: Final = frozenset(("queue", "queued", "pending", "backlog", "lag", "waiting", "blocked", "inflight", "flight"))
ROOM: Final = frozenset(("free", "available", "avail", "remaining", "idle", "ready", "healthy"))
SPENT: Final = frozenset(("used", "usage", "utilization", "utilisation", "resident", "age", "delay", "latency", "load"))
TRAFFIC: Final = frozenset(("http", "grpc", "rpc", "request", "requests", "query", "queries", "responses", "messages"))

UNITS: Final = {
    **{each: each for each in ("seconds", "milliseconds", "bytes", "bits", "ratio", "percent", "celsius", "meters")},
    **{each: each for each in ("volts", "amperes", "joules", "watts", "grams", "hertz", "minutes", "hours")},
    "ms": "milliseconds",
    "pct": "percent",
}
MACHINES: Final = ("node_", "windows_", "machine_")  #: each instance is a machine of its own, whatever it counts
#: The worst of several counts, not their sum.
NO_SUMS: Final = frozenset(UNITS.values()) - {"bytes", "bits", "watts", "joules", "amperes"}


def unit_of(name: str, told: str) -> str:
    """As the exporter says, else as the name ends."""
    last = name.removesuffix("_total").rpartition("_")[2]
    return UNITS.get(told) or UNITS.get(last, "")


def spoken(name: str) -> str:
    """The name as people would say it, without its unit."""
    words = [word for word in name.removesuffix("_total").split("_") if word]
    if len(words) > 1 and words[-1] in UNITS:
        words.pop()
    return " ".join(words)


def words_of(name: str) -> set[str]:
    """`node`, `memory`, `mem`, `free` of `node_memory_MemFree`."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def direction(words: set[str], unit: str) -> tuple[str, str]:
    """Which side of a level is bad, and why."""
    if words & FAILURES or words & PILES:
        return "above", "it piles up when something is wrong"
    if words & ROOM:
        return "below", "it is used up when something is wrong"
    if words & SPENT or unit in {"seconds", "celsius"}:
        return "above", "more of it is what hurts"
    return "both", "its name does not tell which side is bad: say so with `direction`"


def snake_case(text: str) -> str:
    """As a detector may be called."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return words if words[:1].isalpha() else f"m_{words}"
