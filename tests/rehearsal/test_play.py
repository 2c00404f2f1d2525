"""Playbook tests: what happens in them is what would happen, and what is not as expected is told with its place."""

from pathlib import Path

import pytest

from receiver.errors import ConfigErrors
from receiver.rehearsal.play import play
from receiver.rehearsal.script import read

PLAYBOOKS = """
time_intervals:
- name: daytime
  time_intervals:
  - {weekdays: ["monday:friday"], times: [{start_time: "08:00", end_time: "18:00"}], location: Europe/Berlin}
playbooks:
- name: restart
  matchers: ['alertname="Slow"']
  condition: z_score > 3
  target: {kubernetes: {kind: Deployment, namespace: shop, name: "{{ labels.deployment }}"}}
  only_if: sum(up{job="shop"}) > 2
  min_healthy: 51%
  approval: {required: when_active, active_time_intervals: [daytime], approvers: [team-shop]}
  steps:
  - restart: {}
  - notify: {receiver: team-shop, message: "restarted {{ target.name }}"}
  verify: {resolved_within: 10m, absent_for: 2m, healthy: true}
  on_failure:
  - scale: {by: 1, max: 10}
  - notify: {receiver: pager, message: "{{ run.outcome }}"}
- name: call
  mode: observe
  matchers: ['alertname="Call"']
  steps:
  - http: {url: "https://hooks.example/{{ labels.deployment }}"}
- name: patient
  matchers: ['alertname="Patient"']
  target: {kubernetes: {kind: Deployment, namespace: shop, name: "{{ labels.deployment }}"}}
  steps:
  - wait: {for: 5m}
  - restart: {}
"""

NIGHT, DAY = '"2026-03-02T22:00:00+01:00"', '"2026-03-02T10:00:00+01:00"'
SLOW = "{alertname: Slow, deployment: cart}"
UP = """prometheus: {'sum(up{job="shop"}) > 2': 3}"""
CART = "platform: {kubernetes: {Deployment/shop/cart: {replicas: 3}}}"


def played(directory: Path, test: str, *, playbooks: str = PLAYBOOKS) -> list[str]:
    """The differences of one test, each without the folder before its place."""
    (directory / "playbooks.yml").write_text(playbooks)
    file = directory / "tests.yml"
    file.write_text(f"playbook_files: [playbooks.yml]\ntests:\n- name: the test\n{_indented(test)}")
    (script,) = read(file)
    found = play(script, directory)
    return [str(each).removeprefix(f"{directory}/") for each in found]


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.strip().splitlines())


def test_a_whole_story_of_asking_acting_and_not_helping(tmp_path: Path) -> None:
    assert not played(
        tmp_path,
        f"""
start: {DAY}
{CART}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: "4.2"}}}}
- {{at: 1m, repeat: previous}}
- {{at: 2m, approve: restart, by: anna}}
expect:
- {{at: 0m, run: restart, target: Deployment/shop/cart, status: waiting_approval}}
- {{at: 1m, runs: 1}}
- {{at: 2m, action: restart, target: Deployment/shop/cart}}
- {{at: 14m, outcome: not_fixed, actions: [restart, notify, scale, notify], told: not_fixed}}
""",
    )


def test_runs_wait_beside_each_other_and_what_happens_meanwhile_happens_then(tmp_path: Path) -> None:
    assert not played(
        tmp_path,
        """
platform: {kubernetes: {Deployment/shop/cart: {}, Deployment/shop/users: {}}}
input:
- {at: 0m, firing: {alertname: Patient, deployment: cart}}
- {at: 0m, firing: {alertname: Patient, deployment: users}}
- {at: 2m, pause: true}
- {at: 4m, resume: true}
- {at: 6m, firing: {alertname: Patient, deployment: search}}
expect:
- {at: 1m, actions: [wait, wait], runs: 2, status: acting}
- {at: 4m59s, actions: [wait, wait]}
- {at: 5m, actions: [wait, wait, restart, restart], status: done}
- {at: 6m, reason: no_target}
""",
    )


def test_a_story_may_end_while_a_run_waits(tmp_path: Path) -> None:
    assert not played(
        tmp_path,
        """
platform: {kubernetes: {Deployment/shop/cart: {}}}
input: [{at: 0m, firing: {alertname: Patient, deployment: cart}}]
expect: [{at: 1m, status: acting}]
""",
    )


def test_at_night_it_acts_alone_and_an_alert_that_ends_counts_as_fixed(tmp_path: Path) -> None:
    assert not played(
        tmp_path,
        f"""
start: {NIGHT}
{CART}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4.2}}}}
- {{at: 3m, resolved: previous}}
expect:
- {{at: 0m, action: restart, told: restarted cart}}
- {{at: 4m, status: verifying}}
- {{at: 6m, outcome: fixed, actions: [restart, notify]}}
""",
    )


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("{replicas: 3, ready: 2}", "not_fixed"),
        ("{replicas: 3, healthy: false}", "not_fixed"),
        ("{replicas: 3}", "fixed"),
    ],
)
def test_an_alert_that_is_over_is_not_enough_where_the_workload_must_be_well(
    tmp_path: Path, state: str, outcome: str
) -> None:
    assert not played(
        tmp_path,
        f"""
start: {NIGHT}
{CART}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
- {{at: 1m, platform: {{kubernetes: {{Deployment/shop/cart: {state}}}}}}}
- {{at: 1m, resolved: previous}}
expect:
- {{at: 20m, outcome: {outcome}}}
""",
    )


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("- {at: 0m, pause: true}", "paused"),
        ("- {at: 0m, silence: {alertname: Slow}}", "silenced"),
        ("""- {at: 0m, prometheus: {'sum(up{job="shop"}) > 2': null, 'sum(up{job="shop"})': 1}}""", "condition_false"),
        ("""- {at: 0m, prometheus: {'sum(up{job="shop"}) > 2': null}}""", "no_data"),
        ("- {at: 0m, platform: {kubernetes: {Deployment/shop/cart: {replicas: 4, ready: 2}}}}", "min_healthy"),
    ],
)
def test_each_guard_says_no_as_in_production(tmp_path: Path, more: str, reason: str) -> None:
    assert not played(
        tmp_path,
        f"""
start: {NIGHT}
{CART}
{UP}
input:
{more}
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
expect:
- {{at: 0m, status: skipped, reason: {reason}, actions: []}}
""",
    )


def test_a_value_may_stand_for_the_whole_comparison_or_for_what_it_compares(tmp_path: Path) -> None:
    for known, acts in (("'sum(up{job=\"shop\"})': 3", "[restart, notify]"), ("'sum(up{job=\"shop\"})': 2", "[]")):
        assert not played(
            tmp_path,
            f"""
start: {NIGHT}
{CART}
prometheus: {{{known}}}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
expect:
- {{at: 0m, actions: {acts}}}
""",
        )
        (tmp_path / "rehearsal.db").unlink()


@pytest.mark.parametrize(("how", "outcome"), [("fails: no such pod", "failed"), ("cut_off: true", "unknown")])
def test_a_workload_can_refuse_and_can_fail_to_answer(tmp_path: Path, how: str, outcome: str) -> None:
    assert not played(
        tmp_path,
        f"""
start: {NIGHT}
platform: {{kubernetes: {{Deployment/shop/cart: {{replicas: 3, {how}}}}}}}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
expect:
- {{at: 20m, outcome: {outcome}}}
""",
    )


def test_a_playbook_in_observe_mode_is_rehearsed_as_if_it_acted_unless_the_test_says_otherwise(tmp_path: Path) -> None:
    call = "{alertname: Call, deployment: cart}"
    for mode, outcome, actions in (("enforce", "none", "[http]"), ("as_written", "observed", "[]")):
        assert not played(
            tmp_path,
            f"""
mode: {mode}
http: {{"https://hooks.example/other": 500}}
input:
- {{at: 0m, firing: {call}}}
expect:
- {{at: 0m, status: done, outcome: {outcome}, actions: {actions}}}
""",
        )
        (tmp_path / "rehearsal.db").unlink()


def test_alerts_of_one_name_are_seen_to_end_each_for_itself(tmp_path: Path) -> None:
    other = "{alertname: Slow, deployment: orders}"
    assert not played(
        tmp_path,
        f"""
start: {NIGHT}
platform: {{kubernetes: {{Deployment/shop/cart: {{}}, Deployment/shop/orders: {{}}}}}}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
- {{at: 0m, firing: {other}, annotations: {{z_score: 4}}}}
- {{at: 2m, resolved: {other}}}
expect:
- {{at: 5m, outcome: fixed, target: Deployment/shop/orders}}
- {{at: 13m, actions: [restart, notify, restart, notify, scale, notify]}}
""",
    )


def test_who_hears_that_nobody_answered_is_told_about_which_workload(tmp_path: Path) -> None:
    told = PLAYBOOKS.replace('message: "{{ run.outcome }}"', 'message: "{{ target.name }}: {{ run.reason }}"')
    assert told != PLAYBOOKS
    assert not played(
        tmp_path,
        f"""
start: {DAY}
{CART}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
expect:
- {{at: 11m, told: "cart: approval_timeout", actions: [notify]}}
""",
        playbooks=told,
    )


def test_an_address_can_answer_otherwise(tmp_path: Path) -> None:
    assert not played(
        tmp_path,
        """
http: {"https://hooks.example/": 500}
input:
- {at: 0m, firing: {alertname: Call, deployment: cart}}
expect:
- {at: 0m, outcome: failed}
""",
    )


def test_a_cluster_that_a_playbook_calls_by_name_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = PLAYBOOKS.replace('name: "{{ labels.deployment }}"}}', 'name: "{{ labels.deployment }}", cluster: prod}}')
    assert named != PLAYBOOKS
    monkeypatch.setattr("tests.rehearsal.test_play.PLAYBOOKS", named)
    assert not played(
        tmp_path,
        f"""
start: {NIGHT}
{CART}
{UP}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 4}}}}
expect:
- {{at: 0m, action: restart, target: Deployment/shop/cart}}
""",
    )


# ── what is not as expected ──


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("{at: 0m, runs: 2}", "expected runs: 2; there are 1: restart skipped"),
        ("{at: 0m, status: done}", "expected status: done; run 1 of restart has status: skipped (condition_false: not"),
        ("{at: 0m, run: call}", "expected a run of call; there is none"),
        ("{at: 0m, attempt: 2}", "expected a run, attempt 2; there is none"),
        (
            "{at: 0m, action: restart}",
            "expected action: restart; so far there was nothing; run 1 of restart is",
        ),
        ("{at: 0m, actions: [restart]}", "expected actions: [restart]; there were []"),
        ("{at: 0m, told: hello}", 'expected that somebody was told "hello"; told was nothing'),
        ("{at: 0m, target: Deployment/shop/users}", "expected target: Deployment/shop/users; run 1 of restart has"),
    ],
)
def test_a_difference_is_told_with_line_and_moment_and_what_there_is(tmp_path: Path, expected: str, said: str) -> None:
    (difference,) = played(
        tmp_path,
        f"""
{CART}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 1}}}}
expect:
- {expected}
""",
    )
    assert difference.startswith("tests.yml:8: at 0s: "), difference
    assert said in difference


def test_an_answer_that_nobody_waits_for_is_a_difference(tmp_path: Path) -> None:
    (difference,) = played(
        tmp_path,
        f"""
{CART}
input:
- {{at: 0m, firing: {SLOW}, annotations: {{z_score: 1}}}}
- {{at: 1m, approve: restart}}
expect:
- {{at: 1m, actions: []}}
""",
    )
    assert difference == "tests.yml:7: at 1m: no run of restart waits for an answer"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("input: [{at: 0m}]\nexpect: [{at: 0m, runs: 0}]", "an input is one thing that happens"),
        ("input: [{at: 0m, pause: true, resume: true}]\nexpect: [{at: 0m, runs: 0}]", "this one is 2"),
        ("input: [{at: 0m, pause: true}]\nexpect: [{at: 0m}]", "expects nothing"),
        ("input: [{at: 0m, pause: true}]\nexpect: [{at: 0m, staus: done}]", 'did you mean "status"?'),
        ("input: [{at: soon, pause: true}]\nexpect: [{at: 0m, runs: 0}]", '"soon" is not a duration'),
        ("start: 2026-03-02\ninput: [{at: 0m, pause: true}]\nexpect: [{at: 0m, runs: 0}]", "has no time zone"),
        ("platform: {docker: {cart: {}}}\ninput: [{at: 0m, pause: true}]\nexpect: [{at: 0m, runs: 0}]", "no workload"),
    ],
)
def test_a_mistake_in_a_test_names_its_line(tmp_path: Path, test: str, said: str) -> None:
    with pytest.raises(ConfigErrors, match=r"tests.yml:\d+: ") as refused:
        played(tmp_path, test)
    assert said in str(refused.value)
