"""Small blocks to write PromQL with, laid out over lines like prose; every detector builds its rules from these.

Each returns text that can stand in a rule as it is; nothing here knows what a detector looks for.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from textwrap import indent

from receiver.durations import format_duration

#: Ranges are closed on both sides in Prometheus 2 and open on the left in 3. A range one second short of a
#: block holds the same samples in both, and no sample stands in two blocks.
SECOND = timedelta(seconds=1)

_OF = "__of__"  #: two underscores: no series of a user's carries such a label


def over(function: str, selector: str, window: timedelta, *, offset: timedelta = timedelta()) -> str:
    """`avg_over_time(x[1d] offset 1h)`."""
    back = f" offset {format_duration(offset)}" if offset else ""
    return f"{function}({selector}[{format_duration(window)}]{back})"


def over_block(function: str, selector: str, block: timedelta) -> str:
    """The same of one block, which shares no sample with the block before it."""
    return over(function, selector, block - SECOND)


def either(*expressions: str) -> str:
    """The first of them that has a sample, series by series."""
    return "\nor\n".join(expressions)


def outermost(aggregation: str, candidates: Mapping[str, str]) -> str:
    """`max` or `min` of several expressions, series by series; their names are for whoever reads the rule."""
    named = (
        f'label_replace(\n{indent(each, "  ")},\n  "{_OF}", "{name}", "", ""\n)' for name, each in candidates.items()
    )
    return f"{aggregation} without ({_OF}) {enclosed(either(*named))}"


def given(expression: str, condition: str, *, on: Iterable[str] | None = None) -> str:
    """`expression`, only where `condition` has a sample."""
    matching = "and" if on is None else f"and on ({', '.join(on)})"
    return f"{expression}\n{matching}\n{condition}"


def unless(expression: str, condition: str) -> str:
    return f"{expression}\nunless\n{condition}"


def enclosed(expression: str) -> str:
    """In parentheses of its own, over lines."""
    return f"(\n{indent(expression, '  ')}\n)"


def real(expression: str) -> str:
    """Without NaN and infinities: one of them in a window would blind every average over it."""
    return f"{expression} > -Inf < Inf"


def number(value: float) -> str:
    """As short as it can be said: 3, 0.01, 1e-09."""
    return f"{value:.15g}"
