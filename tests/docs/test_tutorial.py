"""The tutorials, played as they are written: their files, their commands, and what they say these print.

Only the ports are others, and servers run beside the test instead of in a terminal of their own.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bed.parts import ROOT, program
from tests.bed.processes import Process, answers, free_port, until
from tests.docs.page import Block, Page

TUTORIAL = Page(ROOT / "docs" / "tutorial.md")
PLAYBOOKS = Page(ROOT / "docs" / "playbooks.md")
FILES = {"amend.yml": "amend.yml", "playbook": "playbooks/disk.yml", "alertmanager": "alertmanager.yml"}
SERVERS = ("amend serve", "prometheus-alertmanager", "python3 -m http.server")
PORTS = ("9095", "9093", "8000")


class Server(Process):
    """A command that runs until it is stopped, and answers at an address."""

    def __init__(self, argv: list[str], *, url: str, log: Path, environment: dict[str, str]) -> None:
        super().__init__(argv, log=log, environment=environment)
        self.name = argv[-1]
        self.url = url

    def ready(self) -> bool:
        return answers(self.url)


class Reader:
    """Somebody who does what the tutorial says."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.folder = folder
        self.running = running
        self.ports = {port: str(free_port()) for port in PORTS}
        programs = {Path(program(name)).parent for name in ("alertmanager", "amtool")}
        path = os.pathsep.join(map(str, [Path(sys.executable).parent, *sorted(programs), os.environ["PATH"]]))
        self.environment = {**os.environ, "PATH": path, "AMEND_URL": f"http://127.0.0.1:{self.ports['9095']}"}
        self.last = ""

    def follow(self, block: Block) -> None:
        text = re.sub("|".join(PORTS), lambda found: self.ports[found[0]], block.text)
        if block.language == "yaml":
            listen = f"server: {{listen: 127.0.0.1:{self.ports['9095']}}}\n" if block.kind == "amend.yml" else ""
            (self.folder / FILES[block.kind]).write_text(listen + text)
        elif block.language == "sh":
            for command in text.splitlines():
                self.type(command)
        elif block.language == "text":
            self.sees(text)

    def type(self, command: str) -> None:
        if command.startswith(SERVERS):
            self._serve(command)
            return
        self.last = command
        done = self._run(command)
        if command.startswith("export "):
            # "AMEND_KEY_FILE=me.key" stays for what is typed later
            words = command.removeprefix("export ").split()
            self.environment |= dict(word.split("=", 1) for word in words if not word.startswith("PATH="))
        elif entered := re.search(r"&& cd (\w+)$", command):
            self.folder = self.folder / entered[1]
        else:
            until(
                lambda: (done if done.returncode == 0 else self._run(command)).returncode == 0,
                why=f"{command}: {done.stdout}{done.stderr}",
            )

    def sees(self, expected: str) -> None:
        """The last command prints these lines, but for the times and what follows an ellipsis."""
        lines = [re.sub(r"^(\d+ +)?\d{4}-\S+ \S+ +", "", line).partition("…")[0] for line in expected.splitlines()]
        wanted = [" ".join(line.split()) for line in lines if not line.startswith("ID ")]
        until(
            lambda: all(line in " ".join(self._run(self.last).stdout.split()) for line in wanted),
            why=f"{self.last} does not print {wanted}",
            every=0.3,
        )

    def _serve(self, command: str) -> None:
        url, command = self._where(command)
        log = self.folder.parent / f"{len(list(self.folder.parent.glob('*.log')))}.log"
        argv = ["sh", "-c", f"cd {self.folder} && exec {command}"]
        self.running.enter_context(Server(argv, url=url, log=log, environment=self.environment))

    def _where(self, command: str) -> tuple[str, str]:
        if command.startswith("amend"):
            return f"http://127.0.0.1:{self.ports['9095']}/-/ready", command
        if command.startswith("python3"):
            return f"http://127.0.0.1:{self.ports['8000']}/", command
        address = f"127.0.0.1:{self.ports['9093']}"
        command = command.replace("prometheus-alertmanager", program("alertmanager"))
        return f"http://{address}/-/ready", f"{command} --web.listen-address={address}"

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )


def test_the_tutorial_works_as_it_is_written(tmp_path: Path, running: ExitStack) -> None:
    begins = next(number for number, line in enumerate(TUTORIAL.prose, 1) if line.startswith("## 2."))
    reader = Reader(tmp_path, running)
    for block in TUTORIAL.blocks:
        if block.line > begins:
            if "http.server" in block.text:
                playbook = reader.folder / FILES["playbook"]
                playbook.write_text(re.sub(r"(  description: .*\n)", r"\1  mode: enforce\n", playbook.read_text()))
            reader.follow(block)


def test_the_tutorial_of_playbooks_works_as_it_is_written(tmp_path: Path, running: ExitStack) -> None:
    (tmp_path / "rules" / "generated").mkdir(parents=True)
    shutil.copy(ROOT / "rules" / "generated" / "http.rules.yml", tmp_path / "rules" / "generated")
    reader = Reader(tmp_path, running)
    for block in PLAYBOOKS.blocks:
        reader.follow(block)
