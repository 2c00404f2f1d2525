"""The real command in a process of its own: what a person sees of it, above all when they made a mistake."""

import hashlib
import json
import os
import re
import socket
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.bed.processes import free_port
from tests.bed.receiver import AMEND, Receiver, alert

SETTINGS = "auth: {webhook: {insecure: true}}\n"

PLAYBOOK = """\
playbooks:
- name: restart-slow-service
  mode: enforce
  matchers: ['alertname="LatencyAnomaly"']
  condition: z_score > 3
  target: {docker: {container: "{{ labels.service }}"}}
  only_if: vector(1)
  cooldown: 5m
  steps:
  - restart: {}
  verify: {resolved_within: 10m}
"""


#: what PLAYBOOK needs of amend.yml
FOR_PLAYBOOK = {"platforms": {"docker": [{"name": "local"}]}, "prometheus": {"url": "http://127.0.0.1:9"}}


def amend(
    *arguments: str | Path, inside: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it in a directory, with nothing of ours in its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AMEND_")}
    return subprocess.run(
        [AMEND, *arguments],
        cwd=inside,
        env={**kept, "COLUMNS": "100", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What it said when it found a mistake: one line for each, and no traceback."""
    said = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1, said
    assert not any("Traceback" in line for line in said), said
    return said


# ── what a newcomer writes wrong ──


MISTAKES = (
    ("cooldown: 5m", "cooldwn: 5m", '{file}:8: unknown key "cooldwn"; did you mean "cooldown"?'),
    ("restart: {}", "restrat: {}", '{file}:10: unknown action "restrat"; did you mean "restart"?'),
    ("cooldown: 5m", "cooldown: 5 min", '{file}:8: "5 min" is not a duration; write for example 30s'),
    ("cooldown: 5m", "cooldown: 300", "{file}:8: cooldown: 300 is not a duration; write for example 30s"),
    ("vector(1)", "sum(rate(x[5m])", "{file}:7: only_if: not PromQL: "),
    ("z_score > 3", "zscore > 3", '{file}:5: "zscore" is no number of an alert; known are value, mean'),
    ("z_score > 3", "max(z_score)", '{file}:5: "max(z_score)" is not a comparison; '),
    ("z_score > 3", "z_score >", '{file}:5: "z_score >" is not a condition; write for example'),
    ("matchers: ['alert", "matchers: ['alert ", "{file}:4: "),
    ("name: restart-slow", "name: Restart slow", "{file}:2: "),
    ("mode: enforce", "mode: on", "{file}:3: mode: "),
    ("labels.service }}", "labels.service }", "{file}:6: container: not a template: "),
    ("labels.service }}", "labels.service.upper() }}", "{file}:6: container: a template may not use call"),
    ("- restart: {}", "- restart: {}\n    http: {url: 'http://x'}", "{file}:10: steps: a step has exactly one action"),
    ("  steps:\n  - restart: {}\n", "", '{file}:2: "steps" is missing; write for example steps: [restart: {}]'),
    ("cooldown: 5m", "cooldown: 5m\n  cooldown: 6m", '{file}:9: the key "cooldown" stands twice; the first is on'),
    ("cooldown: 5m", "cooldown: &a 5m", "{file}:8: YAML anchors and aliases are not taken; write the value out"),
    ("{docker: {container:", "{docker: {container: [", "{file}:"),
    ("playbooks:\n", "playbook:\n", '{file}:1: unknown key "playbook"; did you mean "playbooks"?'),
    (PLAYBOOK, "just a sentence\n", '{file}:1: "the document" must be a mapping (key: value), not text'),
    (PLAYBOOK, "", '{file}:1: "playbooks" is missing; write for example playbooks: '),
    ("  cooldown", "\tcooldown", "{file}:8: not YAML: "),
)


@pytest.fixture(scope="module")
def told_of_playbooks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one call says of a file for each mistake."""
    here = tmp_path_factory.mktemp("playbooks")
    for number, (right, wrong, _) in enumerate(MISTAKES):
        assert right in PLAYBOOK
        (here / f"{number}.yml").write_text(PLAYBOOK.replace(right, wrong))
    return refused(amend("playbooks", "check", *(f"{number}.yml" for number in range(len(MISTAKES))), inside=here))


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_a_mistake_in_a_playbook_is_told_with_line_and_way_out(number: int, told_of_playbooks: list[str]) -> None:
    said = [line for line in told_of_playbooks if line.startswith(f"{number}.yml")]
    expected = MISTAKES[number][2].replace("{file}", f"{number}.yml")
    assert any(line.startswith(expected) for line in said), said
    assert len(said) <= 2, said


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", 'amend.yml:1: "auth" is missing; write for example auth: {webhook: {bearer_token_file: webhook.token}}'),
        ("auth: {}", 'amend.yml:1: "webhook" is missing; write for example webhook: '),
        ("auth: {webhook: {}}", "amend.yml:1: webhook: the webhook needs exactly one of bearer_token_file, basic or"),
        (
            "auth:\n  webhook:\n    bearer_token_file: nowhere",
            "amend.yml:3: bearer_token_file: {here}/nowhere cannot be read: No such file or directory; put",
        ),
        (
            "auth: {webhook: {bearer_token_file: empty}}",
            "amend.yml:1: bearer_token_file: {here}/empty is empty",
        ),
        (
            "auth:\n  webhook:\n    bearer_token: ${TOKEN}",
            "amend.yml:3: the environment has no TOKEN; set it, or write ${TOKEN:default}",
        ),
        (f"{SETTINGS}sever: {{}}", 'amend.yml:2: unknown key "sever"; did you mean "server"?'),
        (f"{SETTINGS}server: 9095", 'amend.yml:2: "server" must be a mapping (key: value), not a number'),
        (f"{SETTINGS}server: {{listen: localhost}}", 'amend.yml:2: "localhost" is not an address; write HOST:PORT'),
        (f"{SETTINGS}playbooks: web.yml", 'amend.yml:2: "playbooks" must be a list, not text'),
        (f"{SETTINGS}limits: {{actions_per_minute: ten}}", "amend.yml:2: actions_per_minute: input should be a valid"),
        (
            f"{SETTINGS}identity: {{reopen_window: soon}}",
            'amend.yml:2: "soon" is not a duration; write for example 30s',
        ),
        (f"{SETTINGS}store: {{url: 'mysql://me:hunter2@db/x'}}", "amend.yml:2: url: not a store; write sqlite:///FILE"),
        (f"{SETTINGS}prometheus: {{url: localhost}}", "amend.yml:2: url: input should be a valid URL"),
        (
            f"{SETTINGS}receivers:\n- name: a",
            'amend.yml:3: receivers: receiver "a" says nowhere to send to; add slack:, pagerduty:',
        ),
        ("auth: {webhook: [insecure: true}", "amend.yml:1: not YAML: "),
        ("auth: {webhook: {insecure: maybe}}", "amend.yml:1: \"insecure\" must be true or false, not 'maybe'"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_line_and_way_out(settings: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "amend.yml").write_text(settings)
    said = refused(amend("check", inside=tmp_path))
    told = told.replace("{here}", str(tmp_path.resolve()))
    assert any(line.startswith(told) for line in said), said
    assert len(said) <= 2, said
    assert "hunter2" not in "".join(said)


def test_a_receiver_does_not_start_without_authentication(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text("server: {}\n")
    (line,) = refused(amend("serve", inside=tmp_path))
    assert line.startswith('amend.yml:1: "auth" is missing; write for example auth: ')


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere.yml", r"nowhere\.yml: (is not there|cannot be read: No such file or directory); "),
        (".", r"\.: cannot be read: Is a directory; "),
        ("binary", r"binary: is not UTF-8 text \(byte 0\)"),
        ("huge", r"huge: is larger than 1024 KiB"),
        ("deep", r"deep:1: is nested more than 32 levels deep"),
    ],
)
def test_what_is_no_readable_file_is_told_in_one_line(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(255, 0, -1)))
    (tmp_path / "huge").write_bytes(b"# " + b"x" * 2**20)
    (tmp_path / "deep").write_text("[" * 1000)
    (line,) = refused(amend("serve", "--config", name, inside=tmp_path))
    assert re.match(told, line), line


@pytest.mark.parametrize(("name", "told"), [("nowhere/log", "No such file or directory"), (".", "Is a directory")])
def test_a_log_file_that_cannot_be_written_is_told_in_one_line(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(f"{SETTINGS}logging: {{file: {name}}}\n")
    (line,) = refused(amend("serve", inside=tmp_path))
    assert line == f"{name}: cannot be written: {told}; choose another logging.file in amend.yml"


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "amend.yml").write_text(f"{SETTINGS}server: {{listen: '127.0.0.1:{port}'}}\n")
        said = refused(amend("serve", inside=tmp_path))
    assert len(said) == 1, said
    assert f"127.0.0.1:{port}" in said[0]
    assert "in use" in said[0]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(f"{SETTINGS}playbooks: ['*.yaml']\n")
    (tmp_path / "one.yaml").write_text(PLAYBOOK.replace("restart:", "restrat:").replace("5m", "5x"))
    (tmp_path / "two.yaml").write_text(PLAYBOOK.replace("mode", "mood"))
    said = refused(amend("check", inside=tmp_path))
    assert [line.split(": ")[0] for line in said] == ["one.yaml:8", "one.yaml:10", "two.yaml:3"]


# ── how it tells it ──


def test_check_is_content_with_what_is_right_and_counts_it(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(f"{SETTINGS}{yaml.safe_dump(FOR_PLAYBOOK)}playbooks: [web.yml]\n")
    (tmp_path / "web.yml").write_text(PLAYBOOK)
    done = amend("check", inside=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "amend.yml: 1 playbook: 0 errors, 0 warnings\n", "")


def test_a_warning_does_not_fail_the_check(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(SETTINGS)
    done = amend("check", "-o", "json", inside=tmp_path)
    (finding,) = json.loads(done.stdout)["findings"]
    assert done.returncode == 0
    assert (finding["check"], finding["severity"], finding["line"]) == ("playbooks/none", "warning", 1)


def test_a_prometheus_that_does_not_answer_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(SETTINGS)
    done = amend("check", "--prometheus", f"http://127.0.0.1:{free_port()}", inside=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is it running? (--prometheus)" in done.stderr


def test_mistakes_come_as_json_too(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text("auth: {}")
    done = amend("check", "-o", "json", inside=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout)["findings"][0]["message"].startswith('"webhook" is missing')


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("runs", "list", "-o", "xml"),
        ("runs", "show", "seven"),
        ("runs", "list", "--label", "service"),
        ("explain", "service"),
        ("playbooks", "trigger", "alertname=Slow", "-a", "z_score"),
        ("keys", "new", "--role", "king", "--name", "a"),
        ("keys", "new", "--role", "viewer"),
        ("check", "--rules", "a.yml", "--prometheus", "http://127.0.0.1:9"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(SETTINGS)
    done = amend(*arguments, inside=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr


def test_a_receiver_that_is_not_there_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = amend("runs", "list", inside=tmp_path, environment={"AMEND_URL": url})
    said = f'cannot reach {url}: connection refused; is "amend serve" running? (--url)\n'
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--url", "localhost:9095"), '"localhost:9095" is not an address; write for example http://127.0.0.1:9095'),
        (("--url", "http://127.0.0.1:here"), '"http://127.0.0.1:here" is not an address'),
        (("--url", "http://no.such.host.invalid"), "cannot reach http://no.such.host.invalid: "),
        (("--key-file", "nowhere"), "nowhere: cannot be read: No such file or directory; put the API key there"),
        (("--key-file", "two-lines"), "two-lines: holds no API key"),
    ],
)
def test_a_wrong_address_or_key_file_is_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "two-lines").write_text("a\nb")
    done = amend("runs", "list", *arguments, inside=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(told), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_help_answers_at_once_because_it_loads_next_to_nothing(tmp_path: Path) -> None:
    done = amend("--help", inside=tmp_path, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {
        "rich",
        "pydantic",
        "yaml",
        "httpx",
        "sqlalchemy",
        "jinja2",
        "starlette",
        "kubernetes",
        "docker",
    }


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "check",
        "explain",
        "rules generate",
        "rules test",
        "playbooks check",
        "runs list",
        "runs show",
        "audit list",
        "audit verify",
        "audit export",
        "keys new",
    ],
)
def test_every_command_helps_with_examples_of_itself(command: str, tmp_path: Path) -> None:
    done = amend(*command.split(), "--help", inside=tmp_path)
    assert done.returncode == 0
    assert f"amend {command}" in done.stdout.partition("Examples:")[2]


def test_it_completes_commands_in_a_shell(tmp_path: Path) -> None:
    wanted = {"_AMEND_COMPLETE": "complete_bash", "COMP_WORDS": "amend pl", "COMP_CWORD": "1"}
    assert amend(inside=tmp_path, environment=wanted).stdout.split() == ["playbooks"]


def test_it_tells_its_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"amend \d+\.\d+\.\d+\n", amend("--version", inside=tmp_path).stdout)


# ── keys ──


def test_a_new_key_is_printed_alone_and_its_hash_kept_for_the_owner_only(tmp_path: Path) -> None:
    done = amend("keys", "new", "--role", "viewer", "--name", "anna", "--hash-file", "anna.sha256", inside=tmp_path)
    hash_file = tmp_path / "anna.sha256"
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.strip() not in done.stderr
    assert '{name: "anna", role: viewer, hash_file: anna.sha256}' in done.stderr
    assert hash_file.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch("[0-9a-f]{64}\n", hash_file.read_text())


def test_a_hash_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "anna.sha256").write_text("precious")
    arguments = ("keys", "new", "--role", "viewer", "--name", "anna", "--hash-file", "anna.sha256")
    (line,) = refused(amend(*arguments, inside=tmp_path))
    assert line.startswith("anna.sha256: is there already; ")
    assert (tmp_path / "anna.sha256").read_text() == "precious"


# ── against a running receiver ──


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    return Receiver(tmp_path, playbooks=PLAYBOOK, **FOR_PLAYBOOK)


def ask(receiver: Receiver, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"AMEND_URL": receiver.url, "AMEND_KEY_FILE": str(receiver.key_file)}
    return amend(*arguments, inside=receiver.directory, environment=environment)


def test_the_log_of_a_database_and_of_its_export_verify_without_a_receiver(receiver: Receiver) -> None:
    with receiver:
        receiver.post(alert("Nobody", service="orders"))
    exported = ask(receiver, "audit", "export", receiver.database, "--out", "log.jsonl")
    assert exported.returncode == 0, exported.stderr
    for source in (receiver.database, f"sqlite:///{receiver.database}", "log.jsonl"):
        done = ask(receiver, "audit", "verify", source)
        assert done.stdout.startswith("chain verified: "), done.stderr
    with sqlite3.connect(receiver.database) as database:
        database.execute("UPDATE audit SET data = '{}' WHERE seq = 1")
    (line,) = refused(ask(receiver, "audit", "verify", receiver.database))
    assert line == "row 1 does not fit its hash: its content was changed"


def test_a_log_that_was_cut_off_does_not_hold_the_head_that_was_kept_elsewhere(receiver: Receiver) -> None:
    with receiver:
        receiver.post(alert("Nobody"))
    ask(receiver, "audit", "export", receiver.database, "--out", "log.jsonl")
    log = receiver.directory / "log.jsonl"
    *kept, last = log.read_text().splitlines()
    head = json.loads(last)["hash"]
    assert ask(receiver, "audit", "verify", "log.jsonl", "--head", head).returncode == 0
    log.write_text("".join(f"{line}\n" for line in kept))
    assert "cut off" in refused(ask(receiver, "audit", "verify", "log.jsonl", "--head", head))[0]
    log.write_text("")
    assert "the log is empty" in refused(ask(receiver, "audit", "verify", "log.jsonl"))[0]


def test_a_running_receiver_tells_runs_reasons_and_its_log(receiver: Receiver) -> None:
    receiver.playbook_file.write_text(PLAYBOOK.replace("mode: enforce", "mode: observe"))
    evil = "\x1b[31mred\u202e\nnext"
    with receiver:
        receiver.post(alert("LatencyAnomaly", service=evil, annotations={"z_score": "2"}))
        run = receiver.run("skipped")
        listed = ask(receiver, "runs", "list", "--reason", "condition_false")
        shown = ask(receiver, "runs", "show", str(run["id"]))
        explained = ask(receiver, "explain", str(run["id"]))
        by_label = ask(receiver, "explain", "alertname=LatencyAnomaly", "-o", "json")
        entries = ask(receiver, "audit", "list", "--run", str(run["id"]))
        verified = ask(receiver, "audit", "verify")
        exported = ask(receiver, "audit", "export")
        unknown = ask(receiver, "runs", "show", "999")
        silly = ask(receiver, "runs", "list", "--status", "fine")
        keyless = amend("runs", "list", "--url", receiver.url, inside=receiver.directory)
    assert "condition_false" in listed.stdout.splitlines()[1]
    assert "restart-slow-service" in listed.stdout.splitlines()[1]
    assert "service=\\x1b[31mred\\u202e\\nnext" in shown.stdout
    for done in (listed, shown, explained, entries):
        assert done.returncode == 0, done.stderr
        assert not set(done.stdout) & set("\x1b\u202e")
    assert "skipped, condition_false" in explained.stdout
    assert json.loads(by_label.stdout)["explanations"][0]["run"] == run["id"]
    assert "condition_false" in entries.stdout
    assert verified.stdout.startswith("chain verified: ")
    assert json.loads(exported.stdout.splitlines()[0])["kind"] == "started"
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "there is no run 999" in unknown.stderr
    assert 'status: "fine" is not known; known are matched, ' in silly.stderr
    assert "give an API key with --key-file" in keyless.stderr


def test_what_is_no_log_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE other (id)")
    for source in ("text", "binary", "other.db", ".", "sqlite:///nowhere.db", "mysql://db/x"):
        said = refused(amend("audit", "verify", source, inside=tmp_path))
        assert len(said) == 1, said
    assert not (tmp_path / "nowhere.db").exists()


def test_a_seal_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "log.jsonl").touch()
    for name, why in (("nowhere", "cannot be read: No such file or directory"), ("empty", "is empty")):
        done = amend("audit", "verify", "--hmac-key-file", name, "log.jsonl", inside=tmp_path)
        assert refused(done) == [f"{name}: {why}; put the key of the log there (--hmac-key-file)"]


def test_a_key_in_a_file_is_not_printed_and_a_second_one_takes_nothing_away(tmp_path: Path) -> None:
    arguments = ("keys", "new", "--role", "admin", "--name", "me", "--hash-file", "me.sha256", "--key-file", "me.key")
    done = amend(*arguments, inside=tmp_path)
    key = (tmp_path / "me.key").read_text()
    assert (done.returncode, done.stdout) == (0, "")
    assert hashlib.sha256(key.strip().encode()).hexdigest() == (tmp_path / "me.sha256").read_text().strip()
    assert (tmp_path / "me.key").stat().st_mode & 0o077 == 0
    (tmp_path / "me.sha256").unlink()
    assert refused(amend(*arguments, inside=tmp_path)) == [
        "me.key: is there already; name another file with --key-file, or delete it"
    ]
    assert ((tmp_path / "me.key").read_text(), (tmp_path / "me.sha256").exists()) == (key, False)


def test_serve_refuses_what_check_calls_an_error(tmp_path: Path) -> None:
    (tmp_path / "amend.yml").write_text(f"{SETTINGS}playbooks: [pb.yml]\n")
    (tmp_path / "pb.yml").write_text(
        "playbooks:\n- name: tell\n  matchers: [alertname=A]\n  steps:\n  - notify: {receiver: nobody, message: x}\n"
    )
    (said,) = refused(amend("serve", inside=tmp_path))
    assert said.startswith("pb.yml:5: ")
    assert "nobody" in said
