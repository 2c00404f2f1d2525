"""The image that the tests of deploy/ run: built once for all of them."""

import pytest

from tests.bed.docker_engine import DockerEngine
from tests.bed.parts import ROOT


@pytest.fixture(scope="session")
def image(dockerd: DockerEngine) -> str:
    return dockerd.build(ROOT, tag="amend:test", BASE=dockerd.python_base)
