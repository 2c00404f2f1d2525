"""One Grafana dashboard over all specs: what fires, what is unusual, what is judged, what it costs, what was mended.

generate.py writes it beside the dashboards of the specs, which its tiles lead to.
"""

from collections.abc import Sequence
from typing import Final

from receiver.conventions import BAND_MEAN, DETECTOR, SCORE, VALUE, ZSCORE
from receiver.rulegen.alerts import dashboard_uid
from receiver.rulegen.dashboards import names_of
from receiver.rulegen.grafana import (
    SCORE_COLOURS,
    Heading,
    Panel,
    Query,
    columns,
    dashboard,
    label_variable,
    steps,
)
from receiver.rulegen.spec import MARK, Spec

OVERVIEW: Final = "amend-overview.json"
UID: Final = "amend"  #: without a dash: no spec's dashboard can have it

_CHOSEN: Final = f'{DETECTOR}=~"$detector"'
_FIRING: Final = 'alertstate="firing"'
_HIDDEN: Final = ("Time", "__name__", "alertstate", "Value")
_BARS: Final = {"custom": {"drawStyle": "bars", "fillOpacity": 80, "stacking": {"mode": "normal"}}, "decimals": 0}


def overview_file(specs: Sequence[Spec], source: str) -> str:
    """The dashboard as a file; `source` is what it names as its origin."""
    everything = f"label_values({VALUE}, {DETECTOR})"
    return dashboard(
        uid=UID,
        title="Amend / overview",
        about=f"{MARK} {source}; edits are overwritten.",
        variables=[label_variable(DETECTOR, everything, everything=".+")],
        panels=[
            Heading(title="Now"),
            *(_tile(spec) for spec in specs),
            _fires(),
            _unusual(),
            Heading(title="Scores"),
            _scores(sum(len(spec.detectors) for spec in specs)),
            Heading(title="What is judged"),
            _judged(),
            _by_detector(),
            _silent(specs),
            Heading(title="What it costs"),
            *_cost(specs),
            Heading(title="Remediation"),
            *_remediation(),
        ],
    )


# ── now ──


def _tile(spec: Spec) -> Panel:
    """How many alerts of a spec fire; a click leads to its dashboard."""
    link = f"/d/{dashboard_uid(spec)}?${{datasource:queryparam}}&${{__url_time_range}}"
    return Panel(
        kind="stat",
        title=spec.name,
        about=f"Firing alerts of {spec.source}. A click leads to its dashboard.",
        width=4,
        height=3,
        queries=[Query(name="firing", expr=f'count(ALERTS{{{_FIRING}, {DETECTOR}=~"{names_of(spec)}"}}) or vector(0)')],
        defaults={
            "thresholds": steps([(None, "green"), (1, "red")]),
            "links": [{"title": f"Dashboard of {spec.name}", "url": link, "targetBlank": False}],
        },
        options={"colorMode": "background", "graphMode": "none", "textMode": "value"},
    )


def _fires() -> Panel:
    return Panel(
        kind="table",
        title="What fires now",
        about="Every alert of the chosen detectors, one row for each severity.",
        width=12,
        height=9,
        queries=[Query(name="alerts", expr=f"ALERTS{{{_FIRING}, {_CHOSEN}}}", table=True)],
        transformations=columns(hidden=_HIDDEN, renamed={}),
    )


def _unusual() -> Panel:
    top = f"topk(10, {SCORE}{{{_CHOSEN}}})"
    shown = {"score": top} | {
        name: f"({metric}{{{_CHOSEN}}} and {top})"
        for name, metric in (("distance", ZSCORE), ("value", VALUE), ("usual", BAND_MEAN))
    }
    return Panel(
        kind="table",
        title="Most unusual series",
        about="The ten highest scores of now, whether they fire or not.",
        width=12,
        height=9,
        # times 1 takes the name away, which would keep the columns of one series in different rows
        queries=[Query(name=name, expr=f"1 * {expr}", table=True) for name, expr in shown.items()],
        overrides=[
            {
                "matcher": {"id": "byName", "options": "score"},
                "properties": [
                    {"id": "thresholds", "value": steps(SCORE_COLOURS)},
                    {"id": "custom.cellOptions", "value": {"type": "color-background"}},
                ],
            }
        ],
        options={"sortBy": [{"displayName": "score", "desc": True}]},
        transformations=columns(hidden=_HIDDEN, renamed={f"Value #{name}": name for name in shown}),
    )


# ── scores ──


def _scores(detectors: int) -> Panel:
    return Panel(
        kind="state-timeline",
        title="Highest score of each detector",
        about="Green inside the band; yellow, orange and red the further outside.",
        height=min(30, 5 + detectors),  # a line needs about one unit; above thirty it can be scrolled
        queries=[Query(name="score", expr=f"max by ({DETECTOR}) ({SCORE}{{{_CHOSEN}}})", legend=f"{{{{{DETECTOR}}}}}")],
        defaults={
            "min": 0,
            "max": 1,
            "color": {"mode": "thresholds"},
            "thresholds": steps(SCORE_COLOURS),
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        },
        options={"mergeValues": True, "showValue": "never", "legend": {"showLegend": False}},
    )


# ── what is judged ──


def _counted() -> dict[str, str]:
    """Series by what becomes of them; each is in one of these."""
    value, mean, zscore = (f"{metric}{{{_CHOSEN}}}" for metric in (VALUE, BAND_MEAN, ZSCORE))
    return {
        "judged": zscore,
        "cold": f"({value} unless {mean})",
        "held back": f"({value} and {mean} unless {zscore})",
        "without data": f"(last_over_time({value}[1h]) unless {value})",
    }


_COUNTED_ABOUT: Final = (
    "Cold: too little is known yet. Held back: by only_if. Without data: there within the last hour, but not now."
)


def _judged() -> Panel:
    return Panel(
        kind="timeseries",
        title="Series",
        about=_COUNTED_ABOUT,
        width=12,
        queries=[Query(name=name, expr=f"count({series})") for name, series in _counted().items()],
        defaults={"unit": "short", "custom": {"fillOpacity": 30, "stacking": {"mode": "normal"}}},
    )


def _by_detector() -> Panel:
    counted = {name: f"count by ({DETECTOR}) ({series})" for name, series in _counted().items()}
    return Panel(
        kind="table",
        title="Series by detector",
        about=_COUNTED_ABOUT,
        width=9,
        queries=[Query(name=name, expr=expr, table=True) for name, expr in counted.items()],
        transformations=columns(hidden=_HIDDEN, renamed={f"Value #{name}": name for name in counted}),
    )


def _silent(specs: Sequence[Spec]) -> Panel:
    all_of_them = sum(len(spec.detectors) for spec in specs)
    speaking = f'count(group by ({DETECTOR}) ({VALUE}{{{DETECTOR}=~"{_all_names(specs)}"}}))'
    return Panel(
        kind="stat",
        title="Detectors without any data",
        about=f"Of the {all_of_them} detectors of the specs. Is what they watch scraped under that name?",
        width=3,
        queries=[Query(name="silent", expr=f"{all_of_them} - ({speaking} or vector(0))")],
        defaults={"thresholds": steps([(None, "green"), (1, "orange")])},
        options={"colorMode": "value", "graphMode": "none"},
    )


# ── what it costs ──


def _cost(specs: Sequence[Spec]) -> list[Panel]:
    ours = _groups(_all_names(specs))
    duration, interval = "prometheus_rule_group_last_duration_seconds", "prometheus_rule_group_interval_seconds"
    return [
        Panel(
            kind="timeseries",
            title="Evaluation of the rules",
            about="How long one round of all groups of a spec takes Prometheus.",
            width=8,
            queries=[Query(name=spec.name, expr=f"sum({duration}{{{_groups(names_of(spec))}}})") for spec in specs],
            defaults={"unit": "s", "custom": {"fillOpacity": 30, "stacking": {"mode": "normal"}}},
        ),
        Panel(
            kind="timeseries",
            title="Slowest groups",
            about="The share of its interval that a group takes; at 100 % it skips rounds.",
            width=8,
            queries=[
                Query(
                    name="share",
                    expr=f"topk(5, {duration}{{{ours}}} / {interval}{{{ours}}})",
                    legend="{{rule_group}}",
                )
            ],
            defaults={"unit": "percentunit", "min": 0},
        ),
        Panel(
            kind="timeseries",
            title="Skipped rounds and failed rules",
            about="Both should be none: a judgement is missing for each.",
            width=5,
            queries=[
                Query(name="skipped", expr=_increase("prometheus_rule_group_iterations_missed_total", ours)),
                Query(name="failed", expr=_increase("prometheus_rule_evaluation_failures_total", ours)),
            ],
            defaults=_BARS,
        ),
        Panel(
            kind="stat",
            title="Recorded series",
            about="What one round of all groups records, alerts included.",
            width=3,
            queries=[Query(name="series", expr=f"sum(prometheus_rule_group_last_evaluation_samples{{{ours}}})")],
            defaults={"unit": "short"},
        ),
    ]


def _groups(names: str) -> str:
    """The groups of these detectors: Prometheus calls a group `FILE;NAME`, and ours begin with the detector's name."""
    return f'rule_group=~".+;({names}):.+"'


def _all_names(specs: Sequence[Spec]) -> str:
    return "|".join(map(names_of, specs))


# ── remediation ──


def _remediation() -> list[Panel]:
    quantile = "histogram_quantile({}, sum by (le) (rate(amend_alert_to_action_seconds_bucket[$__rate_interval])))"
    return [
        Panel(
            kind="stat",
            title="Runs now",
            about="Acting or verifying, and waiting for a person.",
            width=4,
            queries=[
                Query(name="acting", expr="sum(amend_remediation_in_progress) or vector(0)"),
                Query(name="waiting for approval", expr="max(amend_approvals_pending)"),
            ],
            defaults={"unit": "short", "decimals": 0},
            options={"colorMode": "value", "graphMode": "none"},
        ),
        Panel(
            kind="timeseries",
            title="Finished runs by outcome",
            width=7,
            queries=[Query(name="runs", expr=_increase("amend_runs_total", by="outcome"), legend="{{outcome}}")],
            defaults=_BARS,
        ),
        Panel(
            kind="timeseries",
            title="Decisions not to act by reason",
            width=7,
            queries=[Query(name="skips", expr=_increase("amend_skips_total", by="reason"), legend="{{reason}}")],
            defaults=_BARS,
        ),
        Panel(
            kind="timeseries",
            title="From the alert to the action",
            about="From the receipt of an alert to the first step.",
            width=6,
            queries=[
                Query(name="median", expr=quantile.format(0.5)),
                Query(name="slowest twentieth", expr=quantile.format(0.95)),
            ],
            defaults={"unit": "s"},
        ),
    ]


def _increase(metric: str, matchers: str = "", *, by: str = "") -> str:
    grouped = f"sum by ({by})" if by else "sum"
    chosen = f"{{{matchers}}}" if matchers else ""
    return f"{grouped} (increase({metric}{chosen}[$__rate_interval]))"
