"""A label's value as it stands in PromQL and in Alertmanager's matchers: quoted, whatever it holds.

Everything that puts somebody's label into a query or a matcher does it here.
"""

from collections.abc import Mapping


def quoted(value: str) -> str:
    """`a"b` as `"a\\"b"`: Go's string syntax, which PromQL and Alertmanager share."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """`up{job="shop"}`: the series of a metric that have exactly these values."""
    return f"{metric}{{{','.join(f'{name}={quoted(value)}' for name, value in labels.items())}}}"
