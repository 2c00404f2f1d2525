"""A Grafana dashboard of every spec: each detector's value inside its band, its score, and its alerts.

generate.py writes it as the classic JSON model, which every Grafana imports; the data source is chosen there.
"""

import json
from typing import Any, Final

from receiver.conventions import BAND_LOWER, BAND_MEAN, BAND_UPPER, DETECTOR, SCORE, VALUE
from receiver.rulegen.alerts import dashboard_uid
from receiver.rulegen.spec import MARK, Detector, Spec

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
#: Grafana's own names for the units of specs; any other word stands behind the number as it is.
_UNITS: Final = {
    "seconds": "s",
    "bytes": "bytes",
    "ratio": "percentunit",
    "percent": "percent",
    "requests per second": "reqps",
}
_WIDTH: Final = 24
_HEIGHT: Final = 9


def dashboard_file(spec: Spec) -> str:
    """The dashboard as a file; its uid is stable, so that importing it again updates it."""
    dashboard = {
        "description": f"{MARK} {spec.source}; edits are overwritten.",  # first: generate.py knows its files by it
        "tags": ["generated-by-amend"],
        "uid": dashboard_uid(spec),
        "title": f"Amend / {spec.name}",
        "schemaVersion": 36,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(), *(_label_variable(spec, each) for each in _labels(spec))]},
        "annotations": {"list": []},
        "panels": [
            _alerts(spec),
            *(panel for index, detector in enumerate(spec.detectors) for panel in _of_detector(detector, index=index)),
        ],
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def _labels(spec: Spec) -> list[str]:
    """Every label that some detector is told apart by, in the order of the file."""
    return list(dict.fromkeys(label for detector in spec.detectors for label in detector.by))


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def _label_variable(spec: Spec, label: str) -> dict[str, Any]:
    detectors = "|".join(detector.name for detector in spec.detectors if label in detector.by)
    query = f'label_values({VALUE}{{{DETECTOR}=~"{detectors}"}}, {label})'
    return {
        "name": label,
        "type": "query",
        "label": label,
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "labels"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _of_detector(detector: Detector, *, index: int) -> list[dict[str, Any]]:
    first, top = 10 * (index + 1), (index + 1) * (_HEIGHT + 1)
    return [
        {
            "id": first,
            "type": "row",
            "title": detector.description,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
        },
        _band(detector, first + 1, {"x": 0, "y": top + 1, "w": 16, "h": _HEIGHT}),
        _score(detector, first + 2, {"x": 16, "y": top + 1, "w": 8, "h": _HEIGHT}),
    ]


def _band(detector: Detector, number: int, place: dict[str, int]) -> dict[str, Any]:
    series = {"lower": BAND_LOWER, "upper": BAND_UPPER, "usual": BAND_MEAN, "value": VALUE}
    return {
        "id": number,
        "type": "timeseries",
        "title": f"{detector.name}: value in its band",
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [_target(detector, name, metric) for name, metric in series.items()],
        "fieldConfig": {
            "defaults": {
                "unit": _UNITS.get(detector.unit, f"suffix: {detector.unit}" if detector.unit else "short"),
                "custom": {"lineWidth": 2, "showPoints": "never"},
            },
            "overrides": [
                _styled("lower", lineWidth=0),
                _styled("upper", lineWidth=0, fillBelowTo="lower", fillOpacity=15),
                _styled("usual", lineWidth=1, lineStyle={"fill": "dash", "dash": [6, 6]}),
            ],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def _score(detector: Detector, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": f"{detector.name}: score (0.5 is the band's edge)",
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": [_target(detector, "score", SCORE)],
        "fieldConfig": {
            "defaults": {
                "min": 0,
                "max": 1,
                "custom": {"thresholdsStyle": {"mode": "line"}, "showPoints": "never"},
                "thresholds": {
                    "mode": "absolute",
                    "steps": [{"color": "green", "value": None}, {"color": "red", "value": 0.5}],
                },
            },
            "overrides": [],
        },
    }


def _alerts(spec: Spec) -> dict[str, Any]:
    names = "|".join(detector.name for detector in spec.detectors)
    return {
        "id": 1,
        "type": "state-timeline",
        "title": "Alerts",
        "datasource": _SOURCE,
        "gridPos": {"x": 0, "y": 0, "w": _WIDTH, "h": _HEIGHT},
        "targets": [
            {
                "refId": "alerts",
                "datasource": _SOURCE,
                "expr": f"max by (alertname, severity, {', '.join((DETECTOR, *_labels(spec)))}) (\n"
                f'  ALERTS{{{DETECTOR}=~"{names}", alertstate="firing"}}\n)',
                "legendFormat": " ".join(
                    ("{{alertname}} {{severity}}", *(f"{{{{{each}}}}}" for each in _labels(spec)))
                ),
            }
        ],
        "fieldConfig": {"defaults": {"custom": {"fillOpacity": 80}}, "overrides": []},
    }


def _target(detector: Detector, name: str, metric: str) -> dict[str, Any]:
    chosen = "".join(f', {label}=~"${label}"' for label in detector.by)
    return {
        "refId": name,
        "datasource": _SOURCE,
        "expr": f'{metric}{{{DETECTOR}="{detector.name}"{chosen}}}',
        "legendFormat": _legend(detector, name),
    }


def _legend(detector: Detector, name: str) -> str:
    return " ".join((name, *(f"{{{{{label}}}}}" for label in detector.by))) if name == "value" else name


def _styled(name: str, **custom: object) -> dict[str, Any]:
    return {
        "matcher": {"id": "byFrameRefID", "options": name},
        "properties": [{"id": f"custom.{key}", "value": value} for key, value in custom.items()],
    }
