"""The format `mixin`: rules, alerts and dashboards as the tools for monitoring mixins expect them.

`amend rules generate --format mixin` lays files out with it: the rendered files can be used as they are, and
mixin.libsonnet hands the same content to jsonnet, to be extended or changed there.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import yaml

from receiver.rulegen.overview import OVERVIEW
from receiver.rulegen.pieces import Pieces, all_specs, do_not_edit
from receiver.rulegen.rules import Group, file_text

# https://github.com/monitoring-mixins/docs: the three fields, and the names that mixins' makefiles render to
RULES: Final = "prometheus_rules.yaml"
ALERTS: Final = "prometheus_alerts.yaml"
DASHBOARDS: Final = "dashboards_out"  #: the folder of the dashboards


def mixin(pieces: Sequence[Pieces]) -> Mapping[str, str]:
    """The whole mixin but its dashboards, which generate.py writes into DASHBOARDS."""
    source = all_specs(pieces)
    rules = _rendered(source, [group for each in pieces for group in each.recording])
    alerts = _rendered(source, [group for each in pieces for group in each.alerting])
    return {
        RULES: rules,
        ALERTS: alerts,
        "rules.libsonnet": _imported(source, rules),
        "alerts.libsonnet": _imported(source, alerts),
        "mixin.libsonnet": _mixin(source, [*(f"{each.name}.json" for each in pieces), OVERVIEW]),
    }


def _rendered(source: str, groups: Sequence[Group]) -> str:
    return file_text([f"# {do_not_edit(source)}"], groups)


def _imported(source: str, rendered: str) -> str:
    """The same as JSON, which is jsonnet, too: `std.parseYaml` of jsonnet 0.18 cannot read an expr of several lines."""
    content = json.dumps(yaml.load(rendered, Loader=yaml.CSafeLoader), indent=2, ensure_ascii=False)
    return f"// {do_not_edit(source)}\n{content}\n"


def _mixin(source: str, dashboards: Sequence[str]) -> str:
    return "\n".join(
        (
            f"// {do_not_edit(source)}",
            "{",
            "  // `groups+:`, so that this adds to other mixins, and alerts to rules.",
            "  prometheusRules+:: { groups+: (import 'rules.libsonnet').groups },",
            "  prometheusAlerts+:: { groups+: (import 'alerts.libsonnet').groups },",
            "  grafanaDashboards+:: {",
            *(f"    {json.dumps(name)}: import {json.dumps(f'{DASHBOARDS}/{name}')}," for name in sorted(dashboards)),
            "  },",
            "}",
            "",
        )
    )
