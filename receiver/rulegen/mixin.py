"""The format `mixin`: rules, alerts and dashboards as the tools for monitoring mixins expect them.

`amend rules generate --format mixin` lays files out with it: the rendered files can be used as they are, and
mixin.libsonnet hands the same content to jsonnet, to be extended or changed there.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from receiver.rulegen.overview import OVERVIEW
from receiver.rulegen.pieces import Pieces, all_specs, do_not_edit
from receiver.rulegen.rules import file_text

# https://github.com/monitoring-mixins/docs: the three fields, and the names that mixins' makefiles render to
RULES: Final = "prometheus_rules.yaml"
ALERTS: Final = "prometheus_alerts.yaml"
DASHBOARDS: Final = "dashboards_out"  #: the folder of the dashboards


def mixin(pieces: Sequence[Pieces]) -> Mapping[str, str]:
    """The whole mixin but its dashboards, which generate.py writes into DASHBOARDS."""
    header = f"# {do_not_edit(all_specs(pieces))}"
    return {
        "mixin.libsonnet": _libsonnet(pieces),
        RULES: file_text([header], [group for each in pieces for group in each.recording]),
        ALERTS: file_text([header], [group for each in pieces for group in each.alerting]),
    }


def _libsonnet(pieces: Sequence[Pieces]) -> str:
    names = sorted([*(f"{each.name}.json" for each in pieces), OVERVIEW])
    return "\n".join(
        (
            f"// {do_not_edit(all_specs(pieces))}",
            "{",
            "  // `groups+:`, so that this adds to other mixins and rules to alerts.",
            f"  prometheusRules+:: {{ groups+: std.parseYaml(importstr '{RULES}').groups }},",
            f"  prometheusAlerts+:: {{ groups+: std.parseYaml(importstr '{ALERTS}').groups }},",
            "  grafanaDashboards+:: {",
            *(f"    {json.dumps(name)}: import {json.dumps(f'{DASHBOARDS}/{name}')}," for name in names),
            "  },",
            "}",
            "",
        )
    )
