"""The examples with three receivers: Compose and Kubernetes read them, and each is as careful as a single one."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.settings import read
from tests.bed.parts import ROOT, program
from tests.bed.secrets import write_secrets

COMPOSE = ROOT / "deploy" / "compose"
KUBERNETES = ROOT / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """What Compose makes of the two files together."""
    files = [f"--file={COMPOSE / name}" for name in ("compose.yml", "replicas.yml")]
    done = subprocess.run(
        [program("docker-compose"), *files, "config"], capture_output=True, text=True, check=False, env={"PATH": "/bin"}
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


def manifest(file: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((KUBERNETES / file).read_text())
    return next(each for each in documents if each["kind"] == kind)


def test_three_receivers_answer_to_one_name_on_one_database(services: dict[str, Any]) -> None:
    replicas = [services[name] for name in ("amend", "amend-b", "amend-c")]
    for each in replicas:
        mounts = [volume for volume in each["volumes"] if volume.endswith(":/etc/amend/amend.yml:ro")]
        assert [Path(mount.split(":")[0]).name for mount in mounts] == ["amend.replicas.yml"]
        assert "postgres" in each["depends_on"]
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])
    for other in replicas[1:]:
        assert "amend" in other["networks"]["default"]["aliases"]
        assert "ports" not in other


def test_their_settings_are_those_of_one_but_for_the_store(tmp_path: Path) -> None:
    found = []
    for name in ("amend.yml", "amend.replicas.yml"):
        text = (COMPOSE / name).read_text()
        write_secrets(text, tmp_path)
        (tmp_path / name).write_text(text)
        found.append(read(tmp_path / name))
    one, three = found
    assert three.store.url.get_secret_value().startswith("postgresql")
    assert three.model_copy(update={"store": one.store}) == one


def test_on_kubernetes_only_the_volume_is_missing() -> None:
    one, three = manifest("amend.yaml", "Deployment"), manifest("replicas/amend.yaml", "Deployment")
    assert three["spec"]["replicas"] == 3
    (single,), (container,) = (each["spec"]["template"]["spec"]["containers"] for each in (one, three))
    ledger = [mount for mount in single["volumeMounts"] if mount["name"] == "ledger"]
    assert sorted(map(str, container["volumeMounts"] + ledger)) == sorted(map(str, single["volumeMounts"]))
    assert {**container, "volumeMounts": 0} == {**single, "volumeMounts": 0}
    assert manifest("amend.yaml", "Service") == manifest("replicas/amend.yaml", "Service")
    assert manifest("replicas/amend.yaml", "PodDisruptionBudget")["spec"]["minAvailable"] == 2
