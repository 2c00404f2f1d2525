"""Grafana's classic JSON model, which every Grafana imports: panels, variables, annotations, and the dashboard of them.

dashboards.py and overview.py say with it what is to be seen. Ids and places are given out here, so that no panel
covers another and the same panels give the same bytes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
TAG: Final = "generated-by-amend"
WIDTH: Final = 24  #: of every Grafana dashboard

#: How far from the usual a score is; 0.5 is the edge of a band.
SCORE_COLOURS: Final = ((None, "green"), (0.5, "yellow"), (0.7, "orange"), (0.85, "red"))


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query of a panel."""

    name: str  #: what the panel's overrides and columns call it
    expr: str
    legend: str = ""
    table: bool = False  #: the rows of now, rather than lines over time

    def model(self) -> dict[str, Any]:
        shape = {"instant": True, "range": False, "format": "table"} if self.table else {}
        return {
            "refId": self.name,
            "datasource": SOURCE,
            "expr": self.expr,
            "legendFormat": self.legend or self.name,
            **shape,
        }


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel, without its id and place."""

    kind: str  #: Grafana's own word: timeseries, stat, table, …
    title: str
    about: str = ""  #: what people read at its corner
    width: int = WIDTH
    height: int = 8
    queries: Sequence[Query] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)  #: how all of its values are shown
    overrides: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    transformations: Sequence[Mapping[str, Any]] = ()

    def model(self, number: int, x: int, y: int) -> dict[str, Any]:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "datasource": SOURCE,
            "targets": [query.model() for query in self.queries],
            "fieldConfig": {"defaults": self.defaults, "overrides": self.overrides},
            "options": self.options,
            "transformations": self.transformations,
        }


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The line between two parts of a dashboard."""

    title: str
    width: int = WIDTH
    height: int = 1

    def model(self, number: int, x: int, y: int) -> dict[str, Any]:
        return {
            "id": number,
            "type": "row",
            "title": self.title,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "collapsed": False,
            "panels": [],
        }


def dashboard(
    *, uid: str, title: str, about: str, variables: Iterable[Mapping[str, Any]], panels: Iterable[Panel | Heading]
) -> str:
    """A dashboard as a file. Its uid is stable, so that importing it again updates it."""
    model = {
        "description": about,  # first: generate.py knows its files by it
        "tags": [TAG],
        "uid": uid,
        "title": title,
        "schemaVersion": 36,
        "editable": False,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [_LINK],
        "templating": {"list": [_SOURCE_VARIABLE, *variables]},
        "annotations": {"list": [_REMEDIATION]},
        "panels": list(_placed(panels)),
    }
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"


def label_variable(name: str, query: str, *, everything: str = ".*") -> dict[str, Any]:
    """A choice among a label's values; `everything` is the pattern that All stands for."""
    return {
        "name": name,
        "type": "query",
        "label": name,
        "datasource": SOURCE,
        "query": {"query": query, "refId": "labels"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": everything,
        "current": {"text": "All", "value": "$__all"},
    }


def steps(colours: Iterable[tuple[float | None, str]]) -> dict[str, Any]:
    """Colours from values upwards; None is the beginning."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in colours]}


def styled(query: str, **custom: object) -> dict[str, Any]:
    """How the lines of one query differ from the others."""
    return {
        "matcher": {"id": "byFrameRefID", "options": query},
        "properties": [{"id": f"custom.{key}", "value": value} for key, value in custom.items()],
    }


def columns(*, hidden: Iterable[str], renamed: Mapping[str, str]) -> list[dict[str, Any]]:
    """One table of all queries' rows that have the same labels, without the columns that tell nothing."""
    return [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": dict.fromkeys(hidden, True), "renameByName": dict(renamed)}},
    ]


def _placed(panels: Iterable[Panel | Heading]) -> Iterator[dict[str, Any]]:
    """From left to right, then below the tallest of the line."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        yield panel.model(number, x, y)
        x, tallest = x + panel.width, max(tallest, panel.height)


_SOURCE_VARIABLE: Final = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}

_LINK: Final = {
    "type": "dashboards",
    "title": "Amend",
    "tags": [TAG],
    "asDropdown": True,
    "includeVars": False,
    "keepTime": True,
    "targetBlank": False,
}

# Of all workloads: a run knows its target, which no label of a detector need name.
_REMEDIATION: Final = {
    "name": "Remediation",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "purple",
    "expr": "max by (playbook, target) (amend_remediation_in_progress) > 0",
    "step": "15s",
    "titleFormat": "{{playbook}}",
    "textFormat": "{{target}}",
}
