"""Policies of older tools (name, condition, action, service, cooldown, enabled) as a spec and playbooks.

`amend playbooks import` writes what comes of it. A condition on a raw metric becomes a detector with the band
`threshold`, and the action a playbook on its alert, in observe mode: what a policy leaves open is marked ← in the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from receiver.documents import Part, load, parse
from receiver.durations import Duration, format_duration
from receiver.errors import ConfigError, ConfigErrors
from receiver.labels import quoted, selector

_CONDITION = re.compile(
    r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(>=|<=|>|<)\s*([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\s*"
)

LONGEST = 63  #: characters of a playbook's name


@dataclass(frozen=True)
class Threshold:
    """`latency > 0.5`."""

    metric: str
    direction: Literal["above", "below"]
    bound: str


def _threshold(value: object) -> Threshold:
    match = _CONDITION.fullmatch(str(value))
    if not match:
        raise ValueError(f'"{value}" is no comparison of a metric with a number; write for example latency > 0.5')
    metric, operator, bound = match.groups()
    return Threshold(metric, "above" if operator.startswith(">") else "below", bound)


def _seconds(value: object) -> object:
    """Older tools count in seconds."""
    return f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else value


def _plain(text: str) -> str:
    if re.search(r"\{[{%#]|[\x00-\x1f]", text):
        raise ValueError(f"{text!r} would be read as a template; write plain text")
    return text


def _some_name(text: str) -> str:
    if not re.search(r"[A-Za-z]", text):
        raise ValueError(f'"{text}" has no letter to make names of')
    return text


class Policy(Part):
    name: Annotated[str, AfterValidator(_plain), AfterValidator(_some_name)]
    condition: Annotated[Threshold, BeforeValidator(_threshold)] = Field(examples=["latency > 0.5"])
    action: Literal["restart_container", "scale_up", "alert"]
    service: Annotated[str, AfterValidator(_plain)] = Field(min_length=1)
    cooldown: Annotated[Duration, BeforeValidator(_seconds)] = timedelta(minutes=5)
    enabled: bool = True

    @property
    def words(self) -> list[str]:
        return re.findall(r"[a-z0-9]+", self.name.lower())

    @property
    def detector(self) -> str:
        """`high_latency`."""
        name = "_".join(self.words)
        return name if name[0].isalpha() else f"policy_{name}"

    @property
    def expression(self) -> str:
        """One series, the worst where there are several."""
        worst = "max" if self.condition.direction == "above" else "min"
        return f"{worst} by (service) ({selector(self.condition.metric, {'service': self.service})})"

    @property
    def alert(self) -> str:
        """`HighLatency`."""
        camel = "".join(word.capitalize() for word in self.words)
        return camel if camel[0].isalpha() else f"Policy{camel}"

    @property
    def playbook(self) -> str:
        """`high-latency`."""
        return "-".join(self.words)[:LONGEST].rstrip("-")


class _Policies(Part):
    policies: tuple[Policy, ...] = Field(min_length=1)


def read(path: Path) -> tuple[Policy, ...]:
    """The policies of a file, which stand in a list under `policies:`; ConfigErrors with every mistake in it."""
    document = load(path)
    policies = parse(document, _Policies).policies
    errors = []
    for index, policy in enumerate(policies):
        before = policies[:index]
        for made, name in (("an alert", "alert"), ("a playbook", "playbook")):
            if getattr(policy, name) in [getattr(other, name) for other in before]:
                message = f'another policy makes {made} "{getattr(policy, name)}" already; give each its own name'
                errors.append(ConfigError(path, document.line(("policies", index, "name")), message))
                break
    if errors:
        raise ConfigErrors(errors)
    return policies


def spec(policies: Sequence[Policy], *, service: str, source: str) -> str:
    """The text of a spec: one detector for each."""
    detectors = "".join(
        f"""
- name: {policy.detector}
  # ← is this the metric's name in Prometheus, and does the label "service" name the service?
  expr: {policy.expression}
  by: [service]
  band: threshold
  bound: {policy.condition.bound}
  direction: {policy.condition.direction}
  severity: {{high: 3}}
  alert: {policy.alert}
"""
        for policy in policies
    )
    return f"""\
# From the policies in {source}. Look at what is marked ←, then: amend rules generate && amend rules test
version: amend/v1
service: {quoted(service)}
detectors:
{detectors.lstrip()}"""


def playbooks(policies: Sequence[Policy], *, source: str) -> str:
    """The text of a playbook file: one playbook for each."""
    written = "\n".join(_playbook(policy) for policy in policies)
    return f"""\
# From the policies in {source}. All observe: they write down what they would do. Look at what is marked ←, and write
# `mode: enforce` when that is what you want.
playbooks:

{written}"""


def _playbook(policy: Policy) -> str:
    text = f"""\
- name: {policy.playbook}
  enabled: {str(policy.enabled).lower()}
  mode: observe
  matchers: ['alertname="{policy.alert}"']
"""
    if policy.action == "restart_container":
        text += f"""\
  target: {{docker: {{container: {quoted(policy.service)}}}}}  # ← the container's name
"""
    elif policy.action == "scale_up":
        text += f"""\
  target: {{docker: {{compose: {{project: shop, service: {quoted(policy.service)}}}}}}}  # ← the Compose project
"""
    text += f"  cooldown: {format_duration(policy.cooldown)}\n  steps:\n"
    if policy.action == "alert":
        return (
            text
            + f"""\
  - notify: {{receiver: people, message: {quoted(f"{policy.name}: {{{{ value }}}}")}}}  # ← a receiver of amend.yml
"""
        )
    step = "restart: {}" if policy.action == "restart_container" else "scale: {by: 1, max: 10}"
    return (
        text
        + f"""\
  - {step}
  verify: {{resolved_within: 10m, healthy: true}}
"""
    )
