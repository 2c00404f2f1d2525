"""What can only be judged with more than one value at hand: expressions against labels, times against each other.

generate.py runs them over all spec files before it writes anything. An error stops the generation, a warning is
printed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from receiver.documents import did_you_mean
from receiver.durations import format_duration
from receiver.errors import ConfigError
from receiver.rulegen import BANDS
from receiver.rulegen.expressions import Labels, labels_of, parse
from receiver.rulegen.promtests import tick_of
from receiver.rulegen.spec import ANY_OF, RESERVED, Detector, Spec
from receiver.rulegen.watched import judged_on

#: Prometheus looks back for a sample for so long.
SEEN = timedelta(minutes=5)
#: More evaluations than these in a unit test take a minute.
SLOW = 2000
#: Keys that not every band reads.
CHOSEN = ("window", "min_samples", "season", "horizon", "bound")


@dataclass(frozen=True)
class Findings:
    errors: tuple[ConfigError, ...]
    warnings: tuple[ConfigError, ...]


def check(specs: Sequence[Spec]) -> Findings:
    """Everything that is wrong with these specs, and what is merely doubtful."""
    errors = (*(error for spec in specs for error in _in_spec(spec)), *_names_used_twice(specs))
    if errors:  # what is wrong cannot be doubted
        return Findings(errors, ())
    return Findings((), tuple(warning for spec in specs for warning in _doubts(spec)))


def _in_spec(spec: Spec) -> Iterator[ConfigError]:
    for index, detector in enumerate(spec.detectors):
        for key, message in (
            *_of_band(detector),
            *_of_expressions(detector),
            *_of_labels(spec, detector),
            *_of_times(detector),
        ):
            yield spec.error(index, key, message)


def _of_band(detector: Detector) -> Iterator[tuple[str, str]]:
    for band in _unknown(detector):
        yield "band", f'unknown band "{band}"{did_you_mean(band, list(BANDS))}'
    if not _unknown(detector):
        yield from BANDS[detector.band].mistakes(detector)


def _unknown(detector: Detector) -> list[str]:
    return [band for band in (detector.any_of or (detector.band,)) if band not in BANDS]


def _of_expressions(detector: Detector) -> Iterator[tuple[str, str]]:
    try:
        labels = labels_of(parse(detector.expr))
    except ValueError as error:
        yield "expr", f"expr is not PromQL that can be watched: {error}"
    else:
        yield from _of_by(detector, labels)
    if detector.only_if is not None:
        try:
            parse(detector.only_if)
        except ValueError as error:
            yield "only_if", f"only_if is not PromQL that can be asked: {error}"


def _of_by(detector: Detector, labels: Labels) -> Iterator[tuple[str, str]]:
    kept = ", ".join(sorted(labels.names)) or "no label"
    for label in detector.by:
        if label not in labels:
            lost = f'the label "{label}" in `by` does not survive expr, which keeps {kept}'
            yield "by", f"{lost}; add it to expr's aggregation or take it out of `by`"
    for label in sorted(labels.names - {*detector.by}):
        kept_too = f'expr keeps the label "{label}", which `by` leaves out'
        yield "by", f"{kept_too}; add it to `by`, or aggregate it away in expr"
    if labels.any_other and not detector.by:
        yield "by", "`by` is missing; name the labels that tell expr's series apart, for example [instance]"


def _of_labels(spec: Spec, detector: Detector) -> Iterator[tuple[str, str]]:
    for label in detector.by:
        if label in RESERVED and label != "service":
            yield "by", f'"{label}" cannot stand in `by`: Amend or Prometheus writes it'
        if label in spec.labels:
            yield "by", f'"{label}" stands in `by` and in the file\'s `labels`, which would overwrite it'
        if label.startswith("__"):
            yield "by", f'"{label}" cannot stand in `by`: Prometheus keeps names that begin with __ to itself'
    for label in sorted({each for each in detector.by if detector.by.count(each) > 1}):
        yield "by", f'"{label}" stands twice in `by`'


def _of_times(detector: Detector) -> Iterator[tuple[str, str]]:
    window, interval = format_duration(detector.window), format_duration(detector.interval)
    if not detector.interval or detector.interval % timedelta(seconds=1):
        yield "interval", f"interval is {interval}; it must be whole seconds"
        return
    needed = 2 * detector.min_samples * detector.interval
    if "min_samples" in _read_by(detector) and detector.window < needed:
        few = f"a window of {window} with a sample every {interval} can miss min_samples after a gap"
        yield "window", f"{few}; make it at least {format_duration(needed)}, or lower min_samples"


def _read_by(detector: Detector) -> frozenset[str]:
    """Of the keys that not every band reads, those that this detector's band does."""
    return frozenset() if _unknown(detector) else BANDS[detector.band].reads(detector)


def _names_used_twice(specs: Sequence[Spec]) -> Iterator[ConfigError]:
    first: dict[str, ConfigError] = {}
    for spec in specs:
        for index, detector in enumerate(spec.detectors):
            here = spec.error(index, "name", "")
            if detector.name in first:
                there = first[detector.name]
                message = f"the name is taken by {there.path}:{there.line}; names are unique over all spec files"
                yield spec.error(index, "name", message)
            else:
                first[detector.name] = here


def _doubts(spec: Spec) -> Iterator[ConfigError]:
    yield from _of_pace(spec)
    for index, detector in enumerate(spec.detectors):
        for key, message in (
            *_of_hold(detector),
            *_of_interval(detector),
            *_of_only_if(detector),
            *BANDS[detector.band].doubts(detector),
            *_of_idle_keys(spec, index, detector),
            *_of_retention(spec, detector),
        ):
            yield spec.error(index, key, message)


def _of_pace(spec: Spec) -> Iterator[ConfigError]:
    """A unit test evaluates all rules of its file as often as the fastest of them needs."""
    tick = tick_of(spec)
    waits = [BANDS[detector.band].warmup(detector, tick) // tick for detector in spec.detectors]
    slowest = waits.index(max(waits))
    alone = tick_of(replace(spec, detectors=(spec.detectors[slowest],)))
    if waits[slowest] > SLOW and alone > tick:
        often = (
            f"its unit tests would be slow: they would evaluate this {waits[slowest]} times before it knows anything"
        )
        why = f"as they evaluate the whole file every {format_duration(tick)}, for another detector's sake"
        yield spec.error(slowest, "name", f"{often}, {why}; put detectors of minutes and of days into a file each")


def _of_hold(detector: Detector) -> Iterator[tuple[str, str]]:
    if detector.hold and detector.hold < detector.interval:
        hold, interval = format_duration(detector.hold), format_duration(detector.interval)
        yield "for", f"`for` is {hold}, shorter than the {interval} between two evaluations: it holds nothing back"


def _of_interval(detector: Detector) -> Iterator[tuple[str, str]]:
    if detector.interval > SEEN:
        seen = f"interval is {format_duration(detector.interval)}, and Prometheus shows a sample for no longer than"
        seen += f" {format_duration(SEEN)}"
        yield "interval", f"{seen}: alerts would miss what is recorded; make it at most {format_duration(SEEN)}"


def _of_only_if(detector: Detector) -> Iterator[tuple[str, str]]:
    if detector.only_if is None or not detector.by or judged_on(detector):
        return
    labels = labels_of(parse(detector.only_if))
    if labels.names:
        kept, by = ", ".join(sorted(labels.names)), ", ".join(detector.by)
        yield "only_if", f"only_if keeps {kept}, and `by` is {by}: any series of it lets all be judged; share a label"


def _of_idle_keys(spec: Spec, index: int, detector: Detector) -> Iterator[tuple[str, str]]:
    """Keys that stand in the detector itself and change nothing; `defaults` are for detectors of all kinds."""
    read = _read_by(detector)
    for key in CHOSEN if read else ():
        if key in read or ("detectors", index, key) not in spec.document.lines:
            continue
        bands = ", ".join(name for name, band in BANDS.items() if name != ANY_OF and key in band.reads(detector))
        named = " and ".join(detector.any_of) or detector.band
        yield key, f"`{key}` changes nothing for the band {named}; take it out, or a band that reads it: {bands}"


def _of_retention(spec: Spec, detector: Detector) -> Iterator[tuple[str, str]]:
    back = BANDS[detector.band].looks_back(detector)
    if back > spec.retention:
        key = "season" if "season" in _read_by(detector) and detector.season[-1] > detector.window else "window"
        short = f"the band looks back {format_duration(back)}, and Prometheus keeps {format_duration(spec.retention)}"
        way_out = f"shorten `{key}`, or say with the file's `retention` how long yours keeps"
        yield key, f"{short} (`--storage.tsdb.retention.time`): {way_out}"
