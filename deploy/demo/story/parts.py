"""The real parts, each started as its users start it: the generated rules, Prometheus, Alertmanager and Amend.

The stage enters them one by one; each is ready when it is handed over and gone when its context ends.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from story import history
from story.part import Broken, Part, finished, running

DEMO = Path(__file__).parents[1]
AMEND = Path(sys.executable).parent / "amend"
KEYS = ("demo", "anna")  #: who has one in amend.yml


@dataclass(frozen=True)
class Place:
    """Where one demo keeps its files and where its parts listen."""

    root: Path
    engine: str  #: the Docker Engine's URL
    inbox: str
    prometheus: str
    alertmanager: str
    amend: str

    @property
    def page(self) -> str:
        return f"http://{self.amend}/"

    def key_file(self, name: str) -> Path:
        return self.root / f"{name}.key"

    def key(self, name: str) -> str:
        """An API key of Amend, by whose it is in amend.yml."""
        return self.key_file(name).read_text()

    @property
    def data(self) -> Path:
        return self.root / "prometheus"

    @property
    def rules(self) -> Path:
        return self.root / "rules"

    @property
    def environment(self) -> dict[str, str]:
        """What the configuration files of the demo leave open."""
        return {
            "DEMO_DIR": str(self.root),
            "DEMO_ENGINE": self.engine,
            "DEMO_INBOX": self.inbox,
            "DEMO_PROMETHEUS": self.prometheus,
            "DEMO_ALERTMANAGER": self.alertmanager,
            "DEMO_AMEND": self.amend,
        }

    def fill_in(self, name: str) -> Path:
        """A configuration file of the demo with its `${…}` filled in, for programs that cannot do it themselves."""
        path = self.root / name
        path.write_text(Template((DEMO / name).read_text()).substitute(self.environment))
        return path


def generate_rules(place: Place) -> None:
    folders = ("--specs", DEMO / "specs", "--out", place.rules, "--dashboards", place.root / "dashboards")
    argv = [str(AMEND), "rules", "generate", *map(str, folders)]
    done = finished(argv, what="amend rules generate")
    if done.returncode:
        raise Broken(f"amend rules generate failed:\n{done.stdout}{done.stderr}")


def fill_in_history(place: Place, samples: Sequence[history.Sample]) -> None:
    """Raw metrics first, then what the rules make of them, round by round, until a round brings nothing more."""
    place.data.mkdir()
    past = history.Past(program("PROMTOOL"), data=place.data, scratch=place.root)
    past.fill_in_raw(samples)
    before, left = None, -1
    while left != before:
        before = left
        with _prometheus(place, "history", "--log.level=error"):
            left = past.fill_in_recorded(list(place.rules.glob("*.rules.yml")), prometheus=place.prometheus)


def prometheus(place: Place) -> AbstractContextManager[Part]:
    return _prometheus(place, "prometheus", "--rules.alert.resend-delay=1s", "--log.level=warn")


@contextmanager
def _prometheus(place: Place, name: str, *options: str) -> Iterator[Part]:
    argv = [
        program("PROMETHEUS"),
        f"--config.file={place.fill_in(f'{name}.yml')}",
        f"--storage.tsdb.path={place.data}",
        f"--web.listen-address={place.prometheus}",
        *options,
    ]
    with running(name, argv, logs=place.root) as part:
        part.wait_until_ready(f"http://{place.prometheus}/-/ready")
        yield part


@contextmanager
def alertmanager(place: Place) -> Iterator[Part]:
    argv = [
        program("ALERTMANAGER"),
        f"--config.file={place.fill_in('alertmanager.yml')}",
        f"--storage.path={place.root / 'alertmanager'}",
        f"--web.listen-address={place.alertmanager}",
        "--cluster.listen-address=",  # alone: no gossip port
        "--log.level=warn",
    ]
    with running("alertmanager", argv, logs=place.root) as part:
        part.wait_until_ready(f"http://{place.alertmanager}/-/ready")
        yield part


@contextmanager
def amend(place: Place) -> Iterator[Part]:
    argv = [str(AMEND), "serve", "--config", str(DEMO / "amend.yml")]
    with running("amend", argv, logs=place.root, env={**os.environ, **place.environment}) as part:
        part.wait_until_ready(f"http://{place.amend}/-/ready")
        yield part


def program(variable: str) -> str:
    """scripts/parts finds the programs and exports where they are."""
    if variable not in os.environ:
        raise Broken(f"{variable} is not set; start the demo by scripts/demo, which finds the programs")
    return os.environ[variable]
