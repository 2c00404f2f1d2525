"""The configuration that users copy, read by the programs that it is for."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from receiver.documents import loads
from receiver.settings import Settings, read
from tests.bed.alertmanager import Alertmanager, amtool
from tests.bed.http_recorder import HttpRecorder
from tests.bed.parts import ROOT
from tests.bed.processes import until
from tests.bed.prometheus import promtool
from tests.bed.secrets import write_secrets

CONFIG = ROOT / "alertmanager" / "alertmanager.yml"
PROMETHEUS = ROOT / "deploy" / "prometheus"
EXAMPLE = ROOT / "deploy" / "amend.example.yml"


# ── Alertmanager ──


def test_amtool_takes_the_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", CONFIG)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=Watchdog"], "amend"),
        (["alertname=LatencyAnomaly", "severity=high", "service=orders"], "amend,people"),
        (["alertname=SomethingOfYours"], "amend,people"),
    ],
)
def test_an_alert_goes_where_the_comments_say(labels: list[str], receivers: str) -> None:
    amtool("config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receivers}", *labels)


def test_the_webhook_loses_nothing() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    (webhook,) = config["receivers"][0]["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert webhook["http_config"]["follow_redirects"] is False
    assert "credentials_file" in webhook["http_config"]["authorization"]
    assert "@" not in webhook["url"]
    assert "?" not in webhook["url"]
    assert config["route"]["group_interval"] == "30s"


@pytest.fixture
def copied(tmp_path: Path, recorder: HttpRecorder, running: ExitStack) -> Alertmanager:
    """A real Alertmanager on the file as it is, but for the webhook's address and the waiting."""
    text = CONFIG.read_text().replace("http://127.0.0.1:9095", recorder.url)
    text = re.sub(r"group_wait: \S+", "group_wait: 0s", text)
    text = re.sub(r"group_interval: \S+", "group_interval: 1s", text)
    token = tmp_path / "amend.token"
    token.write_text("secret\n")
    config = yaml.safe_load(text)
    config["receivers"][0]["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"] = str(token)
    return running.enter_context(Alertmanager(tmp_path, config))


def test_a_higher_severity_mutes_the_lower_ones_of_the_same_series_only(
    copied: Alertmanager, recorder: HttpRecorder
) -> None:
    tiers = [
        {"alertname": "LatencyAnomaly", "detector": "latency", "service": service, "severity": severity}
        for service, severities in {"orders": ("critical", "high"), "users": ("high", "medium")}.items()
        for severity in severities
    ]
    others = [{"alertname": "Yours", "severity": severity} for severity in ("critical", "high")]
    copied.post_alerts(*({"labels": labels} for labels in [*tiers, *others]))

    def states() -> set[tuple[str, str, str]]:
        return {
            (each["labels"].get("service", ""), each["labels"]["severity"], each["status"]["state"])
            for each in copied.alerts()
        }

    settled = {
        *(("orders", "critical", "active"), ("orders", "high", "suppressed")),
        *(("users", "high", "active"), ("users", "medium", "suppressed")),
        *(("", "critical", "active"), ("", "high", "active")),
    }
    until(lambda: states() == settled, why="the severities are not muted as they should")


def test_a_delivery_carries_the_token_from_its_file(copied: Alertmanager, recorder: HttpRecorder) -> None:
    copied.post_alerts({"labels": {"alertname": "LatencyAnomaly", "service": "orders"}})
    until(lambda: recorder.requests, why="nothing was delivered")
    request = recorder.requests[0]
    assert request.path == "/api/v1/alerts"
    assert request.headers["authorization"] == "Bearer secret"


# ── Prometheus ──


def test_promtool_takes_the_configuration_and_every_rule_file_that_it_names() -> None:
    said = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert "is valid prometheus config file syntax" in said
    assert {"generated/amend.rules.yml", "generated/http.rules.yml", "plain/watchdog.rules.yml"} <= {
        "/".join(Path(line.split()[1]).parts[-2:]) for line in said.splitlines() if line.endswith(".rules.yml")
    }


# ── Amend ──


def test_the_example_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMEND_LISTEN", raising=False)
    shutil.copy(EXAMPLE, tmp_path / "amend.yml")
    write_secrets(EXAMPLE.read_text(), tmp_path)
    settings = read(tmp_path / "amend.yml")
    assert settings.server.listen == "127.0.0.1:9095"
    assert [receiver.name for receiver in settings.receivers] == ["team-shop", "team-platform", "chat"]


def test_the_example_documents_every_setting() -> None:
    uncommented = re.sub(r"^( *)#(?=\S)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    # the other choices stand beside the first ones, where a key may stand once only
    shown = set(_keys(_without_choices(uncommented)))
    missing = set(_fields(Settings)) - shown
    assert not missing, f"not in {EXAMPLE.name}: {sorted(missing)}"


def _without_choices(text: str) -> str:
    """Each `key:` that stands a second time on its level gets another name."""
    seen: dict[tuple[int, str], int] = {}
    lines = []
    for line in text.splitlines():
        match = re.match(r"( *)([a-z_]+):", line)
        if not match:
            seen = {} if line.startswith("- ") or re.match(r" *- ", line) else seen
            lines.append(line)
            continue
        key = (len(match[1]), match[2])
        seen = {each: count for each, count in seen.items() if each[0] <= key[0]}
        seen[key] = seen.get(key, 0) + 1
        lines.append(line if seen[key] == 1 else line.replace(match[2], f"{match[2]}__{seen[key]}", 1))
    return "\n".join(lines)


def _keys(text: str) -> Iterator[tuple[str, ...]]:
    for place in loads(text, EXAMPLE).lines:
        # below these, names of the user's own
        named = next((len(above) for above in (("auth", "teams"), ("commands",)) if place[: len(above)] == above), None)
        yield tuple(
            step.partition("__")[0] for depth, step in enumerate(place) if isinstance(step, str) and depth != named
        )


def _fields(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        key = (*place, field.alias or name)
        yield key
        for inner in _models(field.annotation):
            yield from _fields(inner, key)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
