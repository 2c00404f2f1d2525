"""Playbooks as people write them: what a file becomes, and that nothing half-understood is ever run."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from receiver.actions import VERBS
from receiver.documents import load, loads
from receiver.errors import ConfigErrors
from receiver.playbook import Playbook, read, read_all, schema
from receiver.render import Names, Unrenderable
from receiver.target import Target
from tests.bed.parts import ROOT

FULL = """\
playbooks:
- name: restart-slow-deployment
  description: Restart a Deployment whose latency left its band.
  enabled: true
  mode: enforce
  matchers: ['alertname="LatencyAnomaly"', 'severity=~"high|critical"']
  on: firing
  condition: z_score > 3
  target: {kubernetes: {kind: Deployment, namespace: "{{ labels.namespace }}", name: "{{ labels.deployment }}"}}
  only_if: sum(up{job="shop"}) > 2
  cooldown: 5m
  max_attempts: {count: 3, within: 1h}
  max_targets: {count: 2, within: 10m}
  min_healthy: 51%
  max_age: 10m
  steps:
  - restart: {}
    timeout: 3m
  - notify: {receiver: team-shop, message: "Restarted {{ target.name }}."}
  verify: {resolved_within: 10m, absent_for: 2m, healthy: true, query: up == 1}
  on_failure:
  - scale: {by: 1, max: 10}
  - notify: {receiver: pager}
"""

MINIMAL = """\
playbooks:
- name: tell
  matchers: [severity=high]
  steps:
  - notify: {receiver: team}
"""


def playbook(directory: Path, text: str) -> Playbook:
    (directory / "web.yml").write_text(text)
    (found,) = read(directory / "web.yml", VERBS)
    return found


def mistakes(directory: Path, text: str) -> list[str]:
    """`LINE: MESSAGE` of each."""
    with pytest.raises(ConfigErrors) as raised:
        playbook(directory, text)
    return [f"{error.line}: {error.message}" for error in raised.value.errors]


def context(**labels: str) -> dict[str, Any]:
    return {"labels": Names(labels), "target": Names({"name": "orders"})}


def test_a_full_playbook_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = playbook(tmp_path, FULL)
    assert found.enforced
    assert found.place == f"{tmp_path / 'web.yml'}:2"
    assert [str(matcher) for matcher in found.matchers] == ['alertname="LatencyAnomaly"', 'severity=~"high|critical"']
    assert found.condition
    assert found.condition.text == "z_score > 3"
    assert (found.cooldown, found.max_age) == (timedelta(minutes=5), timedelta(minutes=10))
    assert (found.max_attempts.count, found.max_attempts.within) == (3, timedelta(hours=1))
    assert found.min_healthy == 51
    assert [(step.verb, step.timeout) for step in found.steps] == [
        ("restart", timedelta(minutes=3)),
        ("notify", timedelta(minutes=2)),
    ]
    assert [step.verb for step in found.on_failure] == ["scale", "notify"]
    assert found.verify
    assert found.verify.deadline == timedelta(minutes=12)


def test_little_is_enough_and_touches_nothing(tmp_path: Path) -> None:
    found = playbook(tmp_path, MINIMAL)
    assert not found.enforced
    assert found.target == "none"
    assert found.on == "firing"
    assert found.max_attempts.count == 1
    assert found.cooldown == timedelta(minutes=5)
    assert found.verify is None


def test_a_verb_with_nothing_behind_it_takes_no_arguments(tmp_path: Path) -> None:
    text = MINIMAL.replace("notify: {receiver: team}", "restart:")
    assert playbook(tmp_path, text).steps[0].verb == "restart"


def test_the_first_mistakes_do_not_hide_the_others(tmp_path: Path) -> None:
    text = FULL.replace("5m", "5x").replace("restart: {}", "restrat: {}").replace("by: 1", "bye: 1")
    assert [mistake.partition(":")[0] for mistake in mistakes(tmp_path, text)] == ["11", "17", "22"]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("severity=high", "'severity high'", '3: "severity high" is not a matcher; '),
        ("[severity=high]", "[]", '3: "matchers" must have at least one entry; write for example matchers: '),
        ("[severity=high]", "[{severity: high}]", """3: "{'severity': 'high'}" is not a matcher; """),
        ("[severity=high]", "severity=high", '3: "matchers" must be a list, not text'),
        ("name: tell", "name: 'Tell Me'", '2: "Tell Me" is no name: '),
        ("name: tell", f"name: {'x' * 64}", "2: "),
        ("- notify: {receiver: team}", "- {}", "5: steps: a step has exactly one action"),
        ("{receiver: team}", "{recv: team}", '5: unknown key "recv"; did you mean "receiver"?'),
        ("{receiver: team}", "{}", '5: "receiver" is missing'),
        ("name: tell", "name: tell\n  min_healthy: 101%", "3: min_healthy: "),
        ("name: tell", "name: tell\n  max_attempts: {count: 0}", "3: count: "),
        ("name: tell", "name: tell\n  target: somewhere", '3: "target" must be a mapping (key: value), not text; '),
        (
            "name: tell",
            "name: tell\n  max_attempts: 3",
            '3: "max_attempts" must be a mapping (key: value), not a number; ',
        ),
        ("name: tell", "name: tell\n  min_healthy: 0.5", "3: min_healthy: 0.5 is less than one percent; "),
        ("name: tell", "name: tell\n  verify: {}", "3: verify: asks for nothing; "),
        ("name: tell", "name: tell\n  verify: {absent_for: 5m}", "3: verify: asks for nothing; "),
        ("name: tell", "name: tell\n  approval: {required: when_active}", "3: approval: required: when_active and "),
        ("name: tell", "name: tell\n  target: {}", "3: "),
        ("name: tell", "name: tell\n  target: {docker: {}}", "3: "),
        ("name: tell", "name: tell\n  on: pending", "3: on: "),
    ],
)
def test_a_mistake_is_told_with_its_line(right: str, wrong: str, told: str, tmp_path: Path) -> None:
    assert right in MINIMAL
    found = mistakes(tmp_path, MINIMAL.replace(right, wrong))
    assert any(mistake.startswith(told) for mistake in found), found
    assert len(found) <= 2, found


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("- scale: 3", "not a number; write for example scale: {by: 1}"),
        ("- restart: true", "not true or false; write for example restart: {}"),
        ("- restart", 'each of "steps" must be a mapping (key: value), not text; write for example - restart: {}'),
        ("- restart: {timeout: 5m}", 'unknown key "timeout"; it belongs beside "restart", one level up'),
        ("- notify: {receiver: a, message: '{{ .Labels.x }}'}", "write {{ labels.name }}, without a dot or a $"),
        ("- notify: {receiver: a, message: '{{ $value }}'}", "write {{ labels.name }}, without a dot or a $"),
    ],
)
def test_a_step_that_is_written_otherwise_is_told_how(step: str, told: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, MINIMAL.replace("- notify: {receiver: team}", step))
    assert told in mistake
    assert mistake.startswith("5: ")


def test_a_target_of_both_platforms_is_one_mistake(tmp_path: Path) -> None:
    both = "{docker: {container: a}, kubernetes: {kind: Node, name: b}}"
    told = '3: "target" needs either docker: or kubernetes:, or is the word none'
    assert mistakes(tmp_path, MINIMAL.replace("name: tell", f"name: tell\n  target: {both}")) == [told]


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_each_verb_can_be_read(verb: str, tmp_path: Path) -> None:
    example = getattr(VERBS[verb], "EXAMPLE", "") or "{url: 'https://hooks.example/'}"
    text = MINIMAL.replace("notify: {receiver: team}", f"{verb}: {example}")
    assert playbook(tmp_path, text).steps[0].verb == verb


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("scale: {}", "scale: needs exactly one of to, by or factor"),
        ("scale: {to: 1, by: 1}", "scale: needs exactly one of to, by or factor"),
        ("scale: {to: 1, min: 5, max: 2}", "scale: min 5 is more than max 2"),
        ("http: {url: 'ftp://x'}", "must begin with http:// or https:// and a host that is no template"),
        (
            "http: {url: 'http://{{ labels.host }}/'}",
            "must begin with http:// or https:// and a host that is no template",
        ),
        ("http: {url: 'http://x', method: BREW}", "method: "),
    ],
)
def test_arguments_that_cannot_work_are_refused_when_the_file_is_read(step: str, told: str, tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, MINIMAL.replace("notify: {receiver: team}", step))
    assert told in mistake
    assert mistake.startswith("5: ")


def test_playbooks_of_several_files_have_names_of_their_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yml", tmp_path / "other.yml"
    one.write_text(MINIMAL)
    other.write_text(MINIMAL.replace("playbooks:\n", "playbooks:\n\n"))
    assert [each.name for each in read_all([one], VERBS)] == ["tell"]
    with pytest.raises(ConfigErrors) as raised:
        read_all([one, other], VERBS)
    assert str(raised.value) == f'{other}:3: the playbook "tell" stands at {one}:2 too; give it another name'


def test_the_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    paths = [tmp_path / "one.yml", tmp_path / "other.yml", tmp_path / "nowhere.yml"]
    for path in paths[:2]:
        path.write_text(MINIMAL.replace("steps", "stepps"))
    with pytest.raises(ConfigErrors) as raised:
        read_all(paths, VERBS)
    assert {error.path for error in raised.value.errors} == set(paths)


# ── filled in from an alert ──


def test_a_target_is_named_by_the_alerts_labels(tmp_path: Path) -> None:
    target = playbook(tmp_path, FULL).target
    assert isinstance(target, Target)
    selector = target.selector(context(namespace="shop", deployment="orders"))
    assert (selector.platform, selector.kind, selector.scope, selector.name) == (
        "kubernetes",
        "Deployment",
        "shop",
        "orders",
    )
    assert str(selector) == "Deployment/shop/orders"


def test_a_target_without_its_label_is_nothing_not_everything(tmp_path: Path) -> None:
    target = playbook(tmp_path, FULL).target
    assert isinstance(target, Target)
    with pytest.raises(Unrenderable):
        target.selector(context(namespace="shop"))


@pytest.mark.parametrize(
    ("docker", "selector"),
    [
        ('{container: "{{ labels.a }}"}', "container/x"),
        ("{compose: {project: shop, service: '{{ labels.a }}'}}", "compose/shop/x"),
        ("{container: a, host: '{{ labels.a }}'}", "container/a"),
    ],
)
def test_a_docker_target_is_a_container_or_a_compose_service(docker: str, selector: str, tmp_path: Path) -> None:
    target = playbook(tmp_path, MINIMAL.replace("name: tell", f"name: tell\n  target: {{docker: {docker}}}")).target
    assert isinstance(target, Target)
    found = target.selector(context(a="x"))
    assert str(found) == selector
    assert found.instance == ("x" if "host" in docker else None)


def test_arguments_are_filled_in_when_a_run_needs_them(tmp_path: Path) -> None:
    notify = playbook(tmp_path, FULL).steps[1]
    assert notify.arguments(context()).model_dump() == {"receiver": "team-shop", "message": "Restarted orders."}


def test_a_url_is_filled_in_percent_encoded(tmp_path: Path) -> None:
    step = "http: {url: 'http://x.example/{{ labels.a }}', body: {who: '{{ labels.a }}'}}"
    http = playbook(tmp_path, MINIMAL.replace("notify: {receiver: team}", step)).steps[0]
    arguments = http.arguments(context(a="a/b?c")).model_dump()
    assert arguments["url"] == "http://x.example/a%2Fb%3Fc"
    assert arguments["body"] == {"who": "a/b?c"}


def test_a_label_is_never_read_as_a_template(tmp_path: Path) -> None:
    step = "notify: {receiver: team, message: '{{ labels.a }}'}"
    notify = playbook(tmp_path, MINIMAL.replace("notify: {receiver: team}", step)).steps[0]
    evil = "{{ labels.secret }}"
    assert notify.arguments(context(a=evil, secret="s3cret")).model_dump()["message"] == evil


def test_arguments_without_their_label_cannot_be_filled_in(tmp_path: Path) -> None:
    step = "notify: {receiver: team, message: '{{ labels.a }}'}"
    notify = playbook(tmp_path, MINIMAL.replace("notify: {receiver: team}", step)).steps[0]
    with pytest.raises(Unrenderable, match='names "a", which is not there'):
        notify.arguments(context())


# ── the schema for editors ──

SHIPPED = [*sorted((ROOT / "playbooks").glob("*.yml")), ROOT / "deploy" / "compose" / "playbooks.yml"]


@pytest.mark.parametrize("file", SHIPPED, ids=str)
def test_what_can_be_read_is_right_for_an_editor(file: Path) -> None:
    jsonschema.validate(load(file).value, schema(VERBS))


def test_the_schema_is_one_and_takes_every_key() -> None:
    shape = schema(VERBS)
    jsonschema.Draft202012Validator.check_schema(shape)
    jsonschema.validate(loads(EVERY_KEY.encode(), Path("x.yml")).value, shape)
    known = set(shape["$defs"]["Playbook"]["properties"])
    assert known == set(Playbook.model_fields)
    assert shape["$defs"]["Playbook"]["properties"]["cooldown"]["default"] == "5m"


EVERY_KEY = """
time_intervals:
- name: daytime
  time_intervals:
  - {weekdays: ["monday:friday"], times: [{start_time: "08:00", end_time: "18:00"}], location: Europe/Berlin}
  - {days_of_month: [1, "-3:-1"], months: [1, "march:may"], years: [2026]}
playbooks:
- name: every-key
  matchers: ['alertname="A"']
  also_firing: ['alertname="B"']
  condition: z_score > 3
  target: {docker: {compose: {project: shop, service: "{{ labels.service }}"}}}
  only_if: up > 0
  min_healthy: 51%
  max_attempts: {count: 3, within: 1h30m}
  autonomy: {min_success: 80, min_runs: 5}
  approval: {required: when_active, active_time_intervals: [daytime], timeout: 10m}
  steps:
  - restart:
    timeout: 3m
  - http: {url: "https://hooks.example/x", body: {a: 1, b: "{{ value }}"}}
"""


@pytest.mark.parametrize(
    ("was", "instead"),
    [
        ("only_if:", "only_fi:"),
        ("1h30m", "soon"),
        ("  - restart:\n    timeout: 3m\n", "  - timeout: 3m\n"),
        ("- restart:\n", "- restart:\n    notify: {receiver: a}\n"),
        ("name: every-key", "name: 7"),
        ("when_active", "sometimes"),
        ('"08:00"', "8"),
    ],
)
def test_an_editor_marks_what_cannot_be_read(was: str, instead: str) -> None:
    assert was in EVERY_KEY
    broken = loads(EVERY_KEY.replace(was, instead).encode(), Path("x.yml")).value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema(VERBS))
