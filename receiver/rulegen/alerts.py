"""The alerts of a detector: one per severity, cumulative, with the numbers that people and playbooks read.

generate.py puts them after the recording rules; they look at `amend:zscore` alone, whatever band stands behind.
"""

from collections.abc import Mapping

from receiver.conventions import (
    BAND_MEAN,
    BAND_STDDEV,
    DASHBOARD_URL,
    DESCRIPTION,
    DETECTOR,
    RUNBOOK_URL,
    SCORE,
    SERVICE,
    SEVERITY,
    SUMMARY,
    VALUE,
    ZSCORE,
)
from receiver.rulegen import BANDS
from receiver.rulegen.promql import number
from receiver.rulegen.recorded import series
from receiver.rulegen.rules import Alert, Group
from receiver.rulegen.spec import Detector, Spec

_SIDE = {"above": " above the usual level", "below": " below the usual level", "both": " to either side"}


def alert_group(spec: Spec, detector: Detector) -> Group:
    return Group(
        name=f"{detector.name}:alerts",
        interval=detector.interval,
        why=f"{detector.alert}, once per severity; a higher one comes on top of the lower ones.",
        rules=tuple(
            Alert(
                alert=detector.alert,
                expr=outside(detector, distance),
                hold=detector.hold,
                keep_firing_for=detector.keep_firing_for,
                labels=static_labels(spec, detector, severity),
                annotations=annotations(spec, detector),
                why=f"{severity}: a distance of {number(distance)} or more{_SIDE[detector.direction]}.",
            )
            for severity, distance in detector.severity.items()
        ),
    )


def outside(detector: Detector, distance: float) -> str:
    """`amend:zscore` is further out than that. The sign stays, so that `$value` is the signed z-score."""
    zscore, far = series(ZSCORE, detector), number(distance)
    above, below = f"{zscore} > {far}", f"{zscore} < -{far}"
    return {"above": above, "below": below, "both": f"{above}\nor\n{below}"}[detector.direction]


def static_labels(spec: Spec, detector: Detector, severity: str) -> Mapping[str, str]:
    """The labels that do not come from the series."""
    # `detector` comes from the series, too; said here, the rule can be told from others of the same alert name.
    own = {} if SERVICE in detector.by else {SERVICE: spec.service}
    return {SEVERITY: severity, DETECTOR: detector.name, **own, **spec.labels}


def annotations(spec: Spec, detector: Detector) -> Mapping[str, str]:
    """Templates that Prometheus fills in, with the numbers as text."""
    value, mean = series_query(detector, VALUE), series_query(detector, BAND_MEAN)
    numbers = {
        "value": _looked_up(detector, value),
        "mean": _looked_up(detector, mean),
        "stddev": _looked_up(detector, series_query(detector, BAND_STDDEV)),
        "z_score": '{{ $value | printf "%.4g" }}',
        "score": _looked_up(detector, series_query(detector, SCORE)),
        "deviation_percent": _looked_up(detector, f"100 * ({value} - {mean}) / abs({mean})"),
    }
    return with_words(spec, detector, numbers, {label: f"{{{{ $labels.{label} }}}}" for label in detector.by})


def with_words(
    spec: Spec, detector: Detector, numbers: Mapping[str, str], labels: Mapping[str, str]
) -> Mapping[str, str]:
    """All annotations around the numbers; these and the labels are templates in a rule, plain text in its test."""
    whose = ", ".join(f"{name} {value}" for name, value in labels.items())
    unit = f" {detector.unit}" if detector.unit else ""
    band = BANDS[detector.band]
    return {
        # A static sentence, as Prometheus' conventions ask: people group and search by it.
        SUMMARY: f"{detector.description} {band.summary(detector)}",
        DESCRIPTION: f"{detector.description}{f' of {whose}' if whose else ''} is {numbers['value']}{unit}, usually"
        f" {numbers['mean']}{unit}; {band.distance(detector, numbers['z_score'])}.",
        **numbers,
        **({RUNBOOK_URL: detector.runbook_url} if detector.runbook_url else {}),
        DASHBOARD_URL: f"{spec.grafana_url}/d/{dashboard_uid(spec)}{_narrowed(labels)}",
    }


def _narrowed(labels: Mapping[str, str]) -> str:
    """The part of a dashboard's address that shows these series alone."""
    chosen = "&".join(f"var-{name}={value.replace(' }}', ' | urlquery }}')}" for name, value in labels.items())
    return f"?{chosen}" if chosen else ""


def dashboard_uid(spec: Spec) -> str:
    return f"amend-{spec.name}"[:40]  # Grafana's longest


def series_query(detector: Detector, metric: str) -> str:
    """The series of one alert, as a format for Go's printf with the alert's `by` labels as arguments."""
    # %q quotes whatever a label holds, so that no label value can end the matcher it stands in.
    own = "".join(f",{label}=%[{index}]q" for index, label in enumerate(detector.by, start=1))
    return f'{metric}{{detector="{detector.name}"{own}}}'


def _looked_up(detector: Detector, query: str) -> str:
    """The number that a query gives; nothing, where it gives none."""
    arguments = "".join(f" $labels.{label}" for label in detector.by)
    text = f"printf `{query}`{arguments}" if arguments else f"`{query}`"
    return f'{{{{ with {text} | query }}}}{{{{ . | first | value | printf "%.4g" }}}}{{{{ end }}}}'
