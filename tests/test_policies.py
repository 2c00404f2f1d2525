"""Policies of older tools: what is made of them can be read, generated and checked, and does what they said."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from receiver.actions import VERBS
from receiver.cli import app
from receiver.documents import load
from receiver.errors import ConfigErrors
from receiver.playbook import Playbook
from receiver.playbook import read as read_playbooks
from receiver.policies import read
from receiver.rulegen.generate import load_specs, render, write
from tests.bed.prometheus import promtool

POLICIES = """policies:
- {name: High Latency, condition: latency > 0.5, action: restart_container, service: api, cooldown: 300}
- {name: low-memory, condition: free_bytes <= 1e6, action: scale_up, service: "we\\"b", cooldown: 10m}
- {name: 5xx errors, condition: error_rate >= 0.05, action: alert, service: api, enabled: false}
"""


def imported(folder: Path, text: str = POLICIES) -> dict[str, Playbook]:
    file = folder / "policies.yml"
    file.write_text(text)
    where = ["--specs", str(folder / "specs"), "--out", str(folder / "playbooks")]
    done = CliRunner().invoke(app, ["playbooks", "import", str(file), *where])
    assert done.exit_code == 0, done.output
    return {each.name: each for each in read_playbooks(folder / "playbooks" / "policies.yml", VERBS)}


def test_what_is_made_of_policies_says_what_they_said(tmp_path: Path) -> None:
    restart, scale, tell = imported(tmp_path).values()
    assert (restart.name, scale.name, tell.name) == ("high-latency", "low-memory", "5xx-errors")
    assert [step.verb for each in (restart, scale, tell) for step in each.steps] == ["restart", "scale", "notify"]
    assert (restart.cooldown, scale.cooldown) == (timedelta(minutes=5), timedelta(minutes=10))
    assert (restart.enabled, tell.enabled) == (True, False)
    assert {each.mode for each in (restart, scale, tell)} == {"observe"}, "nothing acts before somebody has looked"


def test_each_condition_is_a_rule_that_raises_the_playbooks_alert(tmp_path: Path) -> None:
    playbooks = imported(tmp_path)
    loaded = load_specs(tmp_path / "specs")
    write(render(loaded.specs, rules=tmp_path, dashboards=tmp_path))
    promtool("check", "rules", tmp_path / "policies.rules.yml")
    rules = (tmp_path / "policies.rules.yml").read_text()
    for playbook in playbooks.values():
        (matcher,) = playbook.matchers
        assert f"alert: {matcher.value}\n" in rules
    (spec,) = loaded.specs
    assert [each.expr for each in spec.detectors] == [
        'max by (service) (latency{service="api"})',
        'min by (service) (free_bytes{service="we\\"b"})',
        'max by (service) (error_rate{service="api"})',
    ]


@pytest.mark.parametrize("service", ["2024", "no", "shop: cart", 'a"b'])
def test_a_service_may_be_called_anything(tmp_path: Path, service: str) -> None:
    (tmp_path / "policies.yml").write_text(POLICIES)
    where = ["--service", service, "--specs", str(tmp_path / "specs"), "--out", str(tmp_path / "playbooks")]
    assert CliRunner().invoke(app, ["playbooks", "import", str(tmp_path / "policies.yml"), *where]).exit_code == 0
    assert load(tmp_path / "specs" / "policies.yml").value["service"] == service


def test_names_that_differ_too_late_for_a_playbook_are_told(tmp_path: Path) -> None:
    long = "a policy whose name says everything that there is to say about it, and more"
    both = [f"- {{name: '{long} {n}', condition: a > 1, action: alert, service: api}}" for n in (1, 2)]
    (tmp_path / "policies.yml").write_text("policies:\n" + "\n".join(both))
    with pytest.raises(ConfigErrors, match="makes a playbook"):
        read(tmp_path / "policies.yml")


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    imported(tmp_path)
    (tmp_path / "specs" / "policies.yml").write_text("mine")
    where = ["--specs", str(tmp_path / "specs"), "--out", str(tmp_path / "elsewhere")]
    done = CliRunner().invoke(app, ["playbooks", "import", str(tmp_path / "policies.yml"), *where])
    assert "is there already" in str(done.exception)
    assert (tmp_path / "specs" / "policies.yml").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{name: a, condition: latency, action: alert, service: api}", "is no comparison of a metric with a number"),
        ("{name: a, condition: a > b, action: alert, service: api}", "write for example latency > 0.5"),
        ("{name: a, condition: a > 1, action: reboot, service: api}", "restart_container"),
        ("{name: a, condition: a > 1, action: alert}", "service"),
        ("{name: '7', condition: a > 1, action: alert, service: api}", "no letter"),
        ("{name: a, condition: a > 1, action: alert, service: '{{ labels.x }}'}", "would be read as a template"),
        ("{name: a, condition: a > 1, action: alert, service: api, cooldwn: 5}", 'did you mean "cooldown"?'),
        ("{name: High Latency, condition: a > 1, action: alert, service: api}", 'makes an alert "HighLatency" already'),
    ],
)
def test_a_mistake_names_its_line_and_the_way_out(tmp_path: Path, policy: str, said: str) -> None:
    file = tmp_path / "policies.yml"
    file.write_text(f"{POLICIES}- {policy}\n")
    with pytest.raises(ConfigErrors, match=r"policies.yml:5: ") as refused:
        read(file)
    assert said in str(refused.value)
