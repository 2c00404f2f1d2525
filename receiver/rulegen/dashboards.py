"""A Grafana dashboard of every spec: its alerts, and each detector's value inside its band beside its score.

generate.py writes it; overview.py links to it. It asks for the series that all bands record, whatever the band is.
"""

from typing import Final

from receiver.conventions import BAND_LOWER, BAND_MEAN, BAND_UPPER, DETECTOR, SCORE, VALUE
from receiver.rulegen import BANDS
from receiver.rulegen.alerts import dashboard_uid
from receiver.rulegen.grafana import Heading, Panel, Query, dashboard, label_variable, steps, styled
from receiver.rulegen.promql import number
from receiver.rulegen.spec import MARK, Detector, Spec

#: Grafana's own names for the units of specs; any other word stands behind the number as it is.
_UNITS: Final = {
    "seconds": "s",
    "bytes": "bytes",
    "ratio": "percentunit",
    "percent": "percent",
    "requests per second": "reqps",
}
_HEIGHT: Final = 9


def dashboard_file(spec: Spec) -> str:
    """The spec's dashboard as a file."""
    return dashboard(
        uid=dashboard_uid(spec),
        title=f"Amend / {spec.name}",
        about=f"{MARK} {spec.source}; edits are overwritten.",
        variables=[label_variable(each, _values(spec, each)) for each in _labels(spec)],
        panels=[_alerts(spec), *(panel for each in spec.detectors for panel in _of_detector(each))],
    )


def names_of(spec: Spec) -> str:
    """The spec's detectors, as a pattern for the label `detector`."""
    return "|".join(detector.name for detector in spec.detectors)


def _labels(spec: Spec) -> list[str]:
    """Every label that some detector is told apart by, in the order of the file."""
    return list(dict.fromkeys(label for detector in spec.detectors for label in detector.by))


def _values(spec: Spec, label: str) -> str:
    detectors = "|".join(detector.name for detector in spec.detectors if label in detector.by)
    return f'label_values({VALUE}{{{DETECTOR}=~"{detectors}"}}, {label})'


def _alerts(spec: Spec) -> Panel:
    labels = _labels(spec)
    return Panel(
        kind="state-timeline",
        title="Alerts",
        about="What fired, and when.",
        height=_HEIGHT,
        queries=[
            Query(
                name="alerts",
                expr=f"max by (alertname, severity, {', '.join((DETECTOR, *labels))}) (\n"
                f'  ALERTS{{{DETECTOR}=~"{names_of(spec)}", alertstate="firing"}}\n)',
                legend=" ".join(("{{alertname}} {{severity}}", *(f"{{{{{each}}}}}" for each in labels))),
            )
        ],
        defaults={"custom": {"fillOpacity": 80}},
    )


def _of_detector(detector: Detector) -> list[Panel | Heading]:
    return [Heading(title=detector.description), _band(detector), _score(detector)]


def _band(detector: Detector) -> Panel:
    series = {"lower": BAND_LOWER, "upper": BAND_UPPER, "usual": BAND_MEAN, "value": VALUE}
    return Panel(
        kind="timeseries",
        title=f"{detector.name}: value in its band",
        about="The band is shaded. Choose one series above to see one band.",
        width=16,
        height=_HEIGHT,
        queries=[_query(detector, name, metric) for name, metric in series.items()],
        defaults={
            "unit": _UNITS.get(detector.unit, f"suffix: {detector.unit}" if detector.unit else "short"),
            "custom": {"lineWidth": 2, "showPoints": "never"},
        },
        overrides=[
            styled("lower", lineWidth=0),
            styled("upper", lineWidth=0, fillBelowTo="lower", fillOpacity=15),
            styled("usual", lineWidth=1, lineStyle={"fill": "dash", "dash": [6, 6]}),
        ],
        options={"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    )


def _score(detector: Detector) -> Panel:
    edge = BANDS[detector.band].score(detector, detector.sigma)
    return Panel(
        kind="timeseries",
        title=f"{detector.name}: score ({number(edge)} is the band's edge)",
        about="How unusual the value is, from 0 to 1.",
        width=8,
        height=_HEIGHT,
        queries=[_query(detector, "score", SCORE)],
        defaults={
            "min": 0,
            "max": 1,
            "custom": {"thresholdsStyle": {"mode": "line"}, "showPoints": "never"},
            "thresholds": steps([(None, "green"), (edge, "red")]),
        },
    )


def _query(detector: Detector, name: str, metric: str) -> Query:
    chosen = "".join(f', {label}=~"${label}"' for label in detector.by)
    series = f'{metric}{{{DETECTOR}="{detector.name}"{chosen}}}'
    return Query(name=name, expr=series, legend=_legend(detector, name))


def _legend(detector: Detector, name: str) -> str:
    named = name in {"value", "score"}  # the edges are drawn for one series at a time, and filled by their names
    return " ".join((name, *(f"{{{{{label}}}}}" for label in detector.by if named)))
