"""Did it help? Seen on a real Prometheus, through a real Alertmanager, by a real receiver.

Every scenario is a fault of its own in an exporter, an alert on it, and a playbook whose one step asks an HTTP server
to do what the scenario calls its remedy. All of them run at once; each test waits for the verdict on one.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.rulegen.generate import load_specs, render
from tests.bed.alertmanager import Alertmanager, to_webhook
from tests.bed.http_recorder import HttpRecorder
from tests.bed.metrics_target import MetricsTarget
from tests.bed.processes import until
from tests.bed.prometheus import Prometheus
from tests.bed.receiver import Receiver, alert

ILL, WELL = 9.0, 1.0  #: values of a gauge
ALERT = "gauge > 5"  #: the usual rule

METRICS = re.compile(r"\b(gauge|other|counter|errors|traffic|job:mean|job:zscore)\b")

Rule = Mapping[str, Any]


class Stage:
    """What a scenario's fault and remedy reach: its exporter, and the Prometheus that scrapes it.

    The scenario's gauge is called `gauge` here and in its rules, and by the scenario's own name in the exporter. The
    series of `orders` are what it is about; those of `users` are well throughout and must never be taken for them.
    """

    def __init__(self, name: str, target: MetricsTarget, prometheus: Prometheus) -> None:
        self.name = name
        self.target = target
        self.prometheus = prometheus
        self.ended_at: datetime | None = None

    def set(self, value: float, metric: str = "gauge", *, service: str = "orders") -> None:
        self.target.set(self.metric(metric), value, service=service)

    def add(self, amount: float, metric: str = "counter") -> None:
        self.target.add(self.metric(metric), amount, service="orders")

    def drop(self, metric: str = "gauge") -> None:
        self.target.drop(self.metric(metric), service="orders")

    def metric(self, metric: str) -> str:
        return f"{self.name}_{metric}"

    def expression(self, text: str) -> str:
        """A scenario's PromQL with the names that its metrics really have."""
        return _named(self.name, text)

    def value(self, text: str) -> float | None:
        return self.prometheus.value(self.expression(text))


def ill(stage: Stage) -> None:
    stage.set(ILL)


def well(stage: Stage) -> None:
    stage.set(WELL)


def nothing(stage: Stage) -> None:
    """A remedy that is none."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A fault, what is done about it, and what the verification is to say."""

    says: str  #: the outcome
    why: str  #: a part of the detail
    rules: tuple[Rule, ...] = ({"expr": ALERT},)
    begins: Callable[[Stage], None] = well  #: before the fault
    fault: Callable[[Stage], None] = ill
    remedy: Callable[[Stage], None] = nothing
    matchers: tuple[str, ...] = ('service="orders"',)
    verify: Mapping[str, str] = field(default_factory=dict)  #: in place of the usual times
    learns: bool = False  #: its baseline needs a past before the fault
    detector: Mapping[str, Any] = field(
        default_factory=dict
    )  #: more keys of its detector, where Amend writes the rules


def _fails_to_scrape(stage: Stage) -> None:
    stage.target.fail()


def _goes_down(stage: Stage) -> None:
    stage.target.__exit__()


def _stays_in_the_rate(stage: Stage) -> None:
    """The rate is well by what was scraped last; then the scrape fails, and the rate lives on."""
    stage.add(1000)
    until(lambda: (stage.value("rate(counter[30s])") or 0) > 5, why="the rate is high again")
    stage.target.fail()


def _loses_its_traffic(stage: Stage) -> None:
    stage.set(0, "traffic")


def _nothing_happens(stage: Stage) -> None:
    stage.set(0, "errors")
    stage.set(0, "traffic")


def _has_traffic(stage: Stage) -> None:
    stage.set(WELL)
    stage.set(50, "traffic")


def _flaps(stage: Stage) -> None:
    """It looks well, is ill once more before `absent_for` is over, and then stays well."""
    stage.set(WELL)
    gauge = 'gauge{service="orders"}'

    def relapse() -> None:
        until(lambda: stage.value(gauge) == WELL, why="it looks well")
        stage.set(ILL)
        until(lambda: stage.value(f"min_over_time({gauge}[2s])") == ILL, why="it is ill again")
        stage.ended_at = datetime.now().astimezone()
        stage.set(WELL)

    threading.Thread(target=relapse, daemon=True).start()


def _two_gauges(stage: Stage) -> None:
    stage.set(WELL)
    stage.set(WELL, "other")


def _other_ill(stage: Stage) -> None:
    stage.set(ILL, "other")


def _other_well(stage: Stage) -> None:
    stage.set(WELL, "other")


def _maintained(stage: Stage) -> None:
    stage.set(1, "other")


def _tier(stage: Stage) -> None:
    stage.set(20)


def _lower_tier(stage: Stage) -> None:
    stage.set(7)


def _target_back(stage: Stage) -> None:
    stage.target.recover()


def _adaptive(expr: str) -> dict[str, Any]:
    """A rule whose baseline has learned the fault a moment after it began."""
    return {"rules": ({"expr": expr, **LASTING},), "learns": True}


LASTING = {"keep_firing_for": "1m"}
"""What is learned in a moment must not be over before it is acted on."""


# So narrow and long that a fault is outside for a few evaluations, has been learned when the verdict falls, and is not
# yet all that is known.
Z = "(gauge - avg_over_time(gauge[40s])) / stddev_over_time(gauge[40s]) > 1.5"
BAND = "gauge > avg_over_time(gauge[40s]) + 1.5 * stddev_over_time(gauge[40s])"
TURNED = "avg_over_time(gauge[40s]) + 1.5 * stddev_over_time(gauge[40s]) < gauge"
STEP = "gauge > 3 * (gauge offset 3s)"

BOUND = {"bound": 5, "direction": "above"}

LEARNED = "the baseline has learned the fault"
GONE = "has no samples"
UNSCRAPED = "the scrape fails"

SCENARIOS = {
    "the_fault_ends": Scenario(remedy=well, says="fixed", why="with samples behind it"),
    "it_lasts": Scenario(says="not_fixed", why="still true"),
    "the_series_vanishes": Scenario(remedy=Stage.drop, says="unknown", why=GONE),
    "the_scrape_fails": Scenario(remedy=_fails_to_scrape, says="unknown", why=GONE),
    "the_target_goes_down": Scenario(remedy=_goes_down, says="unknown", why=GONE),
    "a_rate_outlives_the_scrape": Scenario(
        rules=({"expr": "rate(counter[30s]) < 5"},),
        begins=lambda stage: stage.add(0),
        fault=nothing,
        remedy=_stays_in_the_rate,
        says="unknown",
        why=UNSCRAPED,
    ),
    # ── filtered, and no number ──
    "traffic_stops": Scenario(
        rules=({"expr": "gauge > 5 and traffic > 10"},),
        begins=_has_traffic,
        remedy=_loses_its_traffic,
        says="unknown",
        why="no longer meets the conditions beside it",
    ),
    "a_filter_stays_and_the_fault_ends": Scenario(
        rules=({"expr": "gauge > 5 and traffic > 10"},),
        begins=_has_traffic,
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "nothing_by_nothing": Scenario(
        rules=({"expr": "errors / traffic > 0.1"},),
        begins=lambda stage: stage.set(100, "traffic"),
        fault=lambda stage: stage.set(50, "errors"),
        remedy=_nothing_happens,
        says="unknown",
        why=GONE,
    ),
    # ── baselines ──
    "a_z_score_learns": Scenario(**_adaptive(Z), says="unknown", why=LEARNED),
    "a_z_score_sees_the_end": Scenario(**_adaptive(Z), remedy=well, says="fixed", why="with samples"),
    "a_band_learns": Scenario(**_adaptive(BAND), says="unknown", why=LEARNED),
    "a_band_sees_the_end": Scenario(**_adaptive(BAND), remedy=well, says="fixed", why="with samples"),
    "a_band_written_first_learns": Scenario(**_adaptive(TURNED), says="unknown", why=LEARNED),
    "a_step_learns": Scenario(**_adaptive(STEP), says="unknown", why=LEARNED),
    "a_recorded_mean_learns": Scenario(
        rules=(
            {"record": "job:mean", "expr": "avg_over_time(gauge[20s])"},
            {"expr": "gauge > 2 * job:mean", **LASTING},
        ),
        learns=True,
        says="unknown",
        why=LEARNED,
    ),
    "a_recorded_z_score_learns": Scenario(
        rules=(
            {
                "record": "job:zscore",
                "expr": "(gauge - avg_over_time(gauge[40s])) / stddev_over_time(gauge[40s])",
                "labels": {"level": "service"},
            },
            {"expr": 'job:zscore{level="service"} > 1.5', **LASTING},
        ),
        learns=True,
        says="unknown",
        why=LEARNED,
    ),
    # ── the shapes of expressions ──
    "it_flaps": Scenario(
        remedy=_flaps,
        verify={"resolved_within": "60s", "absent_for": "8s"},  # longer than it takes to be seen ill once more
        says="fixed",
        why="with samples",
    ),
    "either_of_two": Scenario(
        rules=({"expr": "gauge > 5 or other > 5"},),
        begins=_two_gauges,
        fault=_other_ill,
        remedy=_other_well,
        says="fixed",
        why="with samples",
    ),
    "either_of_two_and_one_is_gone": Scenario(
        rules=({"expr": "gauge > 5 or other > 5"},),
        begins=_two_gauges,
        fault=_other_ill,
        remedy=lambda stage: stage.drop("other"),
        says="unknown",
        why=GONE,
    ),
    "it_was_absent": Scenario(
        rules=({"expr": 'absent(gauge{service="orders"})'},),
        begins=nothing,
        fault=nothing,
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "it_stays_absent": Scenario(
        rules=({"expr": 'absent(gauge{service="orders"})'},),
        begins=nothing,
        fault=nothing,
        says="not_fixed",
        why="still true",
    ),
    "unless_maintained": Scenario(
        rules=({"expr": "gauge > 5 unless on (service) other == 1"},),
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "maintenance_hides_it": Scenario(
        rules=({"expr": "gauge > 5 unless on (service) other == 1"},),
        remedy=_maintained,
        says="unknown",
        why="no longer meets the conditions beside it",
    ),
    "it_was_zero": Scenario(
        rules=({"expr": "gauge == 0"},),
        fault=lambda stage: stage.set(0),
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "it_was_down": Scenario(
        rules=({"expr": 'up{job="it_was_down"} == 0', "labels": {"service": "orders"}},),
        fault=_fails_to_scrape,
        remedy=_target_back,
        says="fixed",
        why="with samples",
    ),
    "some_were_down": Scenario(
        rules=({"expr": "count by (service) (gauge == 0) > 0"},),
        fault=lambda stage: stage.set(0),
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    # ── which rule it was ──
    "its_labels_are_templates": Scenario(
        rules=({"expr": ALERT, "labels": {"service": "{{ $labels.service }}", "about": "{{ $labels.service }}"}},),
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "its_labels_are_templates_and_it_lasts": Scenario(
        rules=({"expr": ALERT, "labels": {"service": "{{ $labels.service }}"}},),
        says="not_fixed",
        why="still true",
    ),
    "its_labels_are_templates_and_it_vanishes": Scenario(
        rules=({"expr": ALERT, "labels": {"service": "{{ $labels.service }}"}},),
        remedy=Stage.drop,
        says="unknown",
        why=GONE,
    ),
    "the_higher_tier_ends": Scenario(
        rules=(
            {"expr": ALERT, "labels": {"severity": "warning"}},
            {"expr": "gauge > 10", "labels": {"severity": "critical"}},
        ),
        fault=_tier,
        remedy=_lower_tier,
        matchers=('severity="critical"',),
        says="fixed",
        why="with samples",
    ),
    "the_lower_tier_lasts": Scenario(
        rules=(
            {"expr": "gauge > 10", "labels": {"severity": "critical"}},
            {"expr": ALERT, "labels": {"severity": "warning"}},
        ),
        fault=_tier,
        remedy=_lower_tier,
        matchers=('severity="warning"',),
        says="not_fixed",
        why="still true",
    ),
    "a_stricter_rule_of_its_name_is_false": Scenario(
        rules=({"expr": "gauge > 50"}, {"expr": ALERT}),
        says="not_fixed",
        why="still true",
    ),
    "another_rule_of_its_name_has_no_samples": Scenario(
        rules=({"expr": "other > 5"}, {"expr": ALERT}),
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    # ── a query of one's own ──
    "a_query_is_true": Scenario(
        verify={"query": "gauge < 5", "absent_for": "2s"}, remedy=well, says="fixed", why="true: "
    ),
    "a_query_has_no_data": Scenario(
        remedy=well,
        verify={"query": "other < 5", "resolved_within": "5s", "absent_for": "2s"},
        says="unknown",
        why=GONE,
    ),
    "a_query_stays_false": Scenario(
        remedy=well,
        verify={"query": "gauge < 0.5", "resolved_within": "5s", "absent_for": "2s"},
        says="not_fixed",
        why="not true: ",
    ),
    "a_query_outlives_the_scrape": Scenario(
        verify={"query": "max_over_time(gauge[1h]) > 1", "resolved_within": "5s", "absent_for": "2s"},
        remedy=_fails_to_scrape,
        says="unknown",
        why=UNSCRAPED,
    ),
    # ── rules that Amend writes ──
    "our_band_sees_the_end": Scenario(rules=(), learns=True, remedy=well, says="fixed", why="with samples"),
    "our_band_learns": Scenario(
        rules=(),
        learns=True,
        verify={"resolved_within": "16s", "absent_for": "2s"},
        says="unknown",
        why=LEARNED,
    ),
    "our_traffic_stops": Scenario(
        rules=(),
        learns=True,
        detector={"only_if": "traffic > 10"},
        begins=_has_traffic,
        remedy=_loses_its_traffic,
        says="unknown",
        why=GONE,
    ),
    "our_robust_band_learns": Scenario(
        rules=(),
        learns=True,
        detector={"band": "robust"},
        verify={"resolved_within": "16s", "absent_for": "2s"},
        says="unknown",
        why=LEARNED,
    ),
    "our_bound_sees_the_end": Scenario(
        rules=(),
        learns=True,
        detector={"band": "threshold", **BOUND},
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "our_bound_learns_nothing": Scenario(
        rules=(),
        learns=True,
        detector={"band": "threshold", **BOUND},
        verify={"resolved_within": "16s", "absent_for": "2s"},
        says="not_fixed",
        why="still true",
    ),
    "our_forecast_sees_the_end": Scenario(
        rules=(),
        learns=True,
        detector={"band": "forecast", **BOUND, "horizon": "4s"},
        remedy=well,
        says="fixed",
        why="with samples",
    ),
    "our_bands_see_the_end": Scenario(
        rules=(),
        learns=True,
        detector={"band": {"any_of": ["zscore", "threshold"]}, **BOUND},
        remedy=well,
        says="fixed",
        why="with samples",
    ),
}

OURS = [name for name, scenario in SCENARIOS.items() if not scenario.rules]
"""The scenarios whose rules Amend writes."""

SPEC = {
    "version": "amend/v1",
    "service": "shop",
    "defaults": {"interval": "1s", "window": "24s", "min_samples": 4, "for": "1s", "keep_firing_for": "0s"},
}


class Remedies(HttpRecorder):
    """Does what the path of a request names."""

    def __init__(self) -> None:
        super().__init__()
        self.by_path: dict[str, Callable[[], None]] = {}

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        self.by_path[request.path]()
        super().respond(request)


@dataclass(frozen=True)
class Play:
    """All scenarios, being played."""

    receiver: Receiver
    remedies: Remedies
    stages: Mapping[str, Stage]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """Every fault has begun, and each is answered while the tests wait."""
    directory = tmp_path_factory.mktemp("verification")
    with ExitStack() as running:
        targets = {name: running.enter_context(MetricsTarget()) for name in SCENARIOS}
        remedies = running.enter_context(Remedies())
        discovery = directory / "alertmanagers.json"
        prometheus = Prometheus(
            directory,
            scrape={name: target.address for name, target in targets.items()},
            rules=[directory / "*.rules.yml"],
            config={"alerting": {"alertmanagers": [{"file_sd_configs": [{"files": [str(discovery)]}]}]}},
        )
        stages = {name: Stage(name, target, prometheus) for name, target in targets.items()}
        receiver = _receiver(directory, prometheus, remedies, {name: SCENARIOS[name] for name in stages})
        to_receiver = to_webhook(receiver.webhook_url, token_file=receiver.token_file)
        alertmanager = Alertmanager(directory, to_receiver)
        discovery.write_text(json.dumps([{"targets": [alertmanager.address]}]))
        _write_rules(directory, stages)
        for name, stage in stages.items():
            remedies.by_path[f"/{name}"] = partial(SCENARIOS[name].remedy, stage)
            stage.set(WELL, service="users")
            SCENARIOS[name].begins(stage)
        for part in (receiver, alertmanager, prometheus):
            running.enter_context(part)
        _break(stages, learns=False)
        _wait_for_baselines(stages)
        _break(stages, learns=True)
        yield Play(receiver, remedies, stages)


def test_without_prometheus_nothing_is_known(play: Play, tmp_path: Path, running: ExitStack) -> None:
    target = running.enter_context(MetricsTarget())
    prometheus = Prometheus(tmp_path, scrape={"alone": target.address}, rules=[tmp_path / "*.rules.yml"])
    stage = Stage("alone", target, prometheus)
    scenario = Scenario(
        remedy=lambda stage: stage.prometheus.kill9(),
        verify={"resolved_within": "2s", "absent_for": "1s"},
        says="unknown",
        why="does not answer",
    )
    _write_rules(tmp_path, {"alone": stage}, {"alone": scenario})
    play.remedies.by_path["/alone"] = partial(scenario.remedy, stage)
    receiver = running.enter_context(_receiver(tmp_path, prometheus, play.remedies, {"alone": scenario}))
    running.enter_context(prometheus)
    stage.set(ILL)
    until(lambda: prometheus.firing("alone"), why="the alert fires")
    receiver.post(alert("alone", service="orders", instance=target.address, job="alone"))
    run = receiver.run(playbook="alone")
    assert (run["outcome"], scenario.why in run["detail"]) == (scenario.says, True), run


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_verdict_is_what_was_seen(name: str, play: Play) -> None:
    run = play.receiver.run(playbook=_dashed(name))
    scenario = SCENARIOS[name]
    assert (run["outcome"], scenario.why in run["detail"]) == (scenario.says, True), run


def test_absent_for_begins_anew_when_it_fires_in_between(play: Play) -> None:
    run = play.receiver.run(playbook="it-flaps")
    ended_at = play.stages["it_flaps"].ended_at
    assert ended_at
    assert datetime.fromisoformat(run["finished_at"]) - ended_at >= timedelta(seconds=8)


def _receiver(
    directory: Path, prometheus: Prometheus, remedies: Remedies, scenarios: Mapping[str, Scenario]
) -> Receiver:
    playbooks = [
        {
            "name": _dashed(name),
            "mode": "enforce",
            "matchers": [f'alertname="{name}"', *scenario.matchers],
            "steps": [{"http": {"url": f"{remedies.url}/{name}"}}],
            "verify": {key: _named(name, text) for key, text in (scenario.verify or _times(scenario)).items()},
        }
        for name, scenario in scenarios.items()
    ]
    return Receiver(
        directory,
        playbooks=yaml.safe_dump({"playbooks": playbooks}),
        prometheus={"url": prometheus.url},
        outbound={"allow_hosts": ["127.0.0.1"]},
        limits={"actions_per_minute": 1000, "breaker": {"failures": 1000}},
    )


def _times(scenario: Scenario) -> Mapping[str, str]:
    """What gets well has all the time that a busy machine needs; any other verdict falls when time is up."""
    if scenario.says == "fixed":
        return {"resolved_within": "60s", "absent_for": "2s"}
    # The longer `absent_for` is, the fewer looks there are: those of all scenarios are many for a busy Prometheus.
    return {"resolved_within": "3s", "absent_for": "10s"}


def _write_rules(directory: Path, stages: Mapping[str, Stage], scenarios: Mapping[str, Scenario] = SCENARIOS) -> None:
    groups = [
        {"name": name, "rules": [_rule(stage, rule) for rule in scenarios[name].rules]}
        for name, stage in stages.items()
        if name not in OURS
    ]
    (directory / "hand-written.rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    ours = [stages[name] for name in OURS if name in stages]
    if ours:
        _generate_rules(directory, ours)


def _rule(stage: Stage, rule: Rule) -> dict[str, Any]:
    written = {**rule, "expr": stage.expression(rule["expr"])}
    return {**written, "record": stage.metric(rule["record"])} if "record" in rule else {**written, "alert": stage.name}


def _generate_rules(directory: Path, stages: Sequence[Stage]) -> None:
    detectors = [
        {
            "name": stage.name,
            "alert": stage.name,
            "by": ["service"],
            "expr": stage.metric("gauge"),
            "severity": {"warning": 3},
            **{
                key: stage.expression(value) if key == "only_if" else value
                for key, value in SCENARIOS[stage.name].detector.items()
            },
        }
        for stage in stages
    ]
    specs = directory / "specs"
    specs.mkdir()
    (specs / "shop.yml").write_text(yaml.safe_dump({**SPEC, "detectors": detectors}))
    for path, text in render(load_specs(specs).specs, rules=directory, dashboards=directory).items():
        path.write_bytes(text)


def _break(stages: Mapping[str, Stage], *, learns: bool) -> None:
    for name, stage in stages.items():
        if SCENARIOS[name].learns is learns:
            SCENARIOS[name].fault(stage)


def _wait_for_baselines(stages: Mapping[str, Stage]) -> None:
    for name, stage in stages.items():
        known = f'amend:band_upper{{detector="{name}",service="orders"}}[9s]' if name in OURS else "gauge[40s]"
        needed = 5 if name in OURS else 12
        if SCENARIOS[name].learns:
            known = f"max(count_over_time({known}))"
            until(partial(_reaches, stage, known, needed), why=f"{name} has a baseline")


def _reaches(stage: Stage, expression: str, needed: float) -> bool:
    return (stage.value(expression) or 0) >= needed


def _named(name: str, text: str) -> str:
    return METRICS.sub(lambda found: f"{name}_{found[0]}", text)


def _dashed(name: str) -> str:
    return name.replace("_", "-")
