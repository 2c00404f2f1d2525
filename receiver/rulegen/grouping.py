"""Which labels tell the things apart that a metric is about: the `by` of a first spec.

proposals.py asks it for each metric. Labels that name a workload are kept, those that come and go or have very many
values are not, and what is kept makes a bounded number of series.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from receiver.rulegen.spec import RESERVED
from receiver.rulegen.survey import is_plain

MOST_SERIES: Final = 500  #: of one detector: each costs some sixteen recorded ones
MANY_VALUES: Final = 50  #: of a label that is worth a word when it is left out

PLACES: Final = ("cluster", "namespace")
WORKLOADS: Final = (
    *("deployment", "statefulset", "daemonset", "cronjob", "workload"),
    *("app", "application", "service", "service_name", "component", "container"),
)
PARTS: Final = (
    *("queue", "topic", "consumergroup", "vhost", "pool", "database", "datname"),
    *("device", "mountpoint", "area", "persistentvolumeclaim", "node"),
)
#: They change with each rollout or restart: a series of its own for each would never know what is usual.
FLEETING: Final = frozenset(
    ("pod", "pod_name", "pod_uid", "uid", "id", "container_id", "image", "image_id", "ip", "pod_ip", "replicaset")
)


@dataclass(frozen=True)
class Grouping:
    """The labels, how many series they make, and why these."""

    by: tuple[str, ...]
    series: int
    why: str
    merges_instances: bool  #: one series stands for several processes


def group(
    series: Sequence[Mapping[str, str]],
    count: Callable[[Sequence[str]], int],
    *,
    of_instances: bool,
    among: Iterable[str] | None = None,
) -> Grouping:
    """The best labels for these series, `among` those that may be taken; `count` tells how many series some make.

    `of_instances`: whether each instance is a thing of its own, as for levels, or one of many that do the same work.
    """
    values = _values(series)
    common = {name for name in values if all(labels.get(name) for labels in series)}
    able = {name for name in common if is_plain(name) and (name not in RESERVED or name == "service")}
    able &= able if among is None else {*among}
    by = _candidates(able, of_instances=of_instances)
    made = count(by)
    dropped: list[str] = []
    without_job = [name for name in by if name != "job"]
    if {*by} & {*WORKLOADS} and count(without_job) == made:
        by = without_job  # it names the exporter, beside a label that names the workload
    while made > MOST_SERIES and by:
        dropped.append(by.pop())
        made = count(by)
    merges = any(len(values.get(name, ())) > 1 and name not in by for name in ("instance", "pod"))
    return Grouping(tuple(by), made, _why(by, made, values, dropped), merges)


def _candidates(able: set[str], *, of_instances: bool) -> list[str]:
    """In the order of their worth: what stands last is given up first."""
    workloads = [name for name in WORKLOADS if name in able]
    parts = [name for name in PARTS if name in able] if of_instances else []
    job = ["job"] if "job" in able else []
    # Of a workload the instances come and go, and each would have to learn anew what is usual.
    alone = not workloads and (of_instances or not job)
    instance = ["instance"] if alone and "instance" in able else []
    return [*(name for name in PLACES if name in able), *workloads, *job, *instance, *parts]


def _values(series: Sequence[Mapping[str, str]]) -> dict[str, set[str]]:
    values: dict[str, set[str]] = {}
    for labels in series:
        for name, value in labels.items():
            if name not in {"__name__", "le", "quantile"}:
                values.setdefault(name, set()).add(value)
    return values


def _why(by: Sequence[str], made: int, values: Mapping[str, set[str]], dropped: Sequence[str]) -> str:
    others = sorted({*values} - {*by})
    told = [_left_out(name, len(values[name]), name in dropped) for name in others]
    quiet = [name for name, word in zip(others, told, strict=True) if not word and len(values[name]) > 1]
    reasons = [
        f"{', '.join(by) or 'no label'} {'make' if len(by) > 1 else 'makes'} {made:,} series",
        *([f"added up over {', '.join(map(_shown, quiet))}"] if quiet else []),
        *(word for word in told if word),
    ]
    return "; ".join(reasons)


def _left_out(name: str, values: int, dropped: bool) -> str:
    if dropped:
        return f"not by {_shown(name)}, which would make more than {MOST_SERIES:,}"
    if name in FLEETING:
        return f"not by {_shown(name)}, which changes with each rollout"
    if name in RESERVED and name != "service":
        return f"not by {name}, which Amend or Prometheus writes"
    return f"not by {_shown(name)}, which has at least {values:,} values" if values > MANY_VALUES else ""


def _shown(name: str) -> str:
    """A label's name that may be anything in Prometheus 3."""
    return name if is_plain(name) else repr(name)
