"""`amend playbooks init` on rules of strangers: odd names, odd labels, and expressions that nobody can read."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from receiver.actions import VERBS
from receiver.cli import app
from receiver.errors import AmendError, ConfigError
from receiver.first_playbook.aim import COMPOSE
from receiver.lint import rules as rule_files
from receiver.lint import setup
from receiver.lint.against_platforms import missing_target, wrong_kind
from receiver.lint.against_rules import lost_target_label, missing_number, never_match, too_short_verify, unknown_alert
from receiver.lint.against_settings import unknown_root
from receiver.playbook import Playbook, read
from tests.bed.prometheus import Prometheus
from tests.bed.secrets import write_secrets

SETTINGS = """\
auth: {webhook: {bearer_token_file: token}}
prometheus: {url: "http://127.0.0.1:9090"}
playbooks: [playbooks/*.yml]
platforms: {docker: [{name: local}], kubernetes: [{name: default, namespaces: [shop]}]}
receivers: [{name: team-shop, webhook: {url_file: url}}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rule(
    alert: str = "Slow", expr: str = "sum by (namespace, deployment) (latency) > 1", **more: Any
) -> dict[str, Any]:
    return {"alert": alert, "expr": expr, **more}


def rules(*written: dict[str, Any], interval: str = "1m") -> Path:
    file = Path("shop.rules.yml")
    file.write_text(yaml.safe_dump({"groups": [{"name": "shop", "interval": interval, "rules": list(written)}]}))
    return file


def init(alert: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["playbooks", "init", alert, "--rules", "shop.rules.yml", *more])


def begun(*written: dict[str, Any], alert: str = "") -> tuple[Playbook, str]:
    """What comes of the rules for the first one's alert; it fits them without an error, and passes its test."""
    file = rules(*written)
    done = init(alert or written[0]["alert"], "-o", "json")
    assert done.exit_code == 0, (done.output, done.exception)
    told = json.loads(done.stdout)
    (playbook,) = read(Path(told["file"]), VERBS)
    if not Path("amend.yml").exists():
        write_secrets(SETTINGS, Path())
        Path("amend.yml").write_text(SETTINGS)
    found = setup.read(Path("amend.yml"), rule_files.read([file]))
    checks = (unknown_alert, never_match, lost_target_label, missing_number, too_short_verify)
    assert [str(each) for check in checks for each in check(found)] == []
    assert [str(each) for check in (missing_target, unknown_root, wrong_kind) for each in check(found)] == []
    whole = CliRunner().invoke(app, ["check", "--rules", str(file)])
    assert whole.exit_code == 0, whole.output
    tested = CliRunner().invoke(app, ["playbooks", "test", told["test"]])
    assert tested.exit_code == 0, tested.output
    return playbook, Path(told["file"]).read_text()


# ── names ──

HOSTILE = [
    "Disk is full",
    'He said "slow"',
    "it's slow",
    "back\\slash",
    "Überlast",
    "警报",
    "../../etc/passwd",
    "a\nb: c",
    "\u202egnp.exe",
    "# no comment",
    "{{ labels.job }}",
    "{% raw %}",
    "yes",
    "${HOME}",
    "A" * 300,
    "--",
    "🔥",
    "*",
    "a: b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_alert_may_be_called_anything(name: str, folder: Path) -> None:
    playbook, text = begun(rule(f"x{name}" if name.startswith("-") else name))
    assert playbook.matchers[0].value == rule(f"x{name}" if name.startswith("-") else name)["alert"]
    written = [path for path in folder.rglob("*.yml") if "playbooks" in path.parts]
    assert {path.parent.name for path in written} == {"playbooks", "tests"}, "and nothing is written elsewhere"
    assert "\u202e" not in text


def test_alerts_of_like_names_have_playbooks_of_unlike_names() -> None:
    rules(rule("CartSlow"), rule("Cart slow"), rule("cart_slow"))
    told = [json.loads(init(name, "-o", "json").stdout) for name in ("CartSlow", "Cart slow", "cart_slow")]
    assert [each["playbook"] for each in told] == ["cart-slow", "cart-slow-2", "cart-slow-3"]
    assert len({each["file"] for each in told}) == 3


def test_a_mistyped_name_is_told_with_the_one_that_was_meant() -> None:
    rules(rule("LatencyHigh"), {"record": "job:latency:max", "expr": "max by (job) (latency)"})
    with pytest.raises(AmendError, match='no alert is called "LatencyHihg"; did you mean "LatencyHigh"'):
        raise _raised(init("LatencyHihg"))
    with pytest.raises(AmendError, match='did you mean "LatencyHigh"'):
        raise _raised(init("latencyhigh"))
    with pytest.raises(AmendError, match=r"shop.rules.yml:.* records; a playbook answers alerts"):
        raise _raised(init("job:latency:max"))
    assert not Path("playbooks").exists()


def _raised(done: Result) -> BaseException:
    assert done.exit_code == 1
    assert done.exception
    return done.exception


def test_an_alert_that_is_called_as_a_series_is_still_an_alert() -> None:
    playbook, _ = begun(rule("latency"), {"record": "latency", "expr": "sum by (namespace, deployment) (raw)"})
    assert playbook.target != "none"
    assert playbook.target.kind == "Deployment"


# ── labels ──


def test_a_rule_without_labels_or_annotations_has_no_condition_and_no_target() -> None:
    playbook, text = begun(rule(expr="sum(latency) > 1"))
    assert playbook.target == "none"
    assert playbook.condition is None
    assert [step.verb for step in playbook.steps] == ["notify", "analyze"]
    assert "carries no label that names anything" in text


def test_a_template_in_a_label_is_no_value_to_match() -> None:
    severity = "{{ if gt $value 2.0 }}critical{{ else }}high{{ end }}"
    playbook, _ = begun(rule(labels={"severity": severity, "team": "{{ $labels.team }}"}))
    assert [matcher.name for matcher in playbook.matchers] == ["alertname"]


def test_several_severities_are_one_playbook() -> None:
    playbook, text = begun(*(rule(labels={"severity": each}) for each in ("high", "critical")))
    assert str(playbook.matchers[1]) == 'severity=~"high|critical"'
    assert "Every severity that the rules have is here" in text


def test_a_severity_that_is_no_word_is_not_made_a_regular_expression() -> None:
    playbook, _ = begun(*(rule(labels={"severity": each}) for each in ("a|b", ".*", 'q"')))
    assert len(playbook.matchers) == 1


def test_labels_of_rules_may_hold_anything() -> None:
    playbook, _ = begun(rule(labels={"note": "a: 'b'\n\"c\" {{", "on": "yes", "severity": "", "team": "日本"}))
    assert playbook.target != "none"


def test_rules_of_one_name_that_carry_other_labels_have_those_that_all_of_them_carry() -> None:
    playbook, _ = begun(rule(), rule(expr="sum by (namespace) (latency) > 2"))
    assert playbook.target == "none"


@pytest.mark.parametrize(
    ("expr", "target"),
    [
        ("sum by (namespace, statefulset) (latency) > 1", "StatefulSet"),
        ("sum by (namespace, daemonset) (latency) > 1", "DaemonSet"),
        ("sum by (namespace, pod, container) (container_latency) > 1", "Pod"),
        ("max by (node) (latency) > 1", "Node"),
        (
            f"sum by ({', '.join(COMPOSE)}) (container_latency) > 1",
            "compose",
        ),
        (f"sum by ({COMPOSE[1]}) (container_latency) > 1", "compose"),
        ('container_latency{name!=""} > 1', None),
        ("sum by (name) (container_latency) > 1", "container"),
        ("sum by (name) (latency) > 1", None),
        ("sum by (service) (latency) > 1", "compose"),
        ("sum by (service, namespace) (latency) > 1", "Deployment"),
        ("latency > 1", "compose"),
        ('latency{namespace="shop", deployment=~"cart|users"} > 1', "Deployment"),
        ("kube_deployment_latency > 1", "Deployment"),
        ("max by (job) (node_latency) > 1", None),
        ("sum without (job) (latency) > 1", None),
        ("vector(1)", None),
        ("absent(latency)", None),
        ("1", None),
    ],
)
def test_the_target_is_what_the_surviving_labels_name(expr: str, target: str | None) -> None:
    playbook, text = begun(rule(expr=expr))
    assert (None if playbook.target == "none" else playbook.target.kind) == target
    assert "←" in text


def test_a_service_that_the_rule_itself_names_is_a_guess_but_not_in_generated_rules_where_it_names_a_spec() -> None:
    playbook, text = begun(rule(expr="sum(latency) > 1", labels={"service": 'the "shop"'}))
    assert playbook.target != "none"
    assert 'service: "{{ labels.service }}"' in text
    Path("playbooks/Slow.yml").unlink()
    Path("playbooks/tests/Slow.yml").unlink()
    playbook, _ = begun(rule(expr="sum(latency) > 1", labels={"service": "http", "detector": "latency"}))
    assert playbook.target == "none"


def test_the_labels_that_annotations_speak_of_are_there() -> None:
    summary = {"summary": "{{ $labels.deployment }} in {{ .Labels.namespace }} is slow"}
    playbook, text = begun(rule(expr="latency > 1", annotations=summary))
    assert playbook.target != "none"
    assert playbook.target.kind == "Deployment"
    assert "look at an alert whether it carries these" in text


def test_a_guess_shows_the_other_way_to_read_the_label() -> None:
    _, text = begun(rule(expr="sum by (job) (latency) > 1"))
    assert '\n  target: {docker: {compose: {project: "shop", service: "{{ labels.job }}"}}}\n' in text
    assert '\n  # target: {kubernetes: {kind: Deployment, namespace: "shop", name: "{{ labels.job }}"}}\n' in text


# ── expressions ──


def test_an_expression_that_cannot_be_read_is_told_of_and_makes_nobody_act() -> None:
    playbook, text = begun(rule(expr="function_of_the_future(latency[5m]) >>> 1"))
    assert playbook.target == "none"
    assert "cannot be read here" in text


@pytest.mark.parametrize("held", ["0s", "30s", "1h", "1d", "3w"])
def test_verification_waits_for_longer_than_the_rule_takes_to_change_its_mind(held: str) -> None:
    playbook, _ = begun(rule(**{"for": held}))
    assert playbook.verify
    assert playbook.verify.resolved_within
    assert playbook.verify.resolved_within > rule_files.read([Path("shop.rules.yml")]).alerts[0].held


def test_verification_waits_until_the_fault_is_out_of_the_range() -> None:
    recorded = {"record": "cart:latency:mean", "expr": "avg_over_time(latency[2h])"}
    playbook, _ = begun(rule(expr="sum by (namespace, deployment) (cart:latency:mean) > 1"), recorded)
    assert playbook.verify
    assert str(playbook.verify.resolved_within) == "3:00:00"


# ── numbers ──


@pytest.mark.parametrize(
    ("expr", "annotations", "condition"),
    [
        ("X > 0.5", {"value": "{{ $value }}"}, "value >= 0.5"),
        ("X < 0.5", {"value": '{{ $value | printf "%.2f" }}'}, "value <= 0.5"),
        ("X < -3 or X > 3", {"z_score": "{{ .Value }}"}, "z_score >= 3"),
        ("X > 0.555", {"value": '{{ $value | printf "%.2f" }}'}, None),
        ("X > 1", {"value": "{{ $value | humanize }}"}, None),
        ("X > bool 1", {"value": "{{ $value }}"}, None),
        ("X > Inf", {"value": "{{ $value }}"}, None),
        ("X == 1", {"value": "{{ $value }}"}, None),
        ("X > X", {"value": "{{ $value }}"}, None),
        ("X > 1", {"summary": "{{ $value }}"}, None),
    ],
)
def test_the_condition_is_the_bound_of_the_rule_in_the_number_that_it_puts_into_the_alert(
    expr: str, annotations: dict[str, str], condition: str | None
) -> None:
    expr = expr.replace("X", "sum by (namespace, deployment) (latency)")
    playbook, _ = begun(rule(expr=expr, annotations=annotations))
    assert (playbook.condition and playbook.condition.text) == condition


def test_of_several_rules_the_loosest_bound_counts() -> None:
    annotations = {"value": "{{ $value }}"}
    expr = "sum by (namespace, deployment) (latency) > {}"
    both = [rule(expr=expr.format(bound), annotations={**annotations}) for bound in (5, 2)]
    playbook, _ = begun(*both)
    assert playbook.condition
    assert playbook.condition.text == "value >= 2"


# ── settings ──


def test_the_settings_choose_the_platform_and_the_receivers() -> None:
    docker = SETTINGS.replace(", kubernetes: [{name: default, namespaces: [shop]}]", "").replace(
        "receivers: [", "receivers: [{name: chat, webhook: {url_file: url}}, "
    )
    write_secrets(docker, Path())
    Path("amend.yml").write_text(docker)
    playbook, text = begun(rule(expr="sum by (namespace, job) (latency) > 1"))
    assert playbook.target != "none"
    assert playbook.target.kind == "compose"
    assert 'receiver: "chat"' in text.partition("on_failure:")[0]
    assert 'receiver: "team-shop"' in text.partition("on_failure:")[2]


def test_without_the_platform_that_the_labels_name_people_are_told() -> None:
    docker = SETTINGS.replace(", kubernetes: [{name: default, namespaces: [shop]}]", "")
    write_secrets(docker, Path())
    Path("amend.yml").write_text(docker)
    playbook, text = begun(rule())
    assert playbook.target == "none"
    assert "amend.yml has no kubernetes" in text


def test_of_several_clusters_one_is_named() -> None:
    two = SETTINGS.replace("{name: default,", "{name: 'east \"1\"', namespaces: [shop]}, {name: west,")
    write_secrets(two, Path())
    Path("amend.yml").write_text(two)
    playbook, _ = begun(rule())
    assert playbook.target != "none"
    assert playbook.target.kubernetes
    assert playbook.target.kubernetes.cluster == 'east "1"'


def test_without_a_prometheus_the_platform_alone_is_asked_whether_it_helped() -> None:
    alone = SETTINGS.replace('prometheus: {url: "http://127.0.0.1:9090"}\n', "")
    write_secrets(alone, Path())
    Path("amend.yml").write_text(alone)
    playbook, _ = begun(rule())
    assert playbook.verify
    assert (playbook.verify.resolved_within, playbook.verify.healthy) == (None, True)


def test_no_secret_is_needed_to_begin() -> None:
    Path("amend.yml").write_text(SETTINGS)
    rules(rule())
    assert init("Slow").exit_code == 0


# ── files ──


@pytest.mark.parametrize("there", ["playbooks/Slow.yml", "playbooks/tests/Slow.yml"])
def test_what_is_there_is_never_written_over(there: str) -> None:
    rules(rule())
    Path(there).parent.mkdir(parents=True)
    Path(there).write_text("mine")
    done = init("Slow")
    assert done.exit_code == 2
    assert "is there already; give another --out" in done.output
    assert Path(there).read_text() == "mine"
    assert [path for path in Path("playbooks").rglob("*") if path.is_file()] == [Path(there)]
    assert init("Slow", "--out", "playbooks/other.yml").exit_code == 0
    assert Path("playbooks/tests/other.yml").exists()


def test_a_playbook_that_answers_the_alert_already_is_told_of() -> None:
    rules(rule())
    assert init("Slow").exit_code == 0
    done = init("Slow", "--out", "playbooks/again.yml", "-o", "json")
    assert json.loads(done.stdout)["playbook"] == "slow-2"
    assert json.loads(done.stdout)["warnings"] == [
        "playbooks/Slow.yml:13: slow answers this alert already; let only one of them act"
    ]


def test_without_rules_it_says_where_they_could_come_from() -> None:
    done = CliRunner().invoke(app, ["playbooks", "init", "Slow"])
    assert isinstance(done.exception, ConfigError)
    assert "name rule files with --rules, or a --prometheus" in str(done.exception)


def test_nobody_to_ask_is_exit_code_two() -> None:
    done = CliRunner().invoke(app, ["playbooks", "init", "Slow", "--prometheus", "http://127.0.0.1:1"])
    assert done.exit_code == 2
    rules(rule())
    assert init("Slow", "--prometheus", "http://127.0.0.1:1").exit_code == 2
    assert init("Slow", "--out", "slow.txt").exit_code == 2


def test_it_tells_people_what_it_chose_and_why() -> None:
    rules(rule())
    done = init("Slow")
    assert "target     Deployment $namespace/$deployment  the alert carries namespace and deployment" in done.stdout
    assert 'its name says "slow": a slow workload is often quick again after a restart' in done.stdout
    assert "playbooks/Slow.yml: written: playbook slow, which observes" in done.stdout


# ── a running Prometheus ──


def test_the_rules_of_a_running_prometheus_say_the_same_as_their_files(folder: Path) -> None:
    file = rules(rule(annotations={"value": "{{ $value }}"}, labels={"severity": "high"}, **{"for": "10m"}))
    filed = json.loads(init("Slow", "-o", "json", "--out", "filed/slow.yml").stdout)
    with Prometheus(folder, rules=[file.absolute()]) as prometheus:
        url = prometheus.url.replace("//", "//anna:hunter2@")
        asked = ["playbooks", "init", "Slow", "--prometheus", url, "-o", "json", "--out", "live/slow.yml"]
        done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout)["choices"] == filed["choices"]
    assert "hunter2" not in Path("live/slow.yml").read_text() + done.output, "no password is written down"
    live, from_file = (Path(each, "slow.yml").read_text().partition("playbooks:\n")[2] for each in ("live", "filed"))
    assert live == from_file
