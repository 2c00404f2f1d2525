"""Each kind of finding, shown by the smallest setup that has it, and by one that does not."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from receiver.case import Case
from receiver.errors import ConfigErrors
from receiver.lint import CHECKS, Severity, lint
from receiver.lint.labels import ANYTHING, Carried, carried
from receiver.lint.rules import NoRules, Rules, ask
from receiver.lint.rules import read as read_rules
from receiver.lint.setup import read
from receiver.lint.templates import ROOTS, Read, reads
from receiver.playbook import Playbook
from receiver.run import Episode, Run, Status
from tests.bed.parts import ROOT
from tests.bed.processes import free_port
from tests.bed.prometheus import Prometheus

NOW = datetime(2026, 3, 2, tzinfo=UTC)

SETTINGS: dict[str, Any] = {
    "auth": {"webhook": {"insecure": True}},
    "prometheus": {"url": "http://127.0.0.1:9090"},
    "platforms": {"docker": [{"name": "local"}], "kubernetes": [{"name": "prod", "namespaces": ["shop"]}]},
    "receivers": [{"name": "team-shop", "webhook": {"url": "http://chat.example"}}],
    "outbound": {"allow_hosts": ["hooks.example"]},
    "playbooks": ["playbooks.yml"],
}

LINKED: dict[str, Any] = {"server": {"external_url": "https://amend.example"}}

PLAYBOOK: dict[str, Any] = {
    "name": "restart-slow",
    "mode": "enforce",
    "matchers": ['alertname="LatencyAnomaly"', 'severity=~"high|critical"'],
    "condition": "z_score > 3",
    "target": {"docker": {"compose": {"project": "shop", "service": "{{ labels.service }}"}}},
    "steps": [{"restart": {}}, {"notify": {"receiver": "team-shop", "message": "{{ labels.job }}"}}],
    "verify": {"resolved_within": "10m"},
}

RULES = """\
groups:
- name: latency
  interval: 30s
  rules:
  - record: latency:p95
    expr: histogram_quantile(0.95, sum by (le, job, service) (rate(duration_bucket[5m])))
  - alert: LatencyAnomaly
    expr: latency:p95 > 1
    for: 2m
    labels: {severity: high}
    annotations: {z_score: "4", summary: slow}
  - alert: LatencyAnomaly
    expr: latency:p95 > 2
    labels: {severity: critical}
    annotations: {z_score: "4", summary: slow}
"""


def found(
    directory: Path,
    *playbooks: dict[str, Any],
    rules: str | None = None,
    **settings: Any,
) -> list[tuple[str, str, str]]:
    """Check, place and message of every finding."""
    config = directory / "amend.yml"
    config.write_text(yaml.safe_dump({**SETTINGS, **settings}))
    apart = json.loads(json.dumps({"playbooks": playbooks or [PLAYBOOK]}))  # no part twice, so no YAML anchors
    (directory / "playbooks.yml").write_text(yaml.safe_dump(apart, sort_keys=False))
    known = None
    if rules is not None:
        (directory / "rules.yml").write_text(rules)
        known = read_rules([directory / "rules.yml"])
    return [
        (each.check, f"{each.mistake.path.name}:{each.mistake.line}", each.mistake.message)
        for each in lint(read(config, known))
    ]


def only(findings: list[tuple[str, str, str]], check: str) -> tuple[str, str]:
    """Place and message of the one finding."""
    assert [each[0] for each in findings] == [check], findings
    return findings[0][1:]


def test_a_setup_without_mistakes_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert found(tmp_path, rules=RULES) == []


def test_every_check_is_shown_by_a_test_of_this_file() -> None:
    text = Path(__file__).read_text()
    assert [name for name in CHECKS if f'"{name}"' not in text] == []


# ── against the settings ──


def test_a_pattern_that_matches_no_file(tmp_path: Path) -> None:
    findings = found(tmp_path, playbooks=["playbooks.yml", "more/*.yml"])
    place, message = only(findings, "playbooks/no-file")
    assert place.startswith("amend.yml:")
    assert message.startswith('"more/*.yml" matches no file in ')


def test_no_playbooks_at_all(tmp_path: Path) -> None:
    assert only(found(tmp_path, playbooks=[]), "playbooks/none")[0] == "amend.yml:1"


@pytest.mark.parametrize("window", [{"cooldown": "2d"}, {"max_attempts": {"count": 1, "within": "3d"}}])
def test_a_limit_over_a_longer_time_than_what_is_kept(tmp_path: Path, window: dict[str, object]) -> None:
    assert found(tmp_path, {**PLAYBOOK, **window}) == []
    place, message = only(found(tmp_path, {**PLAYBOOK, **window}, store={"retention": "2d"}), "limits/retention")
    assert place.startswith("playbooks.yml:")
    assert "is longer than what is kept; make it shorter than store.retention (2d)" in message


def test_more_actions_than_may_be_begun_in_a_minute(tmp_path: Path) -> None:
    steps = [{"restart": {}}, {"restart": {}}, {"restart": {}}, {"notify": {"receiver": "team-shop"}}]
    assert found(tmp_path, {**PLAYBOOK, "steps": steps}, limits={"actions_per_minute": 3}) == []
    message = only(found(tmp_path, {**PLAYBOOK, "steps": steps}, limits={"actions_per_minute": 2}), "limits/steps")[1]
    assert "3 actions, and limits.actions_per_minute allows 2: it can never begin; raise the limit" in message


def test_a_notification_to_a_receiver_that_does_not_exist(tmp_path: Path) -> None:
    steps = [{"restart": {}}, {"notify": {"receiver": "team-shpo"}}]
    place, message = only(found(tmp_path, {**PLAYBOOK, "steps": steps}), "notify/receiver")
    assert (place, message) == ("playbooks.yml:16", 'no receiver is called "team-shpo"; did you mean "team-shop"?')


def test_approvers_that_do_not_exist(tmp_path: Path) -> None:
    asks = {**PLAYBOOK, "approval": {"approvers": ["team-shpo", "team-shop"]}}
    key = {"name": "anna", "role": "approver", "hash": "0" * 64}
    auth = {"webhook": {"insecure": True}, "api_keys": [key], "teams": {"team-shop": {"api_keys": ["anna"]}}}
    place, message = only(found(tmp_path, asks, auth=auth, **LINKED), "approval/team")
    assert message == 'no team is called "team-shpo"; did you mean "team-shop"?'
    assert place.startswith("playbooks.yml:")
    asks["approval"] = {"approvers": ["team-shop"]}
    assert found(tmp_path, asks, auth=auth, **LINKED) == []
    assert [each[0] for each in found(tmp_path, asks, **LINKED)] == ["approval/team"]
    only_looks = {**auth, "api_keys": [{**key, "role": "viewer"}]}
    message = only(found(tmp_path, asks, auth=only_looks, **LINKED), "approval/team")[1]
    assert message.startswith('nobody in "team-shop" may answer; give one of them the role approver')


def test_people_who_are_asked_without_a_link(tmp_path: Path) -> None:
    key = {"name": "anna", "role": "approver", "hash": "0" * 64}
    auth = {"webhook": {"insecure": True}, "api_keys": [key], "teams": {"team-shop": {"api_keys": ["anna"]}}}
    place, message = only(
        found(tmp_path, {**PLAYBOOK, "approval": {"approvers": ["team-shop"]}}, auth=auth), "approval/link"
    )
    assert message.startswith("asks people without a link to the answer; set server.external_url")
    assert place.startswith("playbooks.yml:")


def test_people_in_slack_who_get_no_buttons(tmp_path: Path) -> None:
    auth = {"webhook": {"insecure": True}, "teams": {"team-shop": {"slack_users": ["U012AB3CD"]}}}
    place, message = only(found(tmp_path, auth=auth), "approval/slack")
    assert message == '"team-shop" has slack_users, and gets no buttons; add slack: {signing_secret_file: FILE}'
    assert place.startswith("amend.yml:")
    asks = {**PLAYBOOK, "approval": {"approvers": ["team-shop"]}}
    assert [each[0] for each in found(tmp_path, asks, auth=auth, **LINKED)] == ["approval/slack", "approval/team"]
    answering: dict[str, Any] = {"auth": auth, "slack": {"signing_secret": "x"}}
    assert found(tmp_path, asks, **answering, **LINKED) == []
    only(found(tmp_path, asks, **answering), "approval/link")
    chat: dict[str, Any] = {"receivers": [{"name": "team-shop", "slack": {"url": "http://chat.example"}}]}
    assert found(tmp_path, asks, **answering, **chat) == [], "buttons need no link"


def test_an_approval_that_nobody_is_told_about(tmp_path: Path) -> None:
    place, message = only(found(tmp_path, {**PLAYBOOK, "approval": {}}), "approval/untold")
    assert message == "asks every approver, and tells none; name a team in approvers:, and call a receiver as that team"
    assert place.startswith("playbooks.yml:")
    assert found(tmp_path, {**PLAYBOOK, "approval": {"required": "never"}}) == []


def test_a_request_to_a_host_that_is_not_allowed(tmp_path: Path) -> None:
    calm = {**PLAYBOOK, "steps": [{"http": {"url": "https://hooks.example/x"}}]}
    assert found(tmp_path, calm) == []
    wild = {**PLAYBOOK, "steps": [{"http": {"url": "https://elsewhere.example/x"}}]}
    assert 'the host "elsewhere.example" is not allowed' in only(found(tmp_path, wild), "http/host")[1]


@pytest.mark.parametrize(
    ("target", "platforms", "message"),
    [
        ({"docker": {"container": "a"}}, {}, "there is no docker platform; add platforms: {docker: […]}"),
        (
            {"docker": {"container": "a", "host": "lokal"}},
            None,
            'no docker host is called "lokal"; did you mean "local"?',
        ),
        (
            {"docker": {"container": "a"}},
            {"docker": [{"name": "one"}, {"name": "two"}]},
            "there are several platforms docker; choose one with host: one or two",
        ),
        (
            {"kubernetes": {"kind": "Deployment", "namespace": "shopp", "name": "a"}},
            None,
            'the namespace "shopp" is not among the namespaces of "prod" in amend.yml; did you mean "shop"?',
        ),
        (
            {"kubernetes": {"kind": "Deployment", "namespace": "shop", "name": "a", "cluster": "test"}},
            None,
            'no kubernetes cluster is called "test"; known here: prod',
        ),
    ],
)
def test_a_target_on_a_platform_that_does_not_exist(
    target: dict[str, Any], platforms: dict[str, Any] | None, message: str, tmp_path: Path
) -> None:
    settings: Any = {} if platforms is None else {"platforms": platforms}
    findings = found(tmp_path, {**PLAYBOOK, "target": target}, **settings)
    assert message in only(findings, "target/platform")[1]


@pytest.mark.parametrize("namespace", ["shop", "{{ labels.namespace }}"])
def test_a_namespace_that_may_be_touched_or_is_not_known_yet(namespace: str, tmp_path: Path) -> None:
    target = {"kubernetes": {"kind": "Deployment", "namespace": namespace, "name": "a"}}
    assert found(tmp_path, {**PLAYBOOK, "target": target}) == []


def test_steps_and_a_health_check_without_a_target(tmp_path: Path) -> None:
    findings = found(tmp_path, {**PLAYBOOK, "target": "none", "verify": {"healthy": True}})
    assert {each[0] for each in findings} == {"target/missing"}
    assert [each[2].partition(";")[0] for each in findings] == [
        '"restart" needs something to act on',
        "there is no target whose health could be looked at",
    ]


def test_advice_for_a_receiver_that_is_not_there(tmp_path: Path) -> None:
    thinks = {**PLAYBOOK, "steps": [{"restart": {}}, {"analyze": {"receiver": "taem-shop"}}]}
    assert only(found(tmp_path, thinks), "notify/receiver")[1].endswith('did you mean "team-shop"?')


def test_a_command_that_is_not_declared(tmp_path: Path) -> None:
    runs = {**PLAYBOOK, "steps": [{"command": {"name": "flsh"}}]}
    _, message = only(found(tmp_path, runs, commands={"flush": {"argv": ["/bin/true"]}}), "command/unknown")
    assert message == 'no command is called "flsh"; did you mean "flush"?'
    assert only(found(tmp_path, runs), "command/unknown")[1].endswith("amend.yml")


def test_a_silence_without_an_alertmanager_to_tell(tmp_path: Path) -> None:
    hushes = {**PLAYBOOK, "steps": [{"silence": {"for": "1h"}}]}
    assert only(found(tmp_path, hushes), "silence/alertmanager")[1].startswith("silence tells Alertmanager")


def test_log_lines_without_a_loki_to_ask(tmp_path: Path) -> None:
    thinks = {**PLAYBOOK, "steps": [{"analyze": {"logs": {"app": "orders"}}}]}
    assert only(found(tmp_path, thinks), "analyze/loki")[1].startswith("there is no Loki, so no logs are seen")
    without = {**PLAYBOOK, "steps": [{"analyze": {}}]}
    assert found(tmp_path, without) == []
    assert found(tmp_path, thinks, loki={"url": "http://127.0.0.1:3100"}) == []


@pytest.mark.parametrize(
    ("target", "to", "said"),
    [
        ({"kubernetes": {"kind": "Deployment", "namespace": "shop", "name": "cart"}}, "latest", "is no revision"),
        ({"docker": {"compose": {"project": "shop", "service": "cart"}}}, "{{ labels.image }}", "is no template"),
        ({"docker": {"service": "cart"}}, "cart:1", "a Swarm keeps one"),
    ],
)
def test_a_rollback_to_what_is_never_there(target: object, to: str, said: str, tmp_path: Path) -> None:
    back = {**PLAYBOOK, "target": target, "steps": [{"rollback": {"to": to}}]}
    assert said in only(found(tmp_path, back), "rollback/to")[1]


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ({"kubernetes": {"kind": "Deployment", "namespace": "shop", "name": "cart"}}, {"to": 3}),
        ({"docker": {"compose": {"project": "shop", "service": "cart"}}}, {"to": "cart:1"}),
        ({"docker": {"service": "cart"}}, {}),
    ],
)
def test_a_rollback_that_may_be_there(target: object, arguments: object, tmp_path: Path) -> None:
    assert found(tmp_path, {**PLAYBOOK, "target": target, "steps": [{"rollback": arguments}]}) == []


def test_a_number_of_replicas_outside_of_its_bounds(tmp_path: Path) -> None:
    def scaling(**arguments: int) -> dict[str, Any]:
        return {**PLAYBOOK, "steps": [{"scale": arguments}]}

    assert only(found(tmp_path, scaling(to=20)), "scale/bounds")[1].startswith("to: 20 comes to 10, as max is 10")
    assert only(found(tmp_path, scaling(to=0)), "scale/bounds")[1].startswith("to: 0 comes to 1, as min is 1")
    assert found(tmp_path, scaling(to=20, max=20)) == []
    assert found(tmp_path, scaling(by=20)) == []


def test_a_verb_that_cannot_act_on_such_a_target(tmp_path: Path) -> None:
    misplaced = {**PLAYBOOK, "steps": [{"drain": {}}], "verify": {"resolved_within": "10m"}}
    place, message = only(found(tmp_path, misplaced), "target/kind")
    assert message.startswith('"drain" acts on Node, and the target is of the kind compose')
    assert place.startswith("playbooks.yml:")


def test_questions_to_a_prometheus_that_is_not_configured(tmp_path: Path) -> None:
    asking = {**PLAYBOOK, "only_if": "vector(1)", "verify": {"resolved_within": "10m", "query": "vector(1)"}}
    findings = found(tmp_path, asking, prometheus=None)
    assert {check for check, *_ in findings} == {"prometheus/missing"}
    assert {message.split()[0] for *_, message in findings} == {"only_if", "resolved_within", "query"}


def test_a_template_that_begins_with_a_name_that_means_nothing(tmp_path: Path) -> None:
    bare = {**PLAYBOOK, "target": {"docker": {"container": "{{ service }}"}}}
    place, message = only(found(tmp_path, bare), "template/root")
    assert place == "playbooks.yml:10"
    assert message.startswith('a template knows no "service" (a label is labels.service); known here: annotations, ')
    steps = [{"restart": {}}, {"notify": {"receiver": "team-shop", "message": "{{ label.service }}"}}]
    assert only(found(tmp_path, {**PLAYBOOK, "steps": steps}), "template/root")[1].endswith('did you mean "labels"?')


def test_a_playbook_that_acts_and_never_looks(tmp_path: Path) -> None:
    blind = {key: value for key, value in PLAYBOOK.items() if key != "verify"}
    assert only(found(tmp_path, blind), "verify/missing")[0] == "playbooks.yml:2"
    assert CHECKS["verify/missing"].severity is Severity.WARNING
    assert found(tmp_path, {**blind, "mode": "observe"}) == []
    assert found(tmp_path, {**blind, "steps": PLAYBOOK["steps"][1:]}) == []


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("stop", {"docker": {"container": "web"}}),
        ("delete_pod", {"kubernetes": {"kind": "Pod", "namespace": "shop", "name": "{{ labels.pod }}"}}),
    ],
)
def test_the_health_of_what_is_stopped_or_gone_is_no_verification(
    verb: str, target: dict[str, Any], tmp_path: Path
) -> None:
    playbook = {**PLAYBOOK, "target": target, "steps": [{verb: {}}], "verify": {"healthy": True}}
    assert only(found(tmp_path, playbook), "verify/unhealthy")[1].startswith(f'"{verb}" with healthy: ')
    assert found(tmp_path, {**playbook, "verify": {"resolved_within": "10m"}}) == []


def test_two_playbooks_that_act_on_the_same_target_for_the_same_alert(tmp_path: Path) -> None:
    twin = {**PLAYBOOK, "name": "twin"}
    message = only(found(tmp_path, PLAYBOOK, twin), "playbooks/overlap")[1]
    assert message.startswith('"twin" and "restart-slow" (')


@pytest.mark.parametrize(
    "difference",
    [
        {"matchers": ['alertname="ErrorAnomaly"']},
        {"matchers": ['alertname="LatencyAnomaly"', "severity=medium"]},
        {"target": {"docker": {"container": "other"}}},
        {"enabled": False},
        {"on": "resolved"},
        {"steps": PLAYBOOK["steps"][1:]},
    ],
)
def test_two_playbooks_that_do_not_get_in_each_others_way(difference: dict[str, Any], tmp_path: Path) -> None:
    assert found(tmp_path, PLAYBOOK, {**PLAYBOOK, "name": "twin", **difference}) == []


# ── against the rules ──


def test_an_alert_name_that_no_rule_has(tmp_path: Path) -> None:
    findings = found(tmp_path, {**PLAYBOOK, "matchers": ["alertname=LatencyAnomly"]}, rules=RULES)
    place, message = only(findings, "alert/unknown")
    assert (place, message) == (
        "playbooks.yml:5",
        'no alerting rule fits alertname="LatencyAnomly"; did you mean "LatencyAnomaly"?',
    )


def test_a_second_sign_that_no_rule_gives(tmp_path: Path) -> None:
    findings = found(tmp_path, {**PLAYBOOK, "also_firing": ["alertname=LatencyAnomly"]}, rules=RULES)
    assert only(findings, "alert/unknown")[1].endswith('did you mean "LatencyAnomaly"?')


def test_a_matcher_that_can_never_match_what_the_rule_sets(tmp_path: Path) -> None:
    matchers = ["alertname=LatencyAnomaly", "severity=hihg"]
    place, message = only(found(tmp_path, {**PLAYBOOK, "matchers": matchers}, rules=RULES), "matchers/never")
    assert place == "playbooks.yml:6"
    assert message.startswith('severity="hihg" can never match: LatencyAnomaly (')
    assert message.endswith('sets severity to "critical", "high"; did you mean "high"?')


def test_a_matcher_on_a_label_that_the_alert_never_carries(tmp_path: Path) -> None:
    matchers = ["alertname=LatencyAnomaly", "pod=a"]
    message = only(found(tmp_path, {**PLAYBOOK, "matchers": matchers}, rules=RULES), "matchers/never")[1]
    assert message.startswith('pod="a" can never match: LatencyAnomaly never carries it; keep "pod" in the aggregation')
    assert found(tmp_path, {**PLAYBOOK, "matchers": ["alertname=LatencyAnomaly", "pod!=a"]}, rules=RULES) == []


def test_a_target_by_a_label_that_the_aggregation_drops(tmp_path: Path) -> None:
    target = {"docker": {"container": "{{ labels.container }}"}}
    place, message = only(found(tmp_path, {**PLAYBOOK, "target": target}, rules=RULES), "target/label")
    assert place == "playbooks.yml:10"
    assert 'never carries the label "container"; keep "container" in the aggregation at ' in message
    assert "rules.yml:7" in message


def test_a_message_with_names_that_the_rule_never_sets(tmp_path: Path) -> None:
    message = "{{ labels.pod }} {{ annotations.sumary }} {{ labels.zone | default('?') }} {{ annotations.summary }}"
    steps = [{"restart": {}}, {"notify": {"receiver": "team-shop", "message": message}}]
    findings = found(tmp_path, {**PLAYBOOK, "steps": steps}, rules=RULES)
    assert {each[0] for each in findings} == {"template/name"}
    assert 'the label "pod"' in findings[0][2]
    assert findings[1][2].endswith('sets no annotation "sumary"; did you mean "summary"?')
    assert len(findings) == 2


def test_a_condition_on_a_number_that_the_rule_does_not_give(tmp_path: Path) -> None:
    findings = found(tmp_path, {**PLAYBOOK, "condition": "z_score > 3 and score > 0.5"}, rules=RULES)
    assert only(findings, "condition/number")[1].endswith(
        'sets no annotation "score"; add it there, or leave it out here'
    )


def test_a_verification_that_ends_before_the_rule_can_tell(tmp_path: Path) -> None:
    findings = found(tmp_path, {**PLAYBOOK, "verify": {"resolved_within": "2m30s"}}, rules=RULES)
    message = only(findings, "verify/too-short")[1]
    assert message.startswith("resolved_within: 2m30s is not longer than for: 2m and the interval of 30s")
    assert message.endswith("give it more than 2m30s")


def test_what_is_no_rule_file_is_told_with_its_line(tmp_path: Path) -> None:
    for text, told in (
        ("groups: 3\n", 'rules.yml:1: not a rule file: a list "groups"'),
        ("groups:\n- name: a\n  rules: 3\n", "rules.yml:2: not a rule group"),
        ("groups:\n- name: a\n  rules:\n  - alert: A\n", "rules.yml:4: not a rule: "),
        ("groups:\n- rules:\n  - {alert: A, expr: x, for: ages}\n", 'rules.yml:3: "ages" is not a duration'),
        ("groups:\n- rules:\n  - {alert: A, expr: x, labels: [a]}\n", 'rules.yml:3: "labels" must be a mapping'),
    ):
        with pytest.raises(ConfigErrors) as caught:
            found(tmp_path, rules=text)
        assert told in str(caught.value)


def test_the_generated_rules_give_their_alerts_what_playbooks_ask_for() -> None:
    rules = read_rules(sorted((ROOT / "rules" / "generated").glob("*.yml")))  # promtool's tests among them
    by_name = {rule.alert: rule for rule in rules.alerts}
    labels = rules.carried(by_name["HttpLatencyAnomaly"])
    assert all(label in labels for label in ("job", "service", "detector", "severity", "alertname"))
    assert "instance" not in labels


def test_the_rules_of_a_running_prometheus_are_those_of_its_files(tmp_path: Path, running: ExitStack) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    config = {
        "global": {"evaluation_interval": "1m", "external_labels": {"cluster": "a"}},
        "rule_files": [str(tmp_path / "rules.yml")],
    }
    prometheus = running.enter_context(Prometheus(tmp_path, config=config))
    live, filed = ask(prometheus.url), read_rules([tmp_path / "rules.yml"])
    assert len(live.every) == len(filed.every) == 3
    for one, other in zip(live.alerts, filed.alerts, strict=True):
        assert (one.alert, one.labels, one.annotations) == (other.alert, other.labels, other.annotations)
        assert (one.held, one.interval) == (other.held, other.interval)
    assert "cluster" in live.carried(live.alerts[0])
    assert "cluster" not in filed.carried(filed.alerts[0])


def test_a_prometheus_that_does_not_answer_is_told_with_the_way_out() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NoRules, match=rf"cannot reach Prometheus at {url}: .*; is it running\? \(--prometheus\)"):
        ask(url)


# ── which labels survive ──


def raw(_: promql_parser.VectorSelector) -> None:
    """No recording rules."""


@pytest.mark.parametrize(
    ("expr", "kept", "gone"),
    [
        ("x", "a b", ""),
        ('x{a=""}', "b", "a"),
        ("sum by (a) (x)", "a", "b"),
        ("sum without (a) (x)", "b", "a"),
        ("sum(x)", "", "a b"),
        ("sum by (a) (sum by (b) (x))", "", "a b"),
        ("topk(3, x)", "a b", ""),
        ("sum by (a) (topk(3, x)) > 5", "a", "b"),
        ("sum by (a, le) (rate(x[5m])) > 0", "a le", "b"),
        ("histogram_quantile(0.9, sum by (a, le) (rate(x[5m])))", "a", "le b"),
        ("sum by (a) (x) / sum by (a) (y)", "a", "b"),
        ("sum by (a) (x) / on (a) group_left (b) y", "a b", "c"),
        ("x * on (a) group_right (b) sum by (a, b) (y)", "a b", "c"),
        ("x / on (a) y", "a", "b"),
        ("x / ignoring (a) y", "b", "a"),
        ("2 * sum by (a) (x)", "a", "b"),
        ("-sum by (a) (x)", "a", "b"),
        ("(1 + 1) < sum by (a) (x)", "a", "b"),
        ("time() - x", "a b", ""),
        ("sum by (a) (x) and y", "a", "b"),
        ("sum by (a) (x) unless on (b) y", "a", "b"),
        ("sum by (a) (x) or sum by (b) (y)", "a b", "c"),
        ("sum(x) or y", "a b", ""),
        ('absent(x{a="1", b=~"2"})', "a", "b c"),
        ('label_replace(sum(x), "a", "$1", "c", "(.*)")', "a", "b"),
        ('label_join(sum by (c) (x), "a", "-", "c")', "a c", "b"),
        ('count_values("a", x)', "a", "b"),
        ("vector(1)", "", "a"),
        ("scalar(x)", "", "a"),
        ("max_over_time(sum by (a) (x)[5m:1m])", "a", "b"),
        ("a_function_of_tomorrow(sum by (a) (x))", "a b", ""),
    ],
)
def test_labels_survive_an_expression_as_in_prometheus(expr: str, kept: str, gone: str) -> None:
    labels = carried(expr, raw)
    assert [label for label in kept.split() if label not in labels] == []
    assert [label for label in gone.split() if label in labels] == []


def test_labels_are_followed_through_recording_rules_even_in_circles(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("""\
groups:
- name: a
  rules:
  - {record: "one", expr: 'sum by (a) (x) or two{kind="loop"}', labels: {kind: first}}
  - {record: "two", expr: "one", labels: {kind: loop}}
  - {record: "two", expr: "sum by (b) (x)", labels: {kind: other}}
  - {alert: A, expr: 'two{kind="loop"} > 1'}
""")
    rules = read_rules([tmp_path / "rules.yml"])
    (alert,) = rules.alerts
    labels = rules.carried(alert)
    assert "a" in labels
    assert "kind" in labels
    assert "b" not in labels


def test_carried_labels_add_up_and_cross_out() -> None:
    a_only, all_but_a = Carried(frozenset("a")), ANYTHING.minus("a")
    assert "a" in (a_only | all_but_a)
    assert "b" in (a_only | all_but_a)
    assert "a" not in (a_only & all_but_a)
    assert "b" not in (a_only & all_but_a)
    assert "a" in all_but_a.plus("a")
    assert "a" not in ANYTHING.minus("a").only("ab")


def test_a_matcher_on_a_templated_label_may_match_anything(tmp_path: Path) -> None:
    text = RULES.replace("{severity: high}", "{severity: '{{ $labels.tier }}'}")
    rules: Rules = read_rules(_written(tmp_path, text))
    first = rules.alerts[0]
    assert first.sets("severity") is None
    assert first.sets("alertname") == "LatencyAnomaly"
    assert "severity" in rules.carried(first)


def _written(directory: Path, text: str) -> Iterator[Path]:
    path = directory / "rules.yml"
    path.write_text(text)
    yield path


# ── what a template reads ──


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("plain", []),
        ("{{ labels.a }} {{ labels.a }}", [Read("labels", "a", optional=False)]),
        ("{{ labels['a b'] }}", [Read("labels", "a b", optional=False)]),
        ("{{ labels.a | default('x') }}", [Read("labels", "a", optional=True)]),
        ("{{ labels.a | d('x') | upper }}", [Read("labels", "a", optional=True)]),
        ("{% if labels.a is defined %}{{ labels.a }}{% endif %}", [Read("labels", "a", optional=True)]),
        ("{{ labels.a | upper }}", [Read("labels", "a", optional=False)]),
    ],
)
def test_a_template_reads_these_names(template: str, names: list[Read]) -> None:
    assert reads(template) == names


def test_the_lint_knows_every_name_that_templates_get() -> None:
    run = Run(
        id=1,
        episode_id=1,
        playbook="a",
        attempt=1,
        mode="observe",
        status=Status.MATCHED,
        created_at=NOW,
        updated_at=NOW,
    )
    episode = Episode(
        id=1,
        alert_key="",
        source="",
        fingerprint="",
        labels={},
        annotations={},
        starts_at=NOW,
        last_starts_at=NOW,
        opened_at=NOW,
        last_seen_at=NOW,
    )
    playbook = Playbook.model_construct(name="a")
    assert set(ROOTS) == Case(run=run, episode=episode, playbook=playbook, now=NOW).context.keys()
