"""The locks say what pyproject.toml asks for, and nothing of the machine they were made on."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.bed.parts import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
TO_RUN = [*PYPROJECT["project"]["dependencies"], *EXTRAS["docker"], *EXTRAS["kubernetes"]]
TO_CHECK = [*TO_RUN, *PYPROJECT["dependency-groups"]["dev"]]


@pytest.mark.parametrize(("lock", "wanted"), [("requirements.lock", TO_RUN), ("requirements-dev.lock", TO_CHECK)])
def test_every_dependency_is_locked_within_its_bounds(lock: str, wanted: list[str]) -> None:
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name), "nothing")
        assert version != "nothing", f"{requirement} is not locked: run scripts/lock"
        assert version in requirement.specifier, f"{requirement} is locked as {version}: run scripts/lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_file_has_its_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pinned = re.findall(r"^[^#\s].*(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[^#\s]", text, re.MULTILINE)) > 20
    assert not re.search(r"://|^-|@ |/(?:home|opt|root|tmp|work)/", text, re.MULTILINE)
