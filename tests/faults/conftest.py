"""What the faults' tests share: a store of each kind, and how often to kill."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bed.postgresql import PostgreSql


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store; a test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'amend.db'}"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.database()


@dataclass(frozen=True)
class Rounds:
    """How often a test is to kill (`--fault-rounds 200` is the long version), and where it tells what came of it."""

    count: int
    _name: str
    _capsys: pytest.CaptureFixture[str]

    def tell(self, **counts: object) -> None:
        """Print the counts, also when the test passes."""
        with self._capsys.disabled():
            shown = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
            print(f"\n{self._name}: {shown}")


@pytest.fixture
def rounds(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Rounds:
    return Rounds(request.config.getoption("--fault-rounds"), request.node.name, capsys)
